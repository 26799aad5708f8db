"""A goal energy whose distance was learnt."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._energy import AbstractGoalEnergy
from ._reading import Reading
from ._terms import Source, matching
from ._types import Numbers, to_float, to_positive


class Remaining(AbstractGoalEnergy):
    """What is left to a goal, by a learnt distance, per second: `head(reading, goal)`.

    Far apart in features need not be far to go. `Terminal(Remaining(...))` judges a plan by what is left at its end.

    **Arguments:**

    - `head`: `(here, there) -> how far`, such as a trained `ebm.TimeToReach`.
    - `source`: what is read of a state, mostly `"features"`, or a callable state -> array.
    - `goal`: where to, of the reading's size.
    - `tolerance`: in the head's unit; within it the goal counts as reached.
    - `name`: of the term, for `with_goal` and reports.
    """

    head: Callable[[Array, Array], Array]
    reading: Reading
    goal: Float[Array, " feature"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        head: Callable[[Array, Array], Array],
        source: Source,
        goal: Numbers,
        *,
        tolerance: Numbers = 1.0,
        name: str = "remaining",
    ):
        self.head, self.reading = head, Reading(source)
        self.goal = jnp.atleast_1d(to_float(goal))
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def distance(self, state):
        here = self.reading(state)
        return self.head(here, matching(self.goal, here, self.reading.label))

    def stage(self, state, action, previous_action, time):
        return self.distance(state)

    def final(self, state, time):
        return jnp.float32(0.0)

    def terms(self, x):
        return {self.name: self(x)}
