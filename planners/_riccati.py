"""Linear dynamics, quadratic energy, and a box on every action: solved backwards in time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._box_qp import box_qp, damp, solve_free
from ._expansion import Expansion


def riccati(expansion: Expansion, A, B, low, high, damping) -> tuple[Array, Array, Array]:
    """Solve the linear-quadratic problem backwards: the change of every action, and its gains on state and previous action.

    **Arguments:**

    - `A`: (horizon, tangent, tangent). `B`: (horizon, tangent, action). `low`, `high`: of the change of each action, (horizon, action).
    - `damping`: added to the curvature over actions, relative to its mean.
    """
    num_actions = B.shape[-1]
    # z = (x, p) goes to (A x + B u, u)
    held = jnp.zeros((num_actions, B.shape[-2] + num_actions))

    def backward(value, stage):
        slope, curvature = value
        gradient, hessian, a, b, least, most = stage
        moves = jnp.block([[a, jnp.zeros_like(b), b], [held, jnp.eye(num_actions)]])
        gradient, hessian = gradient + moves.T @ slope, hessian + moves.T @ curvature @ moves
        qu, quu, quz = gradient[-num_actions:], hessian[-num_actions:, -num_actions:], hessian[-num_actions:, :-num_actions]
        damped = damp(quu, damping)
        change, free = box_qp(damped, qu, least, most)
        gain = -solve_free(damped, quz, free)
        slope = gradient[:-num_actions] + gain.T @ (quu @ change + qu) + quz.T @ change
        curvature = hessian[:-num_actions, :-num_actions] + gain.T @ quu @ gain + gain.T @ quz + quz.T @ gain
        return (slope, 0.5 * (curvature + curvature.T)), (change, gain)

    end = expansion.last_gradient, expansion.last_hessian
    stages = expansion.gradient, expansion.hessian, A, B, low, high
    _, (change, gain) = jax.lax.scan(backward, end, stages, reverse=True)
    return change, gain[..., :-num_actions], gain[..., -num_actions:]
