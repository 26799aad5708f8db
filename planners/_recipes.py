"""Planners put together from others, for those that a short name stands for."""

from jaxtyping import ArrayLike

from ._event import EventTriggered
from ._gradient import GradientPlanner
from ._hybrid import HybridPlanner
from ._icem import iCEM
from ._lagrangian import AugmentedLagrangian


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


def event(
    horizon: int = 25, num_samples: int = 128, num_iterations: int = 3, noise: ArrayLike = 0.3, period: int = 5, tolerance: float = 0.01
) -> EventTriggered:
    """`iCEM`, whose plan is followed until it is `period` steps old, or the world has left it by more than the tolerance."""
    search = iCEM(horizon, num_samples, num_iterations, noise=noise)
    return EventTriggered(planner=search, period=period, tolerance=tolerance)  # pyright: ignore[reportCallIssue]
