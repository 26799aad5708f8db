"""Memories: what is kept of a film whose frames alone are not a state."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Carry = Any
SPAN = 32.0  # frames


class AbstractMemory(eqx.Module):
    """A network that takes in one vector after another, and at each says what it makes of all so far.

    What it keeps between them, the carry, always has one tree structure, and shapes and types that do not change, so that a memory can be
    scanned, batched and kept in the state of a world model. Its inexact leaves are real: they have derivatives.
    """

    in_size: eqx.AbstractVar[int]
    size: eqx.AbstractVar[int]  # of what it says

    @abc.abstractmethod
    def init(self) -> Carry:
        """The carry before anything was taken in."""

    @abc.abstractmethod
    def __call__(self, carry: Carry, x: Float[Array, " in"]) -> tuple[Carry, Float[Array, " size"]]:
        """The carry after `x`, and what the memory makes of everything up to `x`."""

    def film(self, xs: Float[Array, "frame in"]) -> Float[Array, "frame size"]:
        """What it says at every frame of a whole film; by default one after another, and all at once where a memory can."""
        return jax.lax.scan(lambda carry, x: self(carry, x), self.init(), xs)[1]


def patience(size: int, span: float, key: Key[Array, ""]) -> Float[Array, " size"]:
    """Biases of gates that keep things for between two and `span` frames.

    A gate at 1/2, where it would begin otherwise, forgets within a few frames: no gradient reaches what happened before.

    Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", arXiv:1804.11188.

    **Raises:**

    `ValueError` for a span under two frames.
    """
    if span < 2:
        raise ValueError(f"`span` must be at least 2 frames, got {span}. A gate needs one frame to take something in.")
    return jnp.log(jax.random.uniform(key, (size,), minval=1.0, maxval=max(span - 1.0, 1.0 + 1e-6)))
