"""Planning with a finite set of actions: the set, and what one of them leads to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

import ebm

MOST_CHOICES = 1024
MOST_BRANCHES = 2**20


def choices_of(problem: ebm.AbstractProblem, choices: ebm.Discrete | None, resolution: int) -> Float[Array, "choices action"]:
    """The given choices, clipped to the box, or a grid of `resolution` values per actuator from limit to limit.

    **Raises:**

    `ValueError` if the choices do not fit the actuators, or if the grid would be too large.
    """
    box = problem.action_space
    if choices is not None:
        if not isinstance(choices, ebm.Discrete):
            raise TypeError(f"`choices` must be a set of actions such as `ebm.Discrete(actions)`, got {choices!r}.")
        if choices.actions.ndim and not choices.actions.shape[0]:
            raise ValueError("`choices` is empty. Give at least one action.")
        if choices.actions.ndim != 2 or choices.actions.shape[1] != box.size:
            raise ValueError(f"`choices` must have shape (choices, {box.size}), got {choices.actions.shape}: one column per actuator.")
        return box.clip(choices.actions)
    if resolution**box.size > MOST_CHOICES:
        raise ValueError(
            f"A grid of {resolution} values for each of {box.size} actuators has {resolution**box.size} actions, more than {MOST_CHOICES}. "
            "Give fewer, as `choices=ebm.Discrete(actions)`: primitives that make sense together."
        )
    grid = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, resolution)] * box.size, indexing="ij"), axis=-1).reshape(-1, box.size)
    return box.low + (box.high - box.low) * ebm.to_float(grid)


def check_branches(count: int, what: str) -> None:
    """Raise a `ValueError` where a search would hold more partial plans at once than fit into memory."""
    if count > MOST_BRANCHES:
        raise ValueError(
            f"{what} makes {count} partial plans at once, more than {MOST_BRANCHES}. Give fewer `choices` or a smaller `width`."
        )


def decisions(horizon: int, hold: int) -> int:
    """How many choices of `hold` steps make a plan of `horizon` steps."""
    return -(-horizon // hold)


def advance(
    problem: Any,
    state: PyTree,
    action: Float[Array, " action"],
    hold: int,
    previous: Float[Array, " action"],
    tick: Int[Array, ""],
    count: Int[Array, ""] | int | None = None,
) -> tuple[PyTree, Float[Array, " action"], Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """Hold one action for `hold` steps in the nominal world, as far as the limits let it, of which the first `count` matter (default: all).

    **Returns:**

    The state after them, the last action that was sent, the energy of their stages, their summed positive violations, and whether all was
    finite.
    """
    count = hold if count is None else count
    counts = jnp.arange(hold) < count
    state = jax.tree.map(jnp.asarray, state)
    actions = problem.project(jnp.broadcast_to(action, (hold, action.size)), ebm.Now(tick, previous, 0.0))
    states = problem.model.rollout(state, actions)
    times = (tick + jnp.arange(hold + 1)).astype(jnp.float32) * problem.dt
    before, after = (jax.tree.map(lambda leaf, part=part: leaf[part], states) for part in (slice(None, -1), slice(1, None)))
    held = jnp.concatenate([previous[None], actions[:-1]])
    energy = problem.dt * jnp.sum(jnp.where(counts, jax.vmap(problem.energy.stage)(before, actions, held, times[:-1]), 0.0))
    rails = [jnp.maximum(jax.vmap(g.stage)(after, actions, held, times[1:]) / g.scale, 0.0) for g in problem.guardrails]
    violation = sum((jnp.sum(jnp.where(counts, rail, 0.0)) for rail in rails), jnp.zeros(()))
    finite = ebm.all_finite(states) & jnp.isfinite(energy) & ~jnp.isnan(violation)
    last = jax.tree.map(lambda old, leaf: jnp.asarray(leaf[count], old.dtype), state, states)
    return last, actions[jnp.maximum(count - 1, 0)], energy, violation, finite


def outlook(
    problem: Any,
    state: PyTree,
    held: Float[Array, " action"],
    action: Float[Array, " action"],
    hold: int,
    tick: Int[Array, ""],
    count: Int[Array, ""],
    penalty: Float[Array, ""],
) -> Float[Array, ""]:
    """The energy of holding one action over the next `count` steps: what a partial plan is worth at least.

    It includes violations, times `penalty`, and is +inf if something does not stay finite. The world is rolled out `hold` steps at a time,
    as often as it takes.
    """

    def further(part, on):
        state, held, cost = on
        done = part * hold
        matter = jnp.minimum(count - done, hold)
        state, held, energy, violation, finite = advance(problem, state, action, hold, held, tick + done, matter)
        return state, held, cost + jnp.where(finite, energy + penalty * violation, jnp.inf)

    on = jax.tree.map(jnp.asarray, state), held, jnp.zeros(())
    after, _, cost = jax.lax.fori_loop(0, -(-count // hold), further, on)
    cost = cost + problem.energy.final(after, (tick + count).astype(jnp.float32) * problem.dt)
    return jnp.where(jnp.isfinite(cost), cost, jnp.inf)
