"""Plan only when it is time, or when the world has left the plan."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

import ebm

from ._checks import check_kinds, check_numbers
from ._planner import RESULTS, AbstractPlanner, Plan, check_requirements, finish, no_plan
from ._settle import differs


class EventState(eqx.Module):
    """The inner planner's state, its last plan, what was wished for then, whether there is one yet, and the time since (s)."""

    inner: Any
    plan: Plan
    wishes: Any
    planned: Bool[Array, ""]
    age: Float[Array, ""]


class EventTriggered(AbstractPlanner):
    """Follow a plan until it is old, or until the state is not what it foresaw (Heemels, Johansson and Tabuada 2012).

    Saves planning time where the model is good; a shove is answered at once. A plan that is not `successful` is never followed, nor one
    that has left the limits, because these have changed, or because something else was sent meanwhile, nor one for other goals, weights or
    guardrails. What is left of a plan, its last action repeated, is imagined anew from where the world is now, and judged by that.

    **Arguments:**

    - `planner`: what makes the plans.
    - `period`: control periods after which a plan is made anew in any case.
    - `tolerance`: the largest entry of `model.difference` between state and forecast that is not a surprise (m, rad, m/s, rad/s).
    """

    planner: AbstractPlanner
    period: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=5)
    tolerance: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.01)

    def __check_init__(self):
        check_kinds(self, planner=AbstractPlanner)
        check_numbers(self, period=(1.0, np.inf), tolerance=(0.0, np.inf))

    @property
    def horizon(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.planner.horizon

    @property
    def requires(self):
        return self.planner.requires

    def init(self, problem, state, *, key):
        check_requirements(self, problem)
        inner = self.planner.init(problem, state, key=key)
        plan = no_plan(self.planner, problem, state, inner)
        return EventState(inner, plan, _wishes(problem), jnp.array(False), jnp.zeros(()))

    @property
    def adopts(self):
        return self.planner.adopts

    def adopt(self, problem, plan_state, actions):
        inner = self.planner.adopt(problem, plan_state.inner, actions)
        return eqx.tree_at(lambda s: (s.inner, s.planned, s.age), plan_state, (inner, jnp.array(False), jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        last, age = plan_state.plan, plan_state.age + now.elapsed
        index = now.tick - last.trajectory.now.tick
        foreseen = jax.tree.map(lambda leaf: leaf[jnp.clip(index, 0, self.horizon)], last.trajectory.states)
        gap = jnp.max(jnp.abs(problem.model.difference(foreseen, state)), initial=0.0)
        follow = plan_state.planned & (gap <= self.tolerance) & (index >= 0) & (index < jnp.minimum(self.period, self.horizon))
        left = last.actions[jnp.clip(jnp.arange(self.horizon) + index, 0, self.horizon - 1)]
        executable = ~jnp.any(differs(problem.project(left, now), left, problem.action_space))
        moved = finish(state, left, problem.evaluate(state, left, now, key=jax.random.key(0)))
        wishes = _wishes(problem)
        follow = follow & (last.result == RESULTS.successful) & (moved.result == RESULTS.successful)
        follow = follow & executable & eqx.tree_equal(wishes, plan_state.wishes)

        def go_on():
            plan = eqx.tree_at(lambda p: p.upper, moved, last.upper, is_leaf=lambda node: node is None)
            return plan, eqx.tree_at(lambda s: s.age, plan_state, age)

        def anew():
            plan, inner = self.planner.plan(problem, state, plan_state.inner, eqx.tree_at(lambda n: n.elapsed, now, age))
            return plan, EventState(inner, plan, wishes, jnp.array(True), jnp.zeros(()))

        return jax.lax.cond(follow, go_on, anew)


def _wishes(problem: ebm.AbstractProblem) -> Any:
    """The numbers of every energy and guardrail, of levels above as well."""
    own = eqx.filter([getattr(problem, name, None) for name in ("energy", "guardrails")], eqx.is_array)
    return [own, *([_wishes(problem.upper)] if "upper" in problem.provides else [])]  # pyright: ignore[reportAttributeAccessIssue]
