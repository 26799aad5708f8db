"""A goal energy that lets detours pay."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._energy import AbstractGoalEnergy
from ._reading import Reading
from ._terms import Source, fitting
from ._types import Numbers, to_float, to_positive
from ._vectors import safe_norm


class Approach(AbstractGoalEnergy):
    """Bring a point to a goal by the distance itself: `√(1 + (|p − goal| / tolerance)²) − 1` per second.

    Like `Reach` within the tolerance, and linear far from it. A square makes the first steps of a detour cost more than arriving ever
    brings back; a distance does not.

    **Arguments:**

    - `source`: what moves: `"site:tip"`, `"features"`, or a callable state -> array.
    - `goal`: where to, of the reading's size.
    - `axis`: one component only.
    - `tolerance`: in the unit of the reading; within it the goal counts as reached.
    - `name`: of the term, for `with_goal` and reports.

    Charbonnier et al. 1994, "Two deterministic half-quadratic regularization algorithms for computed imaging".
    """

    reading: Reading
    goal: Float[Array, " component"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, goal: Any, *, axis: str | int | None = None, tolerance: Numbers = 0.02, name: str = "approach"):
        self.reading = Reading(source, axis)
        self.goal = jnp.atleast_1d(to_float(goal))
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def distance(self, state):
        return safe_norm(self._way(state))

    def stage(self, state, action, previous_action, time):
        return jnp.sqrt(1.0 + jnp.sum((self._way(state) / self.tolerance) ** 2)) - 1.0

    def final(self, state, time):
        return jnp.float32(0.0)

    def terms(self, x):
        return {self.name: self(x)}

    def _way(self, state):
        position = self.reading(state)
        return position - fitting(self.goal, position, self.reading.label)
