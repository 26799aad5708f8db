"""Writes the API pages into site/: one page a package, with exactly the names it exports."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pdoc

PACKAGES = ("ebm", "envs", "planners", "benchmarks")


def public_names(module: ModuleType) -> list[str]:
    """Names that a package re-exports from its files, and its public subpackages."""
    subpackages = {info.name for info in pkgutil.iter_modules(module.__path__) if info.ispkg}
    exported = {name for name in dir(module) if is_ours(getattr(module, name))}
    return sorted(name for name in exported | subpackages if not name.startswith("_"))


def is_ours(value: object) -> bool:
    return not isinstance(value, ModuleType) and str(getattr(value, "__module__", "")).split(".")[0] in PACKAGES


def main() -> None:
    """Tell pdoc what is public, which it would otherwise look for in the files where things are defined, then write the pages."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        nested = [info.name for info in pkgutil.iter_modules(module.__path__, f"{package}.") if info.ispkg]
        for part in (module, *(importlib.import_module(name) for name in nested)):
            part.__all__ = public_names(part)
    pdoc.render.configure(docformat="markdown", math=True)
    pdoc.pdoc(*PACKAGES, output_directory=Path(__file__).resolve().parent.parent / "site")


if __name__ == "__main__":
    main()
