"""What stays through a film."""

import equinox as eqx
import jax.numpy as jnp

from ._objective import AbstractObjective, read


class Constancy(AbstractObjective):
    """The variance of a block within films: the invariance term of VICReg, where the frames of a film are views of one layout.

    Bardes, Ponce & LeCun 2022, "VICReg", arXiv:2105.04906.

    **Arguments:**

    - `of`: the block, "context" or "features".
    """

    of: str = eqx.field(static=True, default="context")

    def __call__(self, outcome):
        block = read(outcome, self.of)
        return jnp.mean((block - jnp.mean(block, axis=1, keepdims=True)) ** 2)
