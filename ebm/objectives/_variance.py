"""The variance term of VICReg."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, deviation, hinge, read, samples


class Variance(AbstractObjective):
    """How far the deviation of every number falls short of `least`, over all frames of the batch: `mean_j max(0, γ - √(Var_j + 1e-4))`.

    Keeps representations from shrinking to a point. One block, averaged: half of the reference code's sum over two views.

    Bardes, Ponce & LeCun 2022, "VICReg", arXiv:2105.04906.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `least`: the deviation γ.
    """

    of: str = eqx.field(static=True, default="features")
    least: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)

    def __call__(self, outcome):
        return hinge(deviation(jnp.var(samples(read(outcome, self.of)), axis=0, ddof=1)), self.least)
