"""What sampling planners try: noise around their belief, and seeds from elsewhere."""

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

import ebm


class AbstractProposal(eqx.Module):
    """Noise in time, of unit variance at every knot, and action sequences worth trying in any case."""

    @abc.abstractmethod
    def noise(self, shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "candidates knot action"]:
        """Standard normals of shape (candidates, knot, action); what differs is how they hang together along the knots."""

    def seeds(self, problem: Any, state: PyTree, now: ebm.Now, horizon: int) -> Float[Array, "seeds horizon action"]:
        """Action sequences that are tried beside the noise; by default none."""
        del state, now
        return jnp.zeros((0, horizon, problem.action_space.size))


class White(AbstractProposal):
    """Independent at every knot."""

    def noise(self, shape, *, key):
        return white(shape, key=key)


class Seeded(AbstractProposal):
    """Another proposal, and seeds from a policy, a planner of one's own or an earlier solution.

    **Arguments:**

    - `propose`: `(problem, state, now, horizon) -> actions` of shape (seeds, horizon, action); see `follow` for a policy.
    - `proposal`: where the noise comes from.
    """

    propose: Callable[[Any, PyTree, ebm.Now, int], Array]
    proposal: AbstractProposal = White()

    def noise(self, shape, *, key):
        return self.proposal.noise(shape, key=key)

    def seeds(self, problem, state, now, horizon):
        return self.propose(problem, state, now, horizon)


def follow(policy: Callable[[PyTree, Float[Array, ""]], Array]) -> Callable[[Any, PyTree, ebm.Now, int], Array]:
    """Seeds for `Seeded`: what a policy `(state, time) -> action` does in the plan model, in closed loop inside the limits. One seed; needs
    "step"."""

    def propose(problem, state, now, horizon):
        state = jax.tree.map(jnp.asarray, state)

        def advance(carry, t):
            state, held = carry
            tick = now.tick + t
            wanted = policy(state, tick.astype(jnp.float32) * problem.dt)
            action = problem.project(wanted[None], ebm.Now(tick, held, problem.dt))[0]
            after = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), state, problem.model.step(state, action))
            return (after, action), action

        return jax.lax.scan(advance, (state, now.previous_action), jnp.arange(horizon))[1][None]

    return propose


def white(shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
    """Independent normals."""
    # the numbers do not depend on the shape, but XLA compiles a draw along one axis several times faster
    return jax.random.normal(key, (math.prod(shape),)).reshape(shape)
