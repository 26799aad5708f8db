"""Linear dynamics and any energy: one Gauss–Newton step over all actions at once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._box_qp import box_qp, damp, to_convex


def dense(problem, trajectory, lift, A, B, unit, low, high, penalty, damping) -> Float[Array, "horizon action"]:
    """The change of every action, for an energy that is not a sum over time; arguments as for `riccati`."""
    horizon, num_actions = trajectory.actions.shape
    model, columns = problem.model, jnp.eye(horizon * num_actions).reshape(horizon, num_actions, -1)

    def respond(x, stage):
        a, b, u = stage
        x = a @ x + b @ u
        return x, x

    rest = jnp.zeros((A.shape[-1], horizon * num_actions))
    _, response = jax.lax.scan(respond, rest, (A, B, columns))
    response = jnp.concatenate([rest[None], response])

    def cost(change):
        states = jax.vmap(model.move)(trajectory.states, lift, response @ change)
        moved = ebm.Trajectory(states, trajectory.actions + unit * change.reshape(horizon, -1), trajectory.now, trajectory.dt)
        after = jax.tree.map(lambda leaf: leaf[1:], states)
        arguments = after, moved.actions, moved.previous_actions, moved.times[1:]
        hinges = [jnp.maximum(jax.vmap(g.stage)(*arguments) / g.scale, 0.0) for g in problem.guardrails]
        return problem.energy(moved) + 0.5 * penalty * sum((jnp.sum(h**2) for h in hinges), jnp.zeros(()))

    still = jnp.zeros(horizon * num_actions)
    gradient, hessian = jax.grad(cost)(still), to_convex(jax.hessian(cost)(still))
    damped = damp(hessian, damping)
    change, _ = box_qp(damped, gradient, low.ravel(), high.ravel())
    return change.reshape(horizon, num_actions)
