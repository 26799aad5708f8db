"""A gated recurrent unit as a memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._memory import SPAN, AbstractMemory, patience


class GRUMemory(AbstractMemory):
    """A gated recurrent unit; it says what it keeps (Cho et al. 2014, arXiv:1406.1078)."""

    cell: eqx.nn.GRUCell
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, span: float = SPAN, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it keeps.
        - `span`: frames; before anything is learned it keeps things for up to about so long.
        """
        keys = jax.random.split(key)
        self.in_size, self.size = in_size, size
        cell = eqx.nn.GRUCell(in_size, size, key=keys[0])
        self.cell = eqx.tree_at(lambda cell: cell.bias, cell, cell.bias.at[size : 2 * size].set(patience(size, span, keys[1])))  # pyright: ignore[reportOptionalMemberAccess]

    def init(self):
        return jnp.zeros(self.size)

    def __call__(self, carry, x):
        after = self.cell(x, carry)
        return after, after
