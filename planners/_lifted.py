"""States and actions that need not fit each other, and what that costs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

import ebm

LEAST_SPREAD = 1e-2  # of a tangent direction among the starts, relative to the one that spreads most


class Lifted(eqx.Module):
    """A problem whose states are free: a plan moves by x in the tangent space of a reference trajectory, and by u in its actions.

    **Arguments:**

    - `problem`: an `ebm.Problem`. `reference`: a rollout of the problem's model. `lift`: that of its linearisation.
    - `unit`: of every action. `scale`: of every tangent direction.
    - `penalty`: energy per mean positive violation.
    """

    problem: Any
    reference: ebm.Trajectory
    lift: PyTree
    unit: Float[Array, " action"]
    scale: Float[Array, " tangent"]
    penalty: Float[Array, ""]

    def trajectory(self, x: Float[Array, "horizon tangent"], u: Float[Array, "horizon action"]) -> ebm.Trajectory:
        """What is imagined; the state now is what it is."""
        x = jnp.concatenate([jnp.zeros((1, self.scale.size)), self.scale * x])
        states = jax.vmap(self.problem.model.move)(self.reference.states, self.lift, x)
        return ebm.Trajectory(states, self.reference.actions + self.unit * u, self.reference.now, self.reference.dt)

    def energy(self, x: Float[Array, "horizon tangent"], u: Float[Array, "horizon action"]) -> Float[Array, ""]:
        """Of what is imagined, possible or not, with the guardrails as penalties."""
        imagined = self.trajectory(x, u)
        after = jax.tree.map(lambda leaf: leaf[1:], imagined.states)
        arguments = after, imagined.actions, imagined.previous_actions, imagined.times[1:]
        over = [jnp.mean(jnp.maximum(jax.vmap(g.stage)(*arguments) / g.scale, 0.0)) for g in self.problem.guardrails]
        return self.problem.energy(imagined) + self.penalty * sum(over, jnp.zeros(()))

    def defects(self, x: Float[Array, "horizon tangent"], u: Float[Array, "horizon action"]) -> Float[Array, "horizon tangent"]:
        """How far every state is from where the world leads from the one before, which is held fixed: no gradient passes through it."""
        imagined, model = self.trajectory(x, u), self.problem.model
        before = jax.lax.stop_gradient(jax.tree.map(lambda leaf: leaf[:-1], imagined.states))
        after = jax.tree.map(lambda leaf: leaf[1:], imagined.states)
        return jax.vmap(model.difference)(after, jax.vmap(model.step)(before, imagined.actions)) / self.scale


def spread_of(model: ebm.AbstractWorldModel, states: PyTree) -> Float[Array, " tangent"]:
    """The deviation of every tangent direction among rollouts and over time, from the first of them."""
    first = ebm.pick(states, 0)
    moved = jax.vmap(jax.vmap(model.difference), in_axes=(None, 0))(first, states)
    moved = jnp.where(jnp.isfinite(moved), moved, 0.0)
    deviation = jnp.sqrt(jnp.mean(moved**2, axis=(0, 1)))
    largest = jnp.max(deviation)
    return jnp.where(largest > 0, jnp.maximum(deviation, LEAST_SPREAD * largest), 1.0)
