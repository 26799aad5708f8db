"""Sliced Wasserstein distance to a normal distribution."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri

from ._objective import AbstractObjective, directions, read, samples


class SlicedWasserstein(AbstractObjective):
    """The squared 2-Wasserstein distance of one-dimensional projections from the normal distribution, the mean over random directions.

    In one dimension it is the mean squared difference between the sorted sample and the quantiles. Its slope does not fade far from the
    target, as that of a characteristic function does.

    Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures"; Kolouri et al. 2019, arXiv:1804.01947.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `count`: of directions.
    """

    of: str = eqx.field(static=True, default="features")
    count: int = eqx.field(static=True, default=64)

    def __call__(self, outcome):
        x = samples(read(outcome, self.of))
        projected = x @ directions(outcome, self.count, x.shape[-1]).T
        quantiles = ndtri((jnp.arange(len(x)) + 0.5) / len(x))
        return jnp.mean((jnp.sort(projected, axis=0) - quantiles[:, None]) ** 2)
