"""Planners by name."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import ArrayLike

import ebm

from ._agent import Agent, Controller
from ._beam import BeamSearch
from ._categorical import CategoricalCEM
from ._cem import CEM
from ._covariance import CovarianceMPPI
from ._dial import DIAL
from ._gradient import GradientPlanner
from ._hybrid import HybridPlanner
from ._icem import iCEM
from ._ilqr import ILQR
from ._lagrangian import AugmentedLagrangian
from ._mppi import MPPI
from ._planner import AbstractPlanner
from ._predictive import PredictiveSampling
from ._tree import TreeSearch


def hybrid(
    horizon: int = 25, num_samples: int = 128, num_iterations: int = 2, noise: ArrayLike = 0.3, num_refinements: int = 5
) -> HybridPlanner:
    """`iCEM` finds a plan, gradient steps refine it."""
    search = iCEM(horizon, num_samples, num_iterations, noise=noise)
    refine = GradientPlanner(horizon, num_starts=1, num_iterations=num_refinements, learning_rate=0.03)
    return HybridPlanner(search=search, refine=refine)  # pyright: ignore[reportCallIssue]


def lagrangian(
    horizon: int = 25, num_starts: int = 4, num_iterations: int = 10, noise: ArrayLike = 0.3, num_rounds: int = 3
) -> AugmentedLagrangian:
    """Gradient steps under guardrails that have become multipliers."""
    descent = GradientPlanner(horizon, num_starts, num_iterations, noise=noise)
    return AugmentedLagrangian(planner=descent, num_rounds=num_rounds)  # pyright: ignore[reportCallIssue]


PLANNERS: Mapping[str, Callable[..., AbstractPlanner]] = {
    "mppi": MPPI,
    "cem": CEM,
    "icem": iCEM,
    "predictive": PredictiveSampling,
    "dial": DIAL,
    "covariance": CovarianceMPPI,
    "gradient": GradientPlanner,
    "ilqr": ILQR,
    "hybrid": hybrid,
    "lagrangian": lagrangian,
    "categorical": CategoricalCEM,
    "beam": BeamSearch,
    "tree": TreeSearch,
}


def planner(name: str, **options: Any) -> AbstractPlanner:
    """A planner by its short name, or by `module:Class` for one's own.

    **Arguments:**

    - `name`: one of `planners.PLANNERS`, or `"package.module:Class"`.
    - `options`: its arguments, such as `horizon=25`.

    **Raises:**

    `ValueError` listing the near names, or the options that exist.
    """
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
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ValueError(f"{name!r}: the module {module!r} cannot be imported ({error}). Is it on the Python path?") from error
    except AttributeError as error:
        raise ValueError(f"{name!r}: the module {module!r} has no {attribute!r}.") from error
    if not (isinstance(kind, type) and issubclass(kind, AbstractPlanner)):
        raise ValueError(f"{name!r} is not a planner: it must be a subclass of planners.AbstractPlanner.")
    return kind
