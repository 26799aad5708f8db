"""Barlow Twins: two views agree, number by number, and no two numbers do."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, deviation, samples, views


class BarlowTwins(AbstractObjective):
    """How far the cross-correlation `K` of two views is from the identity: `(Σ_i (1 - K_ii)² + λ Σ_{i≠j} K_ij²) / D`.

    Correlations do not know how large a block is, nor would a planner that measures distance in it: use it on blocks that are standardised.
    The reference code does not divide by D, and scales everything by 0.024.

    Zbontar et al. 2021, "Barlow twins: self-supervised learning via redundancy reduction", arXiv:2103.03230.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `redundancy`: λ, what equal numbers cost beside unequal views.
    """

    of: str = eqx.field(static=True, default="features")
    redundancy: Float[Array, ""] = eqx.field(converter=to_float, default=5e-3)

    def __call__(self, outcome):
        one, other = (_standardised(samples(view)) for view in views(outcome, self.of))
        size = one.shape[-1]
        correlation = one.T @ other / one.shape[0]
        agree = jnp.sum((1.0 - jnp.diag(correlation)) ** 2)
        repeat = jnp.sum(correlation**2 * (1.0 - jnp.eye(size)))
        return (agree + self.redundancy * repeat) / size


def _standardised(x: Float[Array, "sample feature"]) -> Float[Array, "sample feature"]:
    return (x - jnp.mean(x, axis=0)) / deviation(jnp.var(x, axis=0))
