"""Planners by name."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ebm

from ._agent import Agent
from ._controller import Controller
from ._planner import AbstractPlanner


class Lineup(Mapping[str, Callable[..., AbstractPlanner]]):
    """Short names of planners, or of recipes for them, each loaded on first use."""

    def __init__(self, homes: Mapping[str, str]):
        self._homes = homes

    def __getitem__(self, name: str) -> Callable[..., AbstractPlanner]:
        home, _, attribute = self._homes[name].rpartition(".")
        return getattr(importlib.import_module(f".{home}", __package__), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


PLANNERS = Lineup(
    {
        "mppi": "_mppi.MPPI",
        "cem": "_cem.CEM",
        "icem": "_icem.iCEM",
        "predictive": "_predictive.PredictiveSampling",
        "dial": "_dial.DIAL",
        "covariance": "_covariance.CovarianceMPPI",
        "gradient": "_gradient.GradientPlanner",
        "collocation": "_collocation.Collocation",
        "ilqr": "_ilqr.ILQR",
        "hybrid": "_recipes.hybrid",
        "lagrangian": "_recipes.lagrangian",
        "event": "_recipes.event",
        "categorical": "_categorical.CategoricalCEM",
        "beam": "_beam.BeamSearch",
        "lattice": "_lattice.LatticeSearch",
        "tree": "_tree.TreeSearch",
    }
)


def planner(name: str, **options: Any) -> AbstractPlanner:
    """A planner by its short name, or by `module:Class` for one's own.

    **Arguments:**

    - `name`: one of `planners.PLANNERS`, or `"package.module:Class"`.
    - `options`: its arguments, such as `horizon=25`.

    **Raises:**

    `ValueError` listing the near names, or the options that exist.
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a planner's short name such as 'mppi', got {name!r}.")
    kind = _custom(name) if ":" in name else PLANNERS.get(name.lower())
    if kind is None:
        near = difflib.get_close_matches(name.lower(), PLANNERS, 2)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"There is no planner {name!r}.{hint} There are {', '.join(PLANNERS)}, and `module:Class` for your own.")
    known = inspect.signature(kind).parameters
    for option in options:
        if option not in known:
            raise ValueError(f"{kind.__name__} has no option {option!r}. It has {', '.join(known)}.")
    return kind(**options)


def make(
    name: str,
    problem: ebm.AbstractProblem,
    *,
    perceiver: ebm.AbstractPerceiver | None = None,
    fallback: Any = None,
    seed: int = 0,
    **options: Any,
) -> Controller:
    """A controller in one call: `planners.make("icem", problem).predict(observation)`.

    **Arguments:**

    - `name`, `options`: see `planner`.
    - `perceiver`: default `ebm.Direct()`, for observations that are states.
    - `seed`: of the planner's random numbers.
    """
    return Controller(Agent(problem, planner(name, **options), perceiver or ebm.Direct(), fallback), seed=seed)


def _custom(name: str) -> type[AbstractPlanner]:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ValueError(f"{name!r} must be `module:Class`, such as 'my_planners:Mine'.")
    try:
        home = importlib.import_module(module)
    except Exception as error:  # whatever a stranger's module raises
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name!r}: the module {module!r} cannot be imported ({reason}). Is it on the Python path?") from error
    try:
        kind = getattr(home, attribute)
    except AttributeError as error:
        raise ValueError(f"{name!r}: the module {module!r} has no {attribute!r}.") from error
    if not (isinstance(kind, type) and issubclass(kind, AbstractPlanner)):
        raise ValueError(f"{name!r} is not a planner: it must be a subclass of planners.AbstractPlanner.")
    if inspect.isabstract(kind):
        raise ValueError(f"{name!r} is abstract. Name one of its subclasses.")
    return kind
