"""Get an agent ready before the first moment that matters."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

import ebm

from ._agent import Agent, to_arrays
from ._compile import compiled
from ._rank import rank

NOISES = (0.05, 0.1, 0.2, 0.4)  # of half the action box
STEPS = 50  # control periods of the trial run


class Choice(eqx.Module):
    """What `warmup` tried, and what it chose.

    **Arguments:**

    - `noises`: the noise of each trial. `energies`, `violations`: of the whole trial run, as the problem judges it.
    - `noise`: the chosen one.
    """

    noises: Float[Array, " trial"]
    energies: Float[Array, " trial"]
    violations: Float[Array, " trial"]
    noise: Float[Array, ""]


def warmup(
    agent: Agent, observation: PyTree | None = None, *, choose: bool = False, noises: Sequence[float] = NOISES, steps: int = STEPS
) -> tuple[Agent, Choice | None]:
    """Compile an agent, and perhaps choose how widely its planner searches.

    **Arguments:**

    - `agent`: whose `act` shall be compiled.
    - `observation`: where it will start; default the model's example state, for agents that are given states.
    - `choose`: try every noise in `noises` in closed loop on the *plan model*, from there, for `steps` control periods, and take the best.
      The plant is not touched. Only for planners that have `noise`.

    **Returns:**

    The agent, with the chosen noise, and what was tried (`None` unless `choose`).

    **Raises:**

    `ValueError` if the planner has no `noise` to choose, or if there is nothing to choose from.
    """
    problem = agent.problem
    if choose and not hasattr(agent.planner, "noise"):
        raise ValueError(f"{type(agent.planner).__name__} has no `noise` to choose. Call `warmup` without `choose`.")
    tried = np.asarray(noises, np.float32)
    if choose and not (tried.ndim == 1 and tried.size and np.isfinite(tried).all() and (tried >= 0).all() and steps >= 1):
        raise ValueError(f"`noises` must be finite and at least 0, and `steps` at least 1, got {noises} and {steps}.")
    observation = problem.model.example_state() if observation is None else observation
    choice = None
    if choose:
        sensed = to_arrays(agent.perceiver.sense(problem.model, observation))
        memory = agent.init(key=jax.random.key(0))
        state, _ = agent.perceiver.observe(problem.model, memory.memory, memory.action, sensed)
        choice = _try(agent, state, jnp.asarray(tried), int(steps))
        agent = _with_noise(agent, choice.noise)
    jax.block_until_ready(agent.act(observation, agent.init(key=jax.random.key(0)))[0])
    return agent, choice


def _with_noise(agent: Agent, noise: Float[Array, ""]) -> Agent:
    planner: Any = agent.planner
    return eqx.tree_at(lambda a: a.planner.noise, agent, jnp.broadcast_to(noise, planner.noise.shape))


@compiled
def _try(agent: Agent, start: PyTree, noises: Float[Array, " trial"], steps: int) -> Choice:
    problem = agent.problem
    key = jax.random.key(1)

    def episode(noise):
        trial = _with_noise(agent, noise)
        box = problem.action_space
        rest = box.rest

        def step(carry, tick):
            state, plan_state, action = carry
            plan, plan_state = trial.planner.plan(problem, state, plan_state, ebm.Now(tick, action, problem.dt))
            return (problem.model.step(state, plan.actions[0]), plan_state, plan.actions[0]), plan.actions[0]

        plan_state = trial.planner.init(problem, start, key=key)
        _, actions = jax.lax.scan(step, (start, plan_state, rest), jnp.arange(steps, dtype=jnp.int32))
        return problem.evaluate(start, actions, ebm.Now(0, rest, problem.dt), key=key)

    values = jax.lax.map(episode, noises)
    return Choice(noises, values.energy, values.violation, noises[rank(values).best])
