"""What must change within a film."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, deviation, hinge, read


class FilmVariance(AbstractObjective):
    """How far the deviation of every number *within* films falls short of `least`.

    A representation of layouts only has variance, but none within a film: this is what keeps the slow from crowding out the fast (Sobal et
    al. 2025, arXiv:2502.14819).

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `least`: the deviation.
    """

    of: str = eqx.field(static=True, default="features")
    least: Float[Array, ""] = eqx.field(converter=to_float, default=0.6)

    def __call__(self, outcome):
        block = read(outcome, self.of)
        frames = block.shape[1]
        within = jnp.mean((block - jnp.mean(block, axis=1, keepdims=True)) ** 2, axis=(0, 1)) * frames / (frames - 1)
        return hinge(deviation(within), self.least)
