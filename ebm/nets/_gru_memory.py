"""A gated recurrent unit as a memory."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._memory import AbstractMemory


class GRUMemory(AbstractMemory):
    """A gated recurrent unit; it says what it keeps (Cho et al. 2014, arXiv:1406.1078)."""

    cell: eqx.nn.GRUCell
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it keeps.
        """
        self.in_size, self.size = in_size, size
        self.cell = eqx.nn.GRUCell(in_size, size, key=key)

    def init(self):
        return jnp.zeros(self.size)

    def __call__(self, carry, x):
        after = self.cell(x, carry)
        return after, after
