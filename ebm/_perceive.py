"""Perception: from observations to a state of the world model, and how surprising an observation was."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._model import AbstractWorldModel

Memory = Any
State = Any


class AbstractPerceiver(eqx.Module):
    """What turns observations into states: a sensor reading, a filter, an encoder with a memory."""

    @abc.abstractmethod
    def init(self, model: AbstractWorldModel) -> Memory:
        """The memory before anything was seen: a pytree with a flag `seen`, so that the first observation surprises nobody."""

    @abc.abstractmethod
    def observe(
        self, model: AbstractWorldModel, memory: Memory, action: Float[Array, " action"], observation: PyTree
    ) -> tuple[State, Memory]:
        """Take in an observation that followed `action`.

        **Returns:**

        The state that the world is now believed to be in, and the new memory.
        """

    @abc.abstractmethod
    def energy(self, model: AbstractWorldModel, memory: Memory, action: Float[Array, " action"], observation: PyTree) -> Float[Array, ""]:
        """How badly `memory` and `action` foresaw `observation`; 0 before anything was seen."""

    def sense(self, model: AbstractWorldModel, observation: Any) -> PyTree:
        """Host-side work on what the robot hands over, before anything is compiled: by default none."""
        del model
        return observation


class Seen(eqx.Module):
    """The memory of `Direct`: the last state, and whether there was one."""

    state: Any
    seen: Bool[Array, ""]


class Direct(AbstractPerceiver):
    """The observation *is* the state: for simulators, and robots with a state estimator of their own."""

    def init(self, model):
        return Seen(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), model.example_state()), jnp.array(False))

    def observe(self, model, memory, action, observation):
        state = jax.tree.map(lambda before, now: jnp.asarray(now, before.dtype), memory.state, observation)
        return state, Seen(state, jnp.array(True))

    def energy(self, model, memory, action, observation):
        foreseen = model.step(memory.state, action)
        return jnp.where(memory.seen, 0.5 * jnp.sum(model.difference(foreseen, observation) ** 2), 0.0)
