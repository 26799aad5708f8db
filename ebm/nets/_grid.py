"""Networks on a grid of patches: each place knows what is there and what its neighbours know, by the same weights everywhere.

A vector of features is then a grid, flat: (row, column, channel). What is learned in one place holds in all, so that few films teach much,
and something that goes wrong in one place is not lost in the rest.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from .._representation import standardise
from ._decoder import AbstractDecoder
from ._encoders import AbstractEncoder, numbers
from ._memory import SPAN, AbstractMemory, patience
from ._patches import from_patches, grid, to_patches
from ._predictors import AbstractPredictor

STEPS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))


def neighbours(x: Float[Array, "row column channel"]) -> Float[Array, "row column channel"]:
    """Each of nine groups of channels moved by one place, one of them staying: mixes places without weights. Beyond the edge is zero.

    Wu et al. 2018, "Shift: a zero FLOP, zero parameter alternative to spatial convolutions", arXiv:1711.08141.
    """
    rows, columns, channels = x.shape
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    edges = [channels * index // len(STEPS) for index in range(len(STEPS) + 1)]
    parts = [
        padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns, low:high]
        for (down, right), low, high in zip(STEPS, edges[:-1], edges[1:], strict=True)
    ]
    return jnp.concatenate(parts, axis=-1)


class GridEncoder(AbstractEncoder):
    """A small network on every square patch of a picture, alone."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    patch: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], channels: int = 32, patch: int = 8, width: int = 64, *, key: Key[Array, ""]):
        """**Arguments:**

        - `shape`: of a picture: (channel, height, width), padded with zeros to whole patches.
        - `channels`: of every patch. `patch`: px. `width`: of the layer between.
        """
        keys = jax.random.split(key)
        rows, columns = grid(shape, patch)
        self.shape, self.patch, self.size = tuple(shape), patch, rows * columns * channels
        self.first = eqx.nn.Linear(shape[0] * patch * patch, width, key=keys[0])
        self.last = eqx.nn.Linear(width, channels, key=keys[1])

    def __call__(self, observation):
        patches = to_patches(numbers(observation, self.shape), self.patch)
        return jax.vmap(lambda patch: self.last(jax.nn.relu(self.first(patch))))(patches).ravel()


class GridGlance(AbstractEncoder):
    """What `GridEncoder` learns of every patch, and beside it the means over squares of the patch, which nobody has to learn.

    Learned features whose volume is maximised have no direction left in which little is uncertain, so that whether a thing is there at all
    is one of many numbers; means keep their natural variances, and who must foresee them as well finds that first. Each of the two parts
    is standardised over the picture, and then the means are weighed.
    """

    learned: GridEncoder
    squares: int = eqx.field(static=True)
    weight: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, learned: GridEncoder, squares: int = 2, weight: float = 1.0):
        """**Arguments:**

        - `learned`: of the same pictures.
        - `squares`: along each side of a patch, a divisor of that.
        - `weight`: standard deviation of the means; that of what is learned is 1.
        """
        if squares < 1 or learned.patch % squares:
            raise ValueError(f"`squares` must divide the {learned.patch} px of a patch, got {squares}.")
        rows, columns = grid(learned.shape, learned.patch)
        self.learned, self.squares, self.weight, self.shape = learned, squares, float(weight), learned.shape
        self.size = learned.size + rows * columns * self.shape[0] * squares**2

    def __call__(self, observation):
        patches = to_patches(numbers(observation, self.shape), self.learned.patch)
        side = self.learned.patch // self.squares
        means = patches.reshape(len(patches), -1, self.squares, side, self.squares, side).mean((3, 5))
        parts = standardise(self.learned(observation)), self.weight * standardise(means.ravel())
        return jnp.concatenate([part.reshape(len(patches), -1) for part in parts], axis=1).ravel()


class GridMemory(AbstractMemory):
    """A gated recurrent unit in every place, which also takes in what its neighbours kept, so that something hidden can be followed.

    Ballas et al. 2016, "Delving deeper into convolutional networks for learning video representations", arXiv:1511.06432.
    """

    cell: eqx.nn.GRUCell
    places: tuple[int, int] = eqx.field(static=True)
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, places: tuple[int, int], channels: int, kept: int, span: float = SPAN, *, key: Key[Array, ""]):
        """**Arguments:**

        - `places`: rows and columns. `channels`: that it takes in, and that it keeps.
        - `span`: frames; before anything is learned it keeps things for up to about so long.
        """
        keys = jax.random.split(key)
        count = places[0] * places[1]
        self.places, self.in_size, self.size = places, count * channels, count * kept
        cell = eqx.nn.GRUCell(channels + kept, kept, key=keys[0])
        self.cell = eqx.tree_at(lambda cell: cell.bias, cell, cell.bias.at[kept : 2 * kept].set(patience(kept, span, keys[1])))  # pyright: ignore[reportOptionalMemberAccess]

    def init(self):
        return jnp.zeros(self.size)

    def __call__(self, carry, x):
        kept = carry.reshape(*self.places, -1)
        inputs = jnp.concatenate([x.reshape(*self.places, -1), neighbours(kept)], axis=-1)
        after = jax.vmap(jax.vmap(self.cell))(inputs, kept).ravel()
        return after, after


class PlaceMemory(AbstractMemory):
    """Any memory, the same in every place, which takes in what is there and beside it; what it keeps does not spread.

    Of a `WindowMemory` it is a window of the whole picture that forgets everywhere at once.
    """

    memory: AbstractMemory
    places: tuple[int, int] = eqx.field(static=True)
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, places: tuple[int, int], memory: AbstractMemory):
        """**Arguments:**

        - `places`: rows and columns.
        - `memory`: of one place; its `in_size` is twice the channels of that.

        **Raises:**

        `ValueError` if that is odd.
        """
        if memory.in_size % 2:
            raise ValueError(
                f"The memory of a place takes in its channels and its neighbours', got `in_size={memory.in_size}`. Make it even."
            )
        count = places[0] * places[1]
        self.memory, self.places = memory, places
        self.in_size, self.size = count * memory.in_size // 2, count * memory.size

    def init(self):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*self.places, *jnp.shape(leaf))), self.memory.init())

    def __call__(self, carry, x):
        carry, said = jax.vmap(jax.vmap(self.memory))(carry, self._around(x))
        return carry, said.ravel()

    def film(self, xs):
        inputs = jax.vmap(self._around)(xs)
        said = jax.vmap(jax.vmap(self.memory.film, in_axes=1, out_axes=1), in_axes=1, out_axes=1)(inputs)
        return said.reshape(xs.shape[0], -1)

    def _around(self, x):
        here = x.reshape(*self.places, -1)
        return jnp.concatenate([here, neighbours(here)], axis=-1)


class GridPredictor(AbstractPredictor):
    """The change of the features in every place, from what is there and around it, and what is remembered there and around it."""

    first: eqx.nn.Linear
    between: eqx.nn.Linear
    last: eqx.nn.Linear
    places: tuple[int, int] = eqx.field(static=True)

    def __init__(self, places: tuple[int, int], channels: int, kept: int, width: int = 96, *, actions: int = 0, key: Key[Array, ""]):
        """**Arguments:**

        - `places`: rows and columns. `channels`: of the features. `kept`: of the memory. `actions`: numbers of an action, told everywhere.
        - `width`: of the two layers between.
        """
        keys = jax.random.split(key, 3)
        self.places = places
        self.first = eqx.nn.Linear(2 * (channels + kept) + actions, width, key=keys[0])
        self.between = eqx.nn.Linear(2 * width, width, key=keys[1])
        self.last = eqx.nn.Linear(width, channels, key=keys[2])

    def __call__(self, features, action, condensed):
        here = jnp.concatenate([features.reshape(*self.places, -1), condensed.reshape(*self.places, -1)], axis=-1)
        told = jnp.broadcast_to(action, (*self.places, action.size))

        def everywhere(layer, x):
            return jax.vmap(jax.vmap(layer))(x)

        h = jax.nn.relu(everywhere(self.first, jnp.concatenate([here, neighbours(here), told], axis=-1)))
        h = h + jax.nn.relu(everywhere(self.between, jnp.concatenate([h, neighbours(h)], axis=-1)))
        return features + everywhere(self.last, h).ravel()


class GridDecoder(AbstractDecoder):
    """A small network from the features of every place to the pixels of its patch: `GridEncoder` backwards."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    patch: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], channels: int = 32, patch: int = 8, width: int = 64, *, key: Key[Array, ""]):
        """**Arguments:** as for `GridEncoder`."""
        keys = jax.random.split(key)
        self.shape, self.patch = tuple(shape), patch
        self.first = eqx.nn.Linear(channels, width, key=keys[0])
        self.last = eqx.nn.Linear(width, shape[0] * patch * patch, key=keys[1])

    def __call__(self, vector):
        channels = vector.reshape(-1, self.first.in_features)
        pixels = jax.vmap(lambda one: jax.nn.sigmoid(self.last(jax.nn.relu(self.first(one)))))(channels)
        return from_patches(pixels, self.shape, self.patch)
