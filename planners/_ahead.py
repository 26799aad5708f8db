"""What planning beside a control loop needs: plans with times, the state in which one will begin, and how it all went."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

import ebm

from ._agent import Agent, settle
from ._compile import compiled
from ._planner import Plan


class Published(NamedTuple):
    """A plan in NumPy; times in s on the clock: when its first action takes effect, and of the observation behind it."""

    actions: np.ndarray
    begins: float
    seen: float
    plan: Plan

    def at(self, effect: float, dt: float) -> np.ndarray:
        """The action that takes effect then (s on the clock); the first or last one outside the plan."""
        index = round((effect - self.begins) / dt)
        return self.actions[min(max(index, 0), len(self.actions) - 1)]


@dataclasses.dataclass(frozen=True)
class RealtimeStatistics:
    """How it went so far.

    **Arguments:**

    - `plans`: published. `late`: of these, ready only when their first action was already due.
    - `stale`: calls of `action` that found no plan from an observation younger than `max_age`.
    - `planning_p50`, `planning_p99`, `planning_p999`: how long a plan took, s.
    - `error`: what ended the thread, if something did; `action` goes on without it.
    """

    plans: int
    late: int
    stale: int
    planning_p50: float
    planning_p99: float
    planning_p999: float
    error: BaseException | None


@compiled
def foresee(agent: Agent, observation: PyTree, memory: Any, action: Array, committed: Any, ahead: Int[Array, ""]) -> tuple[Any, Any]:
    """The state `ahead` control periods after the observation, under the actions that will have been sent; and the perceiver's memory."""
    model = agent.problem.model
    state, perceived = agent.perceiver.observe(model, memory, action, observation)
    good = ebm.all_finite(perceived)
    perceived = jax.tree.map(lambda new, old: jnp.where(good, new, old), perceived, memory)
    states = model.rollout(state, ebm.to_float(committed))
    return jax.tree.map(lambda leaf: leaf[ahead], states), perceived


@compiled
def replan(agent: Agent, state: Any, plan_state: Any, now: ebm.Now) -> tuple[Plan, Array, Any]:
    """A plan whose first action has passed the agent's fallback and filter; its actions; and the planner's state."""
    plan, plan_state = agent.planner.plan(agent.problem, state, plan_state, now)
    first = settle(agent, state, now, plan)
    return plan, plan.actions.at[0].set(first), plan_state
