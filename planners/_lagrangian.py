"""Constraints by multipliers, around any planner."""

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import ebm

from ._basis import ZeroOrder, move_on
from ._checks import ABOVE_ZERO, check_counts, check_kinds, check_numbers
from ._event import EventTriggered
from ._multipliers import Multipliers
from ._planner import AbstractPlanner, check_requirements, finish
from ._rank import choose
from ._retreat import on_the_way, retreats

ENOUGH = 0.25  # a round that leaves more than this share of the violation raises the penalty
STIFFEST = 1e6  # times the first penalty
HOPELESS = 100.0  # times its scale; of a plan that violates a guardrail by more, nothing is learned


class LagrangianState(eqx.Module):
    """The inner planner's state, the last plan, how far time is past its first action (steps), multipliers per guardrail and step, the tick
    of the first of them, and a key."""

    inner: Any
    actions: Float[Array, "horizon action"]
    multipliers: Float[Array, "guardrails horizon"]
    tick: Int[Array, ""]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class AugmentedLagrangian(AbstractPlanner):
    """Turn guardrails into energies whose weights are learned: the multipliers of the constraints, one for every guardrail and step.

    Planners that follow gradients cannot rank by feasibility, and a fixed penalty is either too weak to hold or too stiff to optimise. Each
    round plans with the present multipliers, then raises them where the plan still violates. The best plan by rank is returned, among them
    retreats from the last one and points on the way to where the last round came to, so in the end a guardrail is never traded. A guardrail
    that looks at actions sees the one that led to a state, and none at the last state.

    **Arguments:**

    - `planner`: what plans in every round.
    - `num_rounds`: per plan; multipliers are kept from plan to plan, moved on in time.
    - `penalty`: energy per half squared violation in the first round, and `growth`: by which it rises when a round did too little.
    - `margin`: times its scale, by which a guardrail is kept in every round: multipliers come to a limit from the wrong side.

    Hestenes 1969; Powell 1969; Howell, Jackson and Manchester 2019, "ALTRO".
    """

    planner: AbstractPlanner
    num_rounds: int = eqx.field(static=True, default=3)
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=10.0)
    growth: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=10.0)
    margin: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.01)

    def __check_init__(self):
        if isinstance(self.planner, EventTriggered):
            raise ValueError("A plan that is only followed learns no multipliers. Put `EventTriggered` around `AugmentedLagrangian`.")
        check_kinds(self, planner=AbstractPlanner)
        check_counts(self, num_rounds=1)
        check_numbers(self, penalty=(ABOVE_ZERO, np.inf), growth=(1.0, np.inf), margin=(0.0, np.inf))

    @property
    def horizon(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.planner.horizon

    @property
    def requires(self):
        return self.planner.requires | {"guardrails"}

    def init(self, problem, state, *, key):
        check_requirements(self, problem)
        key, inner_key = jax.random.split(key)
        nothing = jnp.zeros((len(cast(Any, problem).guardrails), self.horizon))
        inner = self.planner.init(self._relaxed(problem, nothing, self.penalty, jnp.int32(0)), state, key=inner_key)
        rest = jnp.broadcast_to(problem.action_space.rest, (self.horizon, problem.action_space.size))
        return LagrangianState(inner, rest, nothing, jnp.int32(0), jnp.zeros(()), key)

    @property
    def adopts(self):
        return self.planner.adopts

    def adopt(self, problem, plan_state, actions):
        inner = self.planner.adopt(problem, plan_state.inner, actions)
        begin = inner, problem.action_space.clip(actions), jnp.zeros(())
        return eqx.tree_at(lambda s: (s.inner, s.actions, s.phase), plan_state, begin)

    def plan(self, problem, state, plan_state, now):
        key, world_key = jax.random.split(plan_state.key)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        rails: tuple[ebm.AbstractGuardrail, ...] = cast(Any, problem).guardrails
        # by the clock, not by the phase: whoever gives this planner a plan to begin at says nothing of the time that has passed
        due = jnp.arange(self.horizon) + jnp.clip(now.tick - plan_state.tick, -self.horizon, self.horizon)
        known = (due >= 0) & (due < self.horizon)
        multipliers = jnp.where(known, plan_state.multipliers[:, jnp.clip(due, 0, self.horizon - 1)], 0.0)

        def improve(carry, elapsed):
            inner, multipliers, penalty, before = carry
            relaxed = self._relaxed(problem, multipliers, penalty, now.tick)
            plan, inner = self.planner.plan(relaxed, state, inner, eqx.tree_at(lambda n: n.elapsed, now, elapsed))
            value = problem.evaluate(state, plan.actions, now, key=world_key)
            violations = jnp.stack([value.violations[g.name] for g in rails]) + self.margin if rails else multipliers
            left = jnp.max(violations, initial=0.0)
            hopeful = left < HOPELESS
            multipliers = jnp.where(hopeful, jnp.maximum(multipliers + penalty * violations, 0.0), multipliers)
            stiffer = jnp.minimum(penalty * self.growth, STIFFEST * self.penalty)
            penalty = jnp.where(hopeful & (left > ENOUGH * before), stiffer, penalty)
            return (inner, multipliers, penalty, left), finish(state, plan.actions, value)

        def judge(tried):
            return jax.vmap(lambda actions: finish(state, actions, problem.evaluate(state, actions, now, key=world_key)))(tried)

        start = plan_state.inner, multipliers, self.penalty, jnp.zeros(())
        elapsed = jnp.zeros(self.num_rounds).at[0].set(now.elapsed)
        (inner, multipliers, _, _), plans = jax.lax.scan(improve, start, elapsed)
        if rails:
            last, again = plans.trajectory.actions[-1], judge(retreats(problem, plan_state.actions, whole, now))
            plans = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), plans, again)
            plans = judge(on_the_way(problem, choose(plans).actions, last, now))
        plan = choose(plans)
        return plan, LagrangianState(inner, plan.actions, multipliers, now.tick, phase, key)

    def _relaxed(self, problem: Any, multipliers: Array, penalty: Array, tick: Array) -> Any:
        """The problem with multipliers in place of guardrails."""
        if not problem.guardrails:
            return problem
        energy = Multipliers(problem.guardrails, multipliers, penalty, self.margin, tick, problem.action_space.size, problem.dt)
        return problem.relaxed(problem.energy + energy)
