"""Networks on things in slots: each knows itself and what the others do to it, by the same weights, whatever their order.

An observation lists things, a row for each slot, of which the first number says whether it is seen; of what is not seen, nothing counts. A
vector of features is then a list, flat: (slot, channel).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._decoder import AbstractDecoder
from ._encoders import AbstractEncoder
from ._memory import SPAN, AbstractMemory, patience
from ._predictors import AbstractPredictor


class Among(eqx.Module):
    """What all things together do to each: the mean of a small network on every pair, of which one layer is shared out.

    Battaglia et al. 2016, "Interaction networks for learning about objects, relations and physics", arXiv:1612.00222.
    """

    mine: eqx.nn.Linear
    theirs: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, in_size: int, out_size: int, width: int, *, key: Key[Array, ""]):
        """**Arguments:** `in_size`, `out_size`: numbers of a thing, and of what is done to it. `width`: of the layer between."""
        keys = jax.random.split(key, 3)
        self.mine = eqx.nn.Linear(in_size, width, key=keys[0])
        self.theirs = eqx.nn.Linear(in_size, width, use_bias=False, key=keys[1])
        self.last = eqx.nn.Linear(width, out_size, key=keys[2])

    def __call__(self, things: Float[Array, "slot number"]) -> Float[Array, "slot out"]:
        pairs = jax.nn.relu(jax.vmap(self.mine)(things)[:, None] + jax.vmap(self.theirs)(things))
        return jax.vmap(self.last)(jnp.mean(pairs, axis=1))


class SlotEncoder(AbstractEncoder):
    """A small network on every thing, alone."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, int], channels: int = 32, width: int = 64, *, key: Key[Array, ""]):
        """**Arguments:**

        - `shape`: of an observation: (slot, number). `channels`: of every thing. `width`: of the layer between.
        """
        keys = jax.random.split(key)
        self.shape, self.size = tuple(shape), shape[0] * channels
        self.first = eqx.nn.Linear(shape[1], width, key=keys[0])
        self.last = eqx.nn.Linear(width, channels, key=keys[1])

    def __call__(self, observation):
        things = jnp.where(observation[:, :1] > 0, observation, 0.0)
        return jax.vmap(lambda thing: self.last(jax.nn.relu(self.first(thing))))(things).ravel()


class SlotMemory(AbstractMemory):
    """A gated recurrent unit for every thing, which also takes in what the others do to it, so that what is hidden goes its way."""

    cell: eqx.nn.GRUCell
    among: Among
    slots: int = eqx.field(static=True)
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, slots: int, channels: int, kept: int, width: int = 64, span: float = SPAN, *, key: Key[Array, ""]):
        """**Arguments:**

        - `slots`: how many there are. `channels`: of a thing that it takes in, `kept`: that it keeps. `width`: between two things.
        - `span`: frames; before anything is learned it keeps things for up to about so long.
        """
        keys = jax.random.split(key, 3)
        self.slots, self.in_size, self.size = slots, slots * channels, slots * kept
        self.among = Among(channels + kept, kept, width, key=keys[2])
        cell = eqx.nn.GRUCell(channels + kept, kept, key=keys[0])
        self.cell = eqx.tree_at(lambda cell: cell.bias, cell, cell.bias.at[kept : 2 * kept].set(patience(kept, span, keys[1])))  # pyright: ignore[reportOptionalMemberAccess]

    def init(self):
        return jnp.zeros(self.size)

    def __call__(self, carry, x):
        kept, things = carry.reshape(self.slots, -1), x.reshape(self.slots, -1)
        done = self.among(jnp.concatenate([things, kept], axis=-1))
        after = jax.vmap(self.cell)(jnp.concatenate([things, done], axis=-1), kept).ravel()
        return after, after


class SlotPredictor(AbstractPredictor):
    """The change of the features of every thing, from what it is, what is remembered of it, and what the others do to it."""

    among: Among
    first: eqx.nn.Linear
    last: eqx.nn.Linear
    slots: int = eqx.field(static=True)

    def __init__(self, slots: int, channels: int, kept: int, width: int = 64, *, actions: int = 0, key: Key[Array, ""]):
        """**Arguments:**

        - `slots`: how many there are. `channels`: of the features of a thing. `kept`: of the memory of it. `actions`: numbers of an action,
          told everywhere.
        - `width`: of the layers between.
        """
        keys = jax.random.split(key, 3)
        self.slots = slots
        self.among = Among(channels + kept, width, width, key=keys[0])
        self.first = eqx.nn.Linear(channels + kept + actions + width, width, key=keys[1])
        self.last = eqx.nn.Linear(width, channels, key=keys[2])

    def __call__(self, features, action, condensed):
        things = jnp.concatenate([features.reshape(self.slots, -1), condensed.reshape(self.slots, -1)], axis=-1)
        told = jnp.broadcast_to(action, (self.slots, action.size))
        known = jnp.concatenate([things, told, self.among(things)], axis=-1)
        return features + jax.vmap(lambda one: self.last(jax.nn.relu(self.first(one))))(known).ravel()


class SlotDecoder(AbstractDecoder):
    """A small network from the features of every thing to what is seen of it: `SlotEncoder` backwards.

    Its error counts whether a thing is seen, and the rest only where it is.
    """

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, int], channels: int = 32, width: int = 64, *, key: Key[Array, ""]):
        """**Arguments:** as for `SlotEncoder`."""
        keys = jax.random.split(key)
        self.shape = tuple(shape)
        self.first = eqx.nn.Linear(channels, width, key=keys[0])
        self.last = eqx.nn.Linear(width, shape[1], key=keys[1])

    def __call__(self, vector):
        return jax.vmap(lambda one: self.last(jax.nn.relu(self.first(one))))(vector.reshape(self.shape[0], -1))

    def error(self, vector, picture):
        wrong, seen = (self(vector) - picture) ** 2, picture[:, :1] > 0
        return jnp.mean(jnp.concatenate([wrong[:, :1], jnp.where(seen, wrong[:, 1:], 0.0)], axis=-1))
