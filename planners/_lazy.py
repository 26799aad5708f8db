"""Loads what the package exports on first use: whoever plans with one planner does not wait for the other twenty."""

import pkgutil
import re
from importlib import import_module
from typing import Any

SOURCE = (pkgutil.get_data("planners", "__init__.py") or b"").decode()
HOMES = {name: home for home, name in re.findall(r"^    from (\.\w+) import (\w+) as \2$", SOURCE, re.MULTILINE)}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'planners' has no attribute {name!r}")
    package = import_module("planners")
    value = getattr(import_module(HOMES[name], "planners"), name)
    setattr(package, name, value)
    return value


def __dir__() -> list[str]:
    return sorted(HOMES)
