"""Pictures as rows of square patches, and back."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def grid(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """How many rows and columns of patches cover a picture of `shape` (channel, height, width)."""
    return -(-shape[1] // side), -(-shape[2] // side)


def to_patches(picture: Float[Array, "channel height width"], side: int) -> Float[Array, "patch number"]:
    """The patches of `side` px, row by row, each flat; the picture is padded with zeros to whole patches."""
    channels = picture.shape[0]
    rows, columns = grid(picture.shape, side)
    picture = jnp.pad(picture, ((0, 0), (0, -picture.shape[1] % side), (0, -picture.shape[2] % side)))
    patches = picture.reshape(channels, rows, side, columns, side)
    return jnp.transpose(patches, (1, 3, 0, 2, 4)).reshape(rows * columns, channels * side * side)


def from_patches(patches: Float[Array, "patch number"], shape: tuple[int, ...], side: int) -> Float[Array, "channel height width"]:
    """The picture of `shape` that has these patches; what lies beyond its edge is dropped."""
    rows, columns = grid(shape, side)
    picture = jnp.transpose(patches.reshape(rows, columns, shape[0], side, side), (2, 0, 3, 1, 4))
    return picture.reshape(shape[0], rows * side, columns * side)[:, : shape[1], : shape[2]]
