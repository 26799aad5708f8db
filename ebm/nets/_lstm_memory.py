"""A long short-term memory."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._memory import AbstractMemory


class LSTMMemory(AbstractMemory):
    """A long short-term memory; the cell is kept, and a gate decides what is said of it (Hochreiter & Schmidhuber 1997)."""

    cell: eqx.nn.LSTMCell
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it says.
        """
        self.in_size, self.size = in_size, size
        self.cell = eqx.nn.LSTMCell(in_size, size, key=key)

    def init(self):
        return jnp.zeros(self.size), jnp.zeros(self.size)

    def __call__(self, carry, x):
        said, cell = self.cell(x, carry)
        return (said, cell), said
