"""Loads what a package exports on first use: whoever plans with one planner waits neither for the others, nor for networks."""

import pkgutil
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

EXPORT = re.compile(r"^    from (\.\w*) import (\w+) as \2$", re.MULTILINE)


def on_first_use(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package that lists what it exports as `from ._home import Name as Name`, indented by one level
    under `if TYPE_CHECKING`."""
    source = (pkgutil.get_data(package, "__init__.py") or b"").decode()
    homes = {name: home for home, name in EXPORT.findall(source)}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        value = import_module(home + name, package) if home == "." else getattr(import_module(home, package), name)
        setattr(import_module(package), name, value)
        return value

    return __getattr__, lambda: sorted(homes)
