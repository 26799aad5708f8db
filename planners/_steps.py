"""Steps of several sizes towards where the expanded energy is lowest."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._dense import dense
from ._expansion import expand
from ._riccati import riccati

STEP_SIZES = (0.0, 1.0, 0.5, 0.25, 0.1, 0.03, 0.01)  # of which one is the plan so far


def steps(
    problem: Any,
    trajectory: ebm.Trajectory,
    unit: Float[Array, " action"],
    bounds: ebm.Box,
    penalty: Float[Array, ""],
    damping: Float[Array, ""],
) -> tuple[Float[Array, "sizes horizon action"], Float[Array, "horizon action tangent"], Float[Array, "horizon action action"]]:
    """The actions after a step of every size, and the gains on state and previous action.

    Under a rate limit, each action stays as near to the one before it as that was: what is projected afterwards is hardly changed.
    """
    linear, actions = problem.model.linearize(trajectory), trajectory.actions
    rate = getattr(problem, "rate_limit", None)
    if rate is not None:
        held, reach = trajectory.previous_actions, rate * problem.dt
        bounds = ebm.Box(*(jnp.clip(held + end, bounds.low, bounds.high) for end in (-reach, reach)))
    slope, low, high = linear.B * unit, (bounds.low - actions) / unit, (bounds.high - actions) / unit
    sizes = jnp.asarray(STEP_SIZES)
    if not isinstance(problem.energy, ebm.AbstractStageEnergy):
        change = dense(problem, trajectory, linear.lift, linear.A, slope, unit, low, high, penalty, damping)
        none = jnp.zeros((trajectory.horizon, unit.size, linear.B.shape[-2])), jnp.zeros((trajectory.horizon, unit.size, unit.size))
        return actions + sizes[:, None, None] * unit * change, *none
    expansion = expand(problem, trajectory, linear.lift, unit, penalty)
    change, gain, memory = riccati(expansion, linear.A, slope, low, high, damping)
    gain, memory = unit[:, None] * gain, unit[:, None] * memory / unit

    def follow(size):
        law = ebm.Feedback(size * unit * change, gain, memory, bounds.low, bounds.high)
        return problem.model.follow(trajectory, law)

    # a step of no size is the plan so far, bit for bit
    return jnp.concatenate([actions[None], jax.vmap(follow)(sizes[1:])]), gain, memory
