"""Several frames as one observation."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from ._perceive import AbstractPerceiver


class Turns(eqx.Module):
    """The memory of `Tubelets`.

    **Arguments:**

    - `frames`: the last ones, leaves (frame, ...). `count`: how many there were. `seen`: whether one of the perceivers saw something.
    - `memories`: of the perceivers, one for each turn, leaves (turn, ...).
    """

    frames: PyTree
    memories: Any
    count: Int[Array, ""]
    seen: Bool[Array, ""]


class Tubelets(AbstractPerceiver):
    """Every `length` frames are one observation: what moves is then to be seen in one look.

    As many perceivers as there are frames in a tubelet take turns, so that at every frame one of them has a whole tubelet, beside those
    that ended `length`, `2 · length`, … frames before. For films in which nobody acts.

    **Arguments:**

    - `perceiver`: of observations that are tubelets, as `tubelets` makes them.
    - `blank`: a frame, for its shape and type: leaves (channel, ...).
    - `length`: frames.

    Arnab et al. 2021, "ViViT: a video vision transformer", arXiv:2103.15691.
    """

    perceiver: AbstractPerceiver
    blank: PyTree
    length: int = eqx.field(static=True)

    def __check_init__(self):
        if self.length < 1:
            raise ValueError(f"`length` must be positive, got {self.length}. It counts the frames of a tubelet.")

    def init(self, model):
        if model.action_space.size:
            raise ValueError("In a film of tubelets nobody acts, but this model has actions. Watch it frame by frame.")
        frames = jax.tree.map(lambda leaf: jnp.zeros((self.length, *jnp.shape(leaf)), jnp.result_type(leaf)), self.blank)
        memories = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.length, *jnp.shape(leaf))), self.perceiver.init(model))
        return Turns(frames, memories, jnp.int32(0), jnp.array(False))

    def observe(self, model, memory, action, observation):
        frames, turn = self._last(memory, observation), memory.count % self.length
        mine = jax.tree.map(lambda leaf: leaf[turn], memory.memories)
        state, after = self.perceiver.observe(model, mine, action, stacked(frames))
        whole = memory.count >= self.length - 1
        state, mine = jax.tree.map(lambda new, old: jnp.where(whole, new, old), (state, after), (model.example_state(), mine))
        memories = jax.tree.map(lambda leaf, new: leaf.at[turn].set(new), memory.memories, mine)
        return state, Turns(frames, memories, memory.count + 1, memory.seen | whole)

    def energy(self, model, memory, action, observation):
        mine = jax.tree.map(lambda leaf: leaf[memory.count % self.length], memory.memories)
        return self.perceiver.energy(model, mine, action, stacked(self._last(memory, observation)))

    def _last(self, memory: Turns, observation: PyTree) -> PyTree:
        return jax.tree.map(lambda kept, new: jnp.concatenate([kept[1:], new[None]]), memory.frames, observation)


def tubelets(film: PyTree, length: int) -> PyTree:
    """A film cut into observations of `length` frames; what is left over at its end is left out.

    **Arguments:**

    - `film`: leaves (frame, channel, ...).

    **Returns:**

    Leaves (frame // length, length · channel, ...): the channels of all its frames, one frame after another.
    """

    def cut(leaf):
        count = leaf.shape[0] // length
        return jax.vmap(stacked)(leaf[: count * length].reshape(count, length, *leaf.shape[1:]))

    return jax.tree.map(cut, film)


def stacked(frames: PyTree) -> PyTree:
    """Frames as one observation: leaves (frame, channel, ...) become (frame · channel, ...)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), frames)
