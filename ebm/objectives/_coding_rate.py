"""The coding rate of MCR²."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, covariance, read, samples


class CodingRate(AbstractObjective):
    """Minus the volume of a block, in nats for every number of it: `-log det(ε² I + C) / D`.

    A volume is 0 as soon as one direction is missing, so that this finds also what varies little or rarely, such as where a door is. Up to
    constants the expansion term `-R` of MCR², with `ε²` in units of the block's variance, times `2 / D`.

    Yu et al. 2020, "Learning diverse and discriminative representations via the principle of maximal coding rate reduction",
    arXiv:2006.08558.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `noise`: ε², the variance below which directions do not count.
    - `within`: whether only what changes within films has a volume, so that the slow cannot fill it.
    """

    of: str = eqx.field(static=True, default="features")
    noise: Float[Array, ""] = eqx.field(converter=to_float, default=0.01)
    within: bool = eqx.field(static=True, default=False)

    def __call__(self, outcome):
        block = read(outcome, self.of)
        if self.within:
            block = block - jnp.mean(block, axis=1, keepdims=True)
        spread = covariance(samples(block))
        size = spread.shape[0]
        return -jnp.linalg.slogdet(self.noise * jnp.eye(size) + spread)[1] / size
