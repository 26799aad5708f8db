"""Whitening: two views agree after everything has been spread out evenly."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, covariance, samples, views


class Whitening(AbstractObjective):
    """The squared distance of two views that were whitened together and brought to length 1: `2 - 2 cos`.

    Whitened samples have the identity for a covariance, so that they cannot collapse, whatever the encoder does. A batch must have many
    more samples than a block has numbers (W-MSE takes at least twice as many).

    Ermolov et al. 2021, "Whitening for self-supervised representation learning", arXiv:2007.06346.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `noise`: added to the variances before they are divided by.
    """

    of: str = eqx.field(static=True, default="features")
    noise: Float[Array, ""] = eqx.field(converter=to_float, default=1e-3)

    def __call__(self, outcome):
        both = jnp.concatenate([samples(view) for view in views(outcome, self.of)])
        spread = covariance(both) + self.noise * jnp.eye(both.shape[-1])
        white = solve_triangular(jnp.linalg.cholesky(spread), (both - jnp.mean(both, axis=0)).T, lower=True).T
        white = white / jnp.sqrt(jnp.sum(white**2, axis=-1, keepdims=True) + 1e-6)
        one, other = jnp.split(white, 2)
        return jnp.mean(jnp.sum((one - other) ** 2, axis=-1))
