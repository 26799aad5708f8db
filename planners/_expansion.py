"""The energy around a trajectory, to second order, in the tangent space of the world."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._box_qp import to_convex


class Expansion(eqx.Module):
    """Gradients and convex Hessians of every stage over `w = (x, p, u)`, and of the end over `(x, p)`.

    x is the tangent of the state, p the change of the previous action, u that of the action; actions are in units of half the box.
    """

    gradient: Float[Array, "horizon w"]
    hessian: Float[Array, "horizon w w"]
    last_gradient: Float[Array, " z"]
    last_hessian: Float[Array, "z z"]


def expand(problem: Any, trajectory: ebm.Trajectory, lift: Any, unit: Float[Array, " action"], penalty: Float[Array, ""]) -> Expansion:
    """Expand the stages of `problem.energy`, and half the squared violations times `penalty`.

    Gauss–Newton where the energy is a sum of squared residuals, else the nearest convex Hessian. `lift` is that of the model's
    linearisation.
    """
    model, energy, num_actions = problem.model, problem.energy, unit.size
    tangent = jax.tree.leaves(lift)[0].shape[-1]

    def at(state, lift, action, previous, time, guarded):
        def moved(w):
            x, p, u = jnp.split(w, [tangent, tangent + num_actions])
            return model.move(state, lift, x), action + unit * u, previous + unit * p

        def cost(w):
            return energy.stage(*moved(w), time) * trajectory.dt

        def residual(w):
            return energy.stage_residual(*moved(w), time)

        def hinges(w):
            after, _, led_here = moved(w)
            return guarded * _hinges(problem, after, led_here, time)

        return _quadratic(cost, residual, hinges, tangent + 2 * num_actions, trajectory.dt, penalty)

    def end(state, lift, previous, time):
        def moved(z):
            return model.move(state, lift, z[:tangent]), previous + unit * z[tangent:]

        def residual(z):
            return energy.final_residual(moved(z)[0], time)

        return _quadratic(
            lambda z: energy.final(moved(z)[0], time),
            residual,
            lambda z: _hinges(problem, *moved(z), time),
            tangent + num_actions,
            1.0,
            penalty,
        )

    def part(tree, which):
        return jax.tree.map(lambda leaf: leaf[which], tree)

    states, times, before = trajectory.states, trajectory.times, slice(None, -1)
    guarded = (jnp.arange(trajectory.horizon) > 0).astype(jnp.float32)  # the state now cannot be changed
    stages = jax.vmap(at)(part(states, before), part(lift, before), trajectory.actions, trajectory.previous_actions, times[:-1], guarded)
    last = end(part(states, -1), part(lift, -1), trajectory.actions[-1], times[-1])
    return Expansion(stages[0], stages[1], last[0], last[1])


def merit(value: ebm.Evaluation, penalty: Float[Array, ""]) -> Float[Array, "*batch"]:
    """What the expansion approximates: the energy and half the squared violations times `penalty`."""
    hinges = [jnp.sum(jnp.maximum(v, 0.0) ** 2, axis=-1) for v in value.violations.values()]
    return value.energy + 0.5 * penalty * sum(hinges, jnp.zeros(()))


def _hinges(problem: Any, state: Any, action: Array, time: Array) -> Float[Array, " guardrails"]:
    values = [jnp.maximum(g.stage(state, action, action, time) / g.scale, 0.0) for g in problem.guardrails]
    return jnp.stack(values) if values else jnp.zeros(0)


def _quadratic(cost, residual, hinges, size: int, scale: float, penalty: Array) -> tuple[Array, Array]:
    """Gradient and convex Hessian at 0 of `cost + ½ penalty |hinges|²`."""
    zero = jnp.zeros(size)
    slope = jax.grad(cost)(zero)
    if jax.eval_shape(residual, zero) is None:
        hessian = to_convex(jax.hessian(cost)(zero))
    else:
        rate, weights = jax.jacfwd(lambda w: residual(w)[0])(zero), residual(zero)[1]
        hessian = scale * rate.T @ (jnp.maximum(weights, 0.0)[:, None] * rate)
    over, rate = hinges(zero), jax.jacfwd(hinges)(zero)
    return slope + penalty * rate.T @ over, hessian + penalty * rate.T @ rate
