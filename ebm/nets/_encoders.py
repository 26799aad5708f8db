"""Encoders: from an observation to a vector."""

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._patches import grid, to_patches
from ._residual import ResidualMLP

BYTE = 255.0


class AbstractEncoder(eqx.Module):
    """A network from one observation to a vector of `size` numbers.

    `standardised` says whether models take each vector to mean 0 and variance 1 over its numbers, which keeps what learns from shrinking.
    """

    standardised: ClassVar[bool] = True
    size: eqx.AbstractVar[int]
    shape: eqx.AbstractVar[tuple[int, ...]]  # of an observation

    @abc.abstractmethod
    def __call__(self, observation: PyTree) -> Float[Array, " size"]:
        """What the observation becomes. Bytes are taken as fractions of 255."""


class Identity(AbstractEncoder):
    """The observation itself, flat, and not standardised: for what is a good state already."""

    standardised: ClassVar[bool] = False
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def size(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return math.prod(self.shape)

    def __call__(self, observation):
        return numbers(observation, self.shape).ravel()


class MLPEncoder(AbstractEncoder):
    """A residual network on the flat observation: for states and sensors."""

    network: ResidualMLP
    shape: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, width: int = 256, depth: int = 2, *, key: Key[Array, ""]):
        """**Arguments:**

        - `shape`: of an observation. `size`: of the vector.
        - `width`, `depth`: of the network.
        """
        self.shape, self.size = tuple(shape), size
        self.network = ResidualMLP(math.prod(shape), size, width, depth, key=key)

    def __call__(self, observation):
        return self.network(numbers(observation, self.shape).ravel())


class PatchEncoder(AbstractEncoder):
    """One small layer on every square patch of a picture, then a residual network on all of them.

    As matrix products only: on a CPU the gradient of a convolution is 5 to 20 times slower.
    """

    each: eqx.nn.Linear
    together: ResidualMLP
    shape: tuple[int, ...] = eqx.field(static=True)
    patch: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        patch: int = 8,
        features: int = 32,
        width: int = 256,
        *,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `shape`: of a picture: (channel, height, width), which is padded with zeros to whole patches. `size`: of the vector.
        - `patch`: px. `features`: of every patch.
        - `width`: of the network on all patches.
        """
        keys = jax.random.split(key)
        self.shape, self.patch, self.size = tuple(shape), patch, size
        rows, columns = grid(self.shape, patch)
        self.each = eqx.nn.Linear(shape[0] * patch * patch, features, key=keys[0])
        self.together = ResidualMLP(rows * columns * features, size, width, 1, key=keys[1])

    def __call__(self, observation):
        patches = to_patches(numbers(observation, self.shape), self.patch)
        return self.together(jax.nn.relu(jax.vmap(self.each)(patches)).ravel())


class ConvEncoder(AbstractEncoder):
    """Strided 3 × 3 convolutions that halve the picture until it is small, then a linear layer: for accelerators."""

    layers: list[eqx.nn.Conv2d]
    last: eqx.nn.Linear
    shape: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, channels: tuple[int, ...] = (16, 32, 64, 64), *, key: Key[Array, ""]):
        """**Arguments:**

        - `shape`: of a picture: (channel, height, width). `size`: of the vector.
        - `channels`: after every halving.
        """
        keys = jax.random.split(key, len(channels) + 1)
        self.shape, self.size = tuple(shape), size
        before = (shape[0], *channels)
        self.layers = [eqx.nn.Conv2d(i, o, 3, stride=2, padding=1, key=k) for i, o, k in zip(before, channels, keys[1:], strict=False)]
        height, width = shape[1:]
        for _ in channels:
            height, width = -(-height // 2), -(-width // 2)
        self.last = eqx.nn.Linear(channels[-1] * height * width, size, key=keys[0])

    def __call__(self, observation):
        x = numbers(observation, self.shape)
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.last(x.ravel())


def numbers(observation: Any, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """The observation as float32, bytes as fractions of 255.

    **Raises:**

    `ValueError` for another shape.
    """
    x = jnp.asarray(observation)
    if x.shape != shape:
        raise ValueError(f"An observation must have shape {shape}, as the encoder was made for, got {x.shape}.")
    return x.astype(jnp.float32) / (BYTE if x.dtype == jnp.uint8 else 1.0)
