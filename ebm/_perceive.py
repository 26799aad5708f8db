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
    """The observation *is* the state: for simulators, and robots with a state estimator of their own.

    **Raises:**

    `ValueError` for what is no state of the model, or a batch of them.
    """

    def init(self, model):
        return Seen(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), model.example_state()), jnp.array(False))

    def observe(self, model, memory, action, observation):
        _check_state(memory.state, observation)
        state = jax.tree.map(lambda before, now: jnp.asarray(now, before.dtype), memory.state, observation)
        return state, Seen(state, jnp.array(True))

    def energy(self, model, memory, action, observation):
        foreseen = model.step(memory.state, action)
        return jnp.where(memory.seen, 0.5 * jnp.sum(model.difference(foreseen, observation) ** 2), 0.0)


def _check_state(known: Any, observation: Any) -> None:
    if jax.tree.structure(known) != jax.tree.structure(observation):
        raise ValueError(
            f"The observation must be a state of the model, a {type(known).__name__} as from `model.example_state()`, and is of type "
            f"{type(observation).__name__} or has other parts. Make it with `model.state(...)`, or give the agent a `perceiver`."
        )
    for (path, leaf), new in zip(jax.tree_util.tree_leaves_with_path(known), jax.tree.leaves(observation), strict=True):
        if jnp.shape(leaf) != jnp.shape(new):
            raise ValueError(
                f"The observation must be a state of the model: its {jax.tree_util.keystr(path)} must have shape {jnp.shape(leaf)}, got "
                f"{jnp.shape(new)}. For a batch of states use `eqx.filter_vmap` over agents or memories."
            )
