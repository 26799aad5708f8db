"""A long short-term memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._memory import SPAN, AbstractMemory, patience


class LSTMMemory(AbstractMemory):
    """A long short-term memory; the cell is kept, and a gate decides what is said of it (Hochreiter & Schmidhuber 1997)."""

    cell: eqx.nn.LSTMCell
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, span: float = SPAN, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it says.
        - `span`: frames; before anything is learned it keeps things for up to about so long.
        """
        keys = jax.random.split(key)
        self.in_size, self.size = in_size, size
        cell, keeps = eqx.nn.LSTMCell(in_size, size, key=keys[0]), patience(size, span, keys[1])
        bias = cell.bias.at[:size].set(-keeps).at[size : 2 * size].set(keeps)  # lets little in where it keeps for long  # pyright: ignore[reportOptionalMemberAccess]
        self.cell = eqx.tree_at(lambda cell: cell.bias, cell, bias)

    def init(self):
        return jnp.zeros(self.size), jnp.zeros(self.size)

    def __call__(self, carry, x):
        said, cell = self.cell(x, carry)
        return (said, cell), said
