"""Constraints by multipliers, around any planner."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import ebm

from ._basis import ZeroOrder, move_on
from ._planner import AbstractPlanner, check_requirements, finish
from ._rank import choose

ENOUGH = 0.25  # a round that leaves more than this share of the violation raises the penalty
STIFFEST = 1e6  # times the first penalty


class LagrangianState(eqx.Module):
    """The inner planner's state, multipliers per guardrail and step, how far time is past the first of them (steps), and a key."""

    inner: Any
    multipliers: Float[Array, "guardrails horizon"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class AugmentedLagrangian(AbstractPlanner):
    """Turn guardrails into energies whose weights are learned: the multipliers of the constraints, one for every guardrail and step.

    Planners that follow gradients cannot rank by feasibility, and a fixed penalty is either too weak to hold or too stiff to optimise. Each
    round plans with the present multipliers, then raises them where the plan still violates. The best plan by rank is returned, so in the
    end a guardrail is never traded. A guardrail that looks at actions sees the one that led to a state, and none at the last state.

    **Arguments:**

    - `planner`: what plans in every round.
    - `num_rounds`: per plan; multipliers are kept from plan to plan, moved on in time.
    - `penalty`: energy per half squared violation in the first round, and `growth`: by which it rises when a round did too little.

    Hestenes 1969; Powell 1969; Howell, Jackson and Manchester 2019, "ALTRO".
    """

    planner: AbstractPlanner
    num_rounds: int = eqx.field(static=True, default=3)
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=10.0)
    growth: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=10.0)

    def __check_init__(self):
        if self.num_rounds < 1:
            raise ValueError(f"`num_rounds` must be positive, got {self.num_rounds}. It counts the updates of the multipliers per plan.")

    @property
    def horizon(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.planner.horizon

    @property
    def requires(self):
        return self.planner.requires | {"guardrails"}

    def init(self, problem, state, *, key):
        check_requirements(self, problem)
        key, inner_key = jax.random.split(key)
        nothing = jnp.zeros((len(_rails(problem)), self.horizon))
        inner = self.planner.init(_relaxed(problem, nothing, self.penalty, jnp.int32(0)), state, key=inner_key)
        return LagrangianState(inner, nothing, jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        return eqx.tree_at(lambda s: s.inner, plan_state, self.planner.adopt(problem, plan_state.inner, actions))

    def plan(self, problem, state, plan_state, now):
        key, world_key = jax.random.split(plan_state.key)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        due = jnp.arange(self.horizon) + whole.astype(jnp.int32)
        multipliers = jnp.where(due < self.horizon, plan_state.multipliers[:, jnp.clip(due, 0, self.horizon - 1)], 0.0)

        def improve(carry, elapsed):
            inner, multipliers, penalty, before = carry
            relaxed = _relaxed(problem, multipliers, penalty, now.tick)
            plan, inner = self.planner.plan(relaxed, state, inner, eqx.tree_at(lambda n: n.elapsed, now, elapsed))
            value = problem.evaluate(state, plan.actions, now, key=world_key)
            violations = jnp.stack([value.violations[g.name] for g in _rails(problem)]) if _rails(problem) else multipliers
            raised = jnp.maximum(multipliers + penalty * violations, 0.0)
            multipliers = jnp.where(jnp.isfinite(raised), raised, multipliers)
            left = jnp.max(violations, initial=0.0)
            penalty = jnp.where(left > ENOUGH * before, jnp.minimum(penalty * self.growth, STIFFEST * self.penalty), penalty)
            return (inner, multipliers, penalty, left), finish(state, plan.actions, value)

        start = plan_state.inner, multipliers, self.penalty, jnp.zeros(())
        elapsed = jnp.zeros(self.num_rounds).at[0].set(now.elapsed)
        (inner, multipliers, _, _), plans = jax.lax.scan(improve, start, elapsed)
        return choose(plans), LagrangianState(inner, multipliers, phase, key)


class Multipliers(ebm.AbstractStageEnergy):
    """`½ ρ Σ max(v + λ/ρ, 0)²` over guardrails, at every state but the first, in units of energy: the running cost is that over dt."""

    guardrails: tuple[ebm.AbstractGuardrail, ...]
    multipliers: Float[Array, "guardrails horizon"]
    penalty: Float[Array, ""]
    tick: Int[Array, ""]
    num_actions: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def stage(self, state, action, previous_action, time):
        r, weights = self.stage_residual(state, action, previous_action, time)
        return 0.5 * jnp.sum(weights * r**2)

    def final(self, state, time):
        r, weights = self.final_residual(state, time)
        return 0.5 * jnp.sum(weights * r**2)

    def stage_residual(self, state, action, previous_action, time):
        return self._residual(state, previous_action, time, self.penalty / self.dt)

    def final_residual(self, state, time):
        return self._residual(state, jnp.zeros(self.num_actions), time, self.penalty)

    def terms(self, x):
        return {"guardrails": self(x)}

    def _residual(self, state, led_here, time, weight):
        index = jnp.round(time / self.dt).astype(jnp.int32) - self.tick - 1
        due = self.multipliers[:, jnp.clip(index, 0, self.multipliers.shape[1] - 1)]
        values = jnp.stack([g.stage(state, led_here, led_here, time) / g.scale for g in self.guardrails])
        r = jnp.where(index >= 0, jnp.maximum(values + due / self.penalty, 0.0), 0.0)
        return r, jnp.broadcast_to(weight, r.shape)


def _rails(problem: Any) -> tuple[ebm.AbstractGuardrail, ...]:
    return problem.guardrails


def _relaxed(problem: Any, multipliers: Array, penalty: Array, tick: Array) -> ebm.Problem:
    """The problem with multipliers in place of guardrails."""
    if not problem.guardrails:
        return problem
    energy = Multipliers(problem.guardrails, multipliers, penalty, tick, problem.action_space.size, problem.dt)
    return problem.relaxed(problem.energy + energy)
