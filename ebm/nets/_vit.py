"""A transformer on the patches of a picture."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from .._representation import standardise
from ._encoders import AbstractEncoder, numbers
from ._patches import grid, to_patches
from ._transformer import Block

PLACE_DEVIATION = 0.02  # of what a patch is told about its place, at first


class ViTEncoder(AbstractEncoder):
    """Patches that look at each other, and the mean of what they make of it (Dosovitskiy et al. 2021, arXiv:2010.11929).

    Without batch normalisation, so that a picture's vector does not depend on the pictures beside it.
    """

    each: eqx.nn.Linear
    places: eqx.nn.Embedding
    blocks: list[Block]
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    patch: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        patch: int = 8,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        *,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `shape`: of a picture: (channel, height, width), which is padded with zeros to whole patches. `size`: of the vector.
        - `patch`: px.
        - `width`: of a token. `depth`: the number of blocks. `heads`: of the attention, a divisor of `width`.
        """
        keys = jax.random.split(key, depth + 3)
        self.shape, self.patch, self.size = tuple(shape), patch, size
        rows, columns = grid(self.shape, patch)
        self.each = eqx.nn.Linear(shape[0] * patch * patch, width, key=keys[0])
        self.places = eqx.nn.Embedding(weight=PLACE_DEVIATION * jax.random.normal(keys[1], (rows * columns, width)))
        self.blocks = [Block(width, heads, key=key) for key in keys[3:]]
        self.last = eqx.nn.Linear(width, size, key=keys[2])

    def __call__(self, observation):
        patches = to_patches(numbers(observation, self.shape), self.patch)
        tokens = jax.vmap(self.each)(patches) + self.places.weight
        for block in self.blocks:
            tokens = block(tokens)
        return self.last(jnp.mean(standardise(tokens), axis=0))
