"""What is sent of a plan: behind the fallback, the limits and the filter."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

import ebm

from ._filter import sendable
from ._planner import RESULTS, Plan

ROUNDING = 1e-5  # of half the action box


def differs(actions: Float[Array, "count action"], others: Float[Array, "count action"], box: ebm.Box) -> Bool[Array, " count"]:
    """Which of the actions differ from the others by more than rounding."""
    return jnp.any(jnp.abs(actions - others) > ROUNDING * box.half_range, axis=-1)


def ask(agent: Any, state: PyTree, plan_state: Any, now: ebm.Now) -> tuple[Plan, Any]:
    """The plan of an agent's planner, and the planner's state. It says `nonfinite_plan` if its actions are not finite: not every planner
    looks."""
    plan, plan_state = agent.planner.plan(agent.problem, state, plan_state, now)
    finite = jnp.all(jnp.isfinite(plan.actions))
    return eqx.tree_at(lambda p: p.result, plan, RESULTS.where(finite, plan.result, RESULTS.nonfinite_plan)), plan_state


def settle(agent: Any, state: PyTree, now: ebm.Now, actions: Float[Array, "count action"], result: RESULTS) -> Float[Array, "count action"]:
    """The first actions of a plan with that result, or the fallback's held, behind the filter: finite and inside the limits in any case.

    From the first action on that the filter changes, what it sends instead is held, for what was planned after it has become void.
    """
    if agent.fallback is not None:
        unsafe = (result != RESULTS.successful) & (result != RESULTS.bad_gradient)
        actions = jnp.where(unsafe, agent.fallback(state, now), actions)
    actions = sendable(agent.problem, actions, now)
    if agent.filter is None:
        return actions
    if len(actions) == 1:
        states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
    else:
        states = agent.problem.model.rollout(state, actions[:-1])
    held = jnp.concatenate([now.previous_action[None], actions[:-1]])

    def passed(state, action, held, later):
        return agent.filter(agent.problem, state, action, ebm.Now(now.tick + later, held, agent.problem.dt))[0]

    sent = jax.vmap(passed)(states, actions, held, jnp.arange(len(actions)))
    sent = jnp.where(jnp.isfinite(sent), sent, actions)
    changed = differs(sent, actions, agent.problem.action_space)
    void = jnp.cumsum(changed) > 0
    return agent.problem.project(jnp.where(void[:, None], sent[jnp.argmax(changed)], actions), now)
