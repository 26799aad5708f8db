"""From a vector to a picture: to look at what a representation knows, or to learn from pictures."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._encoders import numbers
from ._patches import from_patches, grid
from ._residual import ResidualMLP


class AbstractDecoder(eqx.Module):
    """A network from a vector to a picture of `shape` (channel, height, width) with values in (0, 1), as fractions of 255."""

    shape: eqx.AbstractVar[tuple[int, ...]]

    @abc.abstractmethod
    def __call__(self, vector: Float[Array, " size"]) -> Float[Array, "channel height width"]:
        """The picture."""

    def error(self, vector: Float[Array, " size"], picture: Array) -> Float[Array, ""]:
        """The mean squared difference from a picture, bytes taken as fractions of 255."""
        return jnp.mean((self(vector) - numbers(picture, self.shape)) ** 2)


class Decoder(AbstractDecoder):
    """A residual network from a vector to features of every square patch, then one small layer to its pixels: `PatchEncoder` backwards."""

    together: ResidualMLP
    each: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    patch: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        shape: tuple[int, ...],
        patch: int = 8,
        features: int = 32,
        width: int = 256,
        *,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `size`: of the vector. `shape`: of the picture.
        - `patch`: px. `features`: of every patch.
        - `width`: of the network on all patches.
        """
        keys = jax.random.split(key)
        self.shape, self.patch = tuple(shape), patch
        rows, columns = grid(self.shape, patch)
        self.together = ResidualMLP(size, rows * columns * features, width, 1, key=keys[0])
        self.each = eqx.nn.Linear(features, shape[0] * patch * patch, key=keys[1])

    def __call__(self, vector):
        features = jax.nn.relu(self.together(vector)).reshape(-1, self.each.in_features)
        return from_patches(jax.nn.sigmoid(jax.vmap(self.each)(features)), self.shape, self.patch)
