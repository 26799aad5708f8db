"""An agent: perceive, imagine, choose."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

import ebm

from ._checks import check_kinds
from ._compile import compiled, float32
from ._filter import AbstractFilter
from ._limits import EARLY
from ._planner import AbstractPlanner, Plan
from ._settle import ask, settle

LONGEST = 1e6  # s that may pass between two calls
MOST_TICKS = 2.0**30  # control periods that may
ON_TICK = 1e-3  # control periods by which one may be short and counts as whole


class AgentState(eqx.Module):
    """What an agent carries through an episode; nothing in here learns.

    **Arguments:**

    - `memory`: the perceiver's.
    - `plan_state`: the planner's.
    - `action`: what was sent last.
    - `tick`: whole control periods since the episode began. `part`: of the one that has begun, in [0, 1).
    - `since`: control periods since the action changed, less those by which that came early. Under a rate limit it changes once in each.
    """

    memory: Any
    plan_state: Any
    action: Float[Array, " action"]
    tick: Int[Array, ""]
    part: Float[Array, ""]
    since: Float[Array, ""]


class Agent(eqx.Module):
    """Perceiver, problem and planner in a loop.

    **Arguments:**

    - `problem`: what is wanted, in which world.
    - `planner`: how to find it.
    - `perceiver`: from observations to states.
    - `fallback`: `(state, now) -> action`, sent when no plan keeps every guardrail, or none is finite. Without one, the least violating
      finite action is sent.
    - `filter`: what every action passes last, such as `BackupFilter()`.
    """

    problem: ebm.AbstractProblem
    planner: AbstractPlanner
    perceiver: ebm.AbstractPerceiver = ebm.Direct()
    fallback: Callable[[Any, ebm.Now], Float[Array, " action"]] | None = None
    filter: AbstractFilter | None = None

    def __check_init__(self):
        check_kinds(self, problem=ebm.AbstractProblem, planner=AbstractPlanner, perceiver=ebm.AbstractPerceiver, filter=AbstractFilter)

    def init(self, *, key: Key[Array, ""]) -> AgentState:
        """The state at the start of an episode."""
        with float32():
            plan_state, rest = _begin(self, to_arrays(self.problem.model.example_state()), key)
            memory = to_arrays(self.perceiver.init(self.problem.model))
        tick, part, since = np.int32(0), np.float32(0.0), np.float32(MOST_TICKS)
        return AgentState(memory, plan_state, rest, jnp.asarray(tick), jnp.asarray(part), jnp.asarray(since))

    def act(
        self, observation: PyTree, state: AgentState, *, elapsed: ArrayLike | None = None
    ) -> tuple[Float[Array, " action"], AgentState]:
        """The action to send now.

        **Arguments:**

        - `observation`: what the perceiver takes; for `ebm.Direct`, a state of the model.
        - `elapsed`: s since the last call, default one control period, as for a number that is not finite; negative ones count as 0.

        **Returns:**

        An action that is finite and inside the limits, and the state for the next call.
        """
        action, _, state = self.decide(observation, state, elapsed=elapsed)
        return action, state

    def decide(
        self, observation: PyTree, state: AgentState, *, elapsed: ArrayLike | None = None
    ) -> tuple[Float[Array, " action"], Plan, AgentState]:
        """As `act`, and the plan behind the action."""
        observation = to_arrays(self.perceiver.sense(self.problem.model, observation))
        return _decide(self, observation, state, jnp.asarray(self.problem.dt if elapsed is None else elapsed, jnp.float32))


@compiled
def _begin(agent: Agent, state: PyTree, key: Key[Array, ""]) -> tuple[Any, Array]:
    box = agent.problem.action_space
    return agent.planner.init(agent.problem, state, key=key), box.rest


@compiled
def _decide(agent: Agent, observation: PyTree, memory: AgentState, elapsed: Float[Array, ""]) -> tuple[Array, Plan, AgentState]:
    problem = agent.problem
    state, perceived = agent.perceiver.observe(problem.model, memory.memory, memory.action, observation)
    elapsed = jnp.where(jnp.isfinite(elapsed), jnp.clip(elapsed, 0.0, LONGEST), problem.dt)
    now = ebm.Now(memory.tick, memory.action, elapsed)
    plan, plan_state = ask(agent, state, memory.plan_state, now)
    action = settle(agent, state, now, plan.actions[:1], plan.result)[0]
    periods = jnp.minimum(elapsed / problem.dt, MOST_TICKS)
    since = jnp.minimum(memory.since + periods, MOST_TICKS)
    if getattr(problem, "rate_limit", None) is not None:  # what it allows in one control period is allowed once in each
        action = jnp.where(since >= 1.0 - EARLY, action, memory.action)
        since = jnp.where(jnp.any(action != memory.action), jnp.minimum(since - 1.0, 0.0), since)
    # a memory that has swallowed a NaN would never recover
    good = ebm.all_finite(perceived)
    perceived = jax.tree.map(lambda new, old: jnp.where(good, new, old), perceived, memory.memory)
    past = memory.part + periods
    whole = jnp.floor(past + ON_TICK)
    ticks = jnp.minimum(whole.astype(jnp.int32), ebm.LAST_TICK - memory.tick)  # a clock that is full stands still
    return action, plan, AgentState(perceived, plan_state, action, memory.tick + ticks, jnp.maximum(past - whole, 0.0), since)


def to_arrays(observation: PyTree) -> PyTree:
    """An observation as JAX arrays, its floats in float32."""
    return jax.tree.map(_to_array, observation)


def _to_array(leaf: Any) -> Array:
    leaf = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    return jnp.asarray(leaf, jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else jnp.asarray(leaf)
