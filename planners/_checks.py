"""Options that cannot work, found when a planner is made."""

import dataclasses
import importlib.util
from typing import Any

import numpy as np

import ebm

ABOVE_ZERO = float(np.finfo(np.float32).tiny)
OPTIONAL = ("num_knots", "elites")  # fields whose None stands for the usual number


def check_counts(of: Any, **least: int) -> None:
    """Raise a `ValueError` for a field that is not an integer of at least so much; `None` is left to be a default."""
    for name, low in least.items():
        value = getattr(of, name)
        if value is None and name in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise ValueError(f"`{name}` must be an integer of at least {low}, got {value!r}.")


def check_numbers(of: Any, **limits: tuple[float, float]) -> None:
    """Raise a `ValueError` for a field with numbers that are not finite, or outside such limits, or with several instead of one. While
    being traced, all is well."""
    declared = {field.name: getattr(field.type, "dim_str", None) for field in dataclasses.fields(of)}
    for name, (low, high) in limits.items():
        value = getattr(of, name)
        if declared[name] == "" and np.ndim(value):
            raise ValueError(f"`{name}` must be one number, got shape {np.shape(value)}.")
        if not ebm.concrete(value):
            continue
        numbers = np.asarray(value)
        if not (np.isfinite(numbers) & (numbers >= low) & (numbers <= high)).all():
            least = "above 0" if low == ABOVE_ZERO else f"at least {low:g}"
            allowed = least if high == np.inf else f"{least} and at most {high:g}"
            raise ValueError(f"`{name}` must be finite and {allowed}, got {numbers}.")


def check_kinds(of: Any, **kinds: type) -> None:
    """Raise a `TypeError` for a field that is no such thing; `None` may be a default."""
    defaults = {field.name: field.default for field in dataclasses.fields(of)}
    for name, kind in kinds.items():
        value = getattr(of, name)
        if not isinstance(value, kind) and not (value is None and defaults[name] is None):
            instance = " (call it to make one)" if isinstance(value, type) and issubclass(value, kind) else ""
            raise TypeError(f"`{name}` must be some `{kind.__module__.partition('.')[0]}.{kind.__name__}`, got {value!r}{instance}.")


def check_fits(of: Any, size: int, *names: str) -> None:
    """Raise a `ValueError` for a field that is neither one number nor one for each actuator."""
    for name in names:
        shape = np.shape(getattr(of, name))
        if shape not in ((), (1,), (size,)):
            raise ValueError(f"`{name}` must be one number or {size}, one for each actuator, got shape {shape}.")


def need(module: str, of: Any) -> None:
    """Raise an `ImportError` that names the extra, if a module of the extra `solvers` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"{type(of).__name__} needs {module}, which is not installed: pip install 'energy-planning[solvers]'.")
