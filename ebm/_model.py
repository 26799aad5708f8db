"""World models: what a sequence of actions leads to."""

import abc
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

from ._types import Box, Latents, Trajectory

State = Any


class Linearization(eqx.Module):
    """First-order motion of a trajectory in the tangent space of its states.

    `x[t + 1] ≈ A[t] x[t] + B[t] u[t]`, and a leaf of state t moves by `lift[t] @ x[t]`.

    **Arguments:**

    - `A`: shape (horizon, tangent, tangent).
    - `B`: shape (horizon, tangent, action).
    - `lift`: a state whose inexact leaves have shape (horizon + 1, *leaf, tangent); other leaves are `None`.
    """

    A: Float[Array, "horizon tangent tangent"]
    B: Float[Array, "horizon tangent action"]
    lift: PyTree


class Feedback(eqx.Module):
    """A law around a trajectory: `u[t] = a[t] + change[t] + gain[t] x[t] + memory[t] (u[t-1] - a[t-1])`, clipped to the limits.

    **Arguments:**

    - `change`, `low`, `high`: shape (horizon, action).
    - `gain`: on the state's difference from the trajectory, shape (horizon, action, tangent).
    - `memory`: on that of the previous action, shape (horizon, action, action).
    """

    change: Float[Array, "horizon action"]
    gain: Float[Array, "horizon action tangent"]
    memory: Float[Array, "horizon action action"]
    low: Float[Array, "horizon action"]
    high: Float[Array, "horizon action"]


class AbstractWorldModel(eqx.Module):
    """A world that can be imagined: physics or learned.

    A concrete model overrides `rollout`, or `step`, or both; each has the other as its default.
    """

    action_space: eqx.AbstractVar[Box]
    dt: eqx.AbstractVar[float]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        abstract = cls.__name__.lstrip("_").startswith("Abstract")
        if not abstract and cls.rollout is AbstractWorldModel.rollout and cls.step is AbstractWorldModel.step:
            raise TypeError(f"{cls.__name__} must override `rollout` or `step`: each is defined by the other.")

    @property
    def compiler_options(self) -> Mapping[str, bool | int]:
        """What XLA should be told when it compiles something through this model, such as to hurry where the time is spent elsewhere."""
        return {}

    @abc.abstractmethod
    def example_state(self) -> State:
        """A valid state with the right shapes and dtypes; what an agent starts from before it has seen anything."""

    def rollout(self, state: State, actions: Float[Array, "horizon action"], latents: Latents | None = None) -> State:
        """What `actions` lead to from `state`.

        **Arguments:**

        - `state`: the state at the start.
        - `actions`: actuator units, inside the box.
        - `latents`: base noise from `sample_latents`, or `None` for the nominal world.

        **Returns:**

        States with leaves (horizon + 1, ...), `dt` s apart. The first is `state` itself.
        """
        episode = None if latents is None else latents.episode
        steps = None if latents is None else latents.step

        def advance(state, inputs):
            action, step = inputs
            after = self.step(state, action, None if latents is None else Latents(episode, step))
            after = jax.tree.map(_as_before, state, after)
            return after, after

        state = jax.tree.map(jnp.asarray, state)
        _, after = jax.lax.scan(advance, state, (actions, steps))
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), state, after)

    def step(self, state: State, action: Float[Array, " action"], latents: Latents | None = None) -> State:
        """The state `dt` s after `action` is applied in `state`; `latents` hold the episode's and this one step's base noise."""
        if latents is not None:
            latents = Latents(latents.episode, jax.tree.map(lambda leaf: leaf[None], latents.step))
        return jax.tree.map(lambda leaf: leaf[-1], self.rollout(state, action[None], latents))

    def sample_latents(self, horizon: int, *, key: Key[Array, ""]) -> Latents | None:
        """Base noise for one rollout, or `None` for a world in which nothing is uncertain (the default)."""
        del horizon, key
        return None

    def sample_worlds(self, horizon: int, count: int, *, key: Key[Array, ""]) -> Latents | None:
        """Base noise for `count` rollouts that are compared or summarised together: leaves with a leading axis.

        By default independent draws of `sample_latents`. A model whose noise can be spread evenly does so: a guardrail that must hold in
        the worst of a few worlds should not depend on whether a bad one happened to be among them.
        """
        return jax.vmap(lambda key: self.sample_latents(horizon, key=key))(jax.random.split(key, count))

    def difference(self, a: State, b: State) -> Float[Array, " tangent"]:
        """`b - a` in the tangent space at `a`; by default over the inexact leaves."""
        a, b = _inexact(a)[0], _inexact(b)[0]
        return ravel_pytree(jax.tree.map(jnp.subtract, b, a))[0]

    def linearize(self, trajectory: Trajectory, latents: Latents | None = None) -> Linearization:
        """The derivative of every step, and of every state leaf, along `trajectory`; by default with forward mode through `step`."""

        def of_state(state):
            inexact, other = _inexact(state)
            flat, unravel = ravel_pytree(inexact)
            return flat, lambda vector: eqx.combine(unravel(vector), other), unravel

        def of_step(t, state, action):
            flat, restore, _ = of_state(state)

            def advance(flat, action):
                after = self.step(restore(flat), action, None if latents is None else latents.at(t))
                return of_state(jax.tree.map(_as_before, state, after))[0]

            return jax.jacfwd(advance, argnums=(0, 1))(flat, action)

        before = jax.tree.map(lambda leaf: leaf[:-1], trajectory.states)
        a, b = jax.vmap(of_step)(jnp.arange(trajectory.horizon), before, trajectory.actions)
        flat, _, unravel = of_state(jax.tree.map(lambda leaf: leaf[0], trajectory.states))
        lift = jax.vmap(unravel, in_axes=1, out_axes=-1)(jnp.eye(flat.size, dtype=flat.dtype))
        lift = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (trajectory.horizon + 1, *leaf.shape)), lift)
        return Linearization(a, b, lift)

    def follow(self, trajectory: Trajectory, law: Feedback, state: State | None = None) -> Float[Array, "horizon action"]:
        """The actions that a feedback law sends in the nominal world, beginning in `state`, or else in the trajectory's first."""

        def advance(carry, stage):
            state, moved = carry
            reference, action, law = stage
            error = self.difference(reference, state)
            sent = jnp.clip(action + law.change + law.gain @ error + law.memory @ moved, law.low, law.high)
            after = jax.tree.map(_as_before, state, self.step(state, sent))
            return (after, sent - action), sent

        states = jax.tree.map(jnp.asarray, trajectory.states)
        before = jax.tree.map(lambda leaf: leaf[:-1], states)
        first = jax.tree.map(lambda leaf: leaf[0], states)
        if state is not None:
            first = jax.tree.map(_as_before, first, jax.tree.map(jnp.asarray, state))
        return jax.lax.scan(advance, (first, jnp.zeros_like(trajectory.actions[0])), (before, trajectory.actions, law))[1]

    def move(self, state: State, lift_t: PyTree, tangent: Float[Array, " tangent"]) -> State:
        """`state` moved along `tangent`: every leaf, sensors included. `lift_t` is the lift of this state."""
        inexact, other = _inexact(state)
        return eqx.combine(jax.tree.map(lambda leaf, rate: leaf + rate @ tangent, inexact, lift_t), other)


def _inexact(state: State) -> tuple[PyTree, PyTree]:
    """The leaves that have a derivative, and the rest."""
    return eqx.partition(jax.tree.map(jnp.asarray, state), eqx.is_inexact_array)


def _as_before(before: Array, after: Array) -> Array:
    """Keep a state's precision from step to step, where float64 noise or constants would change it."""
    inexact = jnp.issubdtype(before.dtype, jnp.inexact) and jnp.issubdtype(jnp.result_type(after), jnp.inexact)
    return jnp.asarray(after, before.dtype) if inexact else after
