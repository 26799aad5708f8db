"""A planner, seen from above as a world."""

import equinox as eqx
import jax
import jax.numpy as jnp

import ebm

from ._checks import check_counts
from ._planner import AbstractPlanner


class PlannerModel(ebm.AbstractWorldModel):
    """A world whose actions are goals: a step is what a planner beneath makes of a goal in `period` control periods.

    Lets an upper level plan with what the lower level can really do, at the price of imagining it plan. A state has no clock and no
    actuators in it: every step begins at the time 0, with the actuators at rest, so the level beneath must want the same at all times.

    **Arguments:**

    - `problem`, `planner`: the level beneath; the problem has a goal that can be swapped.
    - `goals`: the box that goals are chosen from.
    - `period`: control periods of the level beneath per step.
    - `name`: of the goal, if the problem has several.

    **Raises:**

    `ValueError` for a level beneath whose limits change with time.
    """

    problem: ebm.AbstractProblem
    planner: AbstractPlanner
    action_space: ebm.Box
    dt: float = eqx.field(static=True)
    period: int = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self, problem: ebm.AbstractProblem, planner: AbstractPlanner, goals: ebm.Box, *, period: int = 10, name: str | None = None
    ):
        limits = getattr(problem, "limits", None)
        if limits is not None and limits.low.ndim > 1:
            raise ValueError(
                "The level beneath has a box for every control period, and a state does not say which is due. Give it one box."
            )
        self.problem, self.planner, self.action_space = problem, planner, goals
        self.dt, self.period, self.name = problem.dt * period, period, name

    def __check_init__(self):
        check_counts(self, period=1)

    @property
    def compiler_options(self):
        return self.problem.model.compiler_options

    def example_state(self):
        return self.problem.model.example_state()

    def step(self, state, action, latents=None):
        del latents
        posed, box = self.problem.with_goal(action, self.name), self.problem.action_space
        state = jax.tree.map(jnp.asarray, state)

        def advance(carry, tick):
            state, plan_state, held = carry
            plan, plan_state = self.planner.plan(posed, state, plan_state, ebm.Now(tick, held, posed.dt))
            after = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), state, posed.model.step(state, plan.actions[0]))
            return (after, plan_state, plan.actions[0]), None

        begin = state, self.planner.init(posed, state, key=jax.random.key(0)), box.rest
        return jax.lax.scan(advance, begin, jnp.arange(self.period))[0][0]
