"""What the two blocks share."""

import jax.numpy as jnp

from ._objective import AbstractObjective, read, samples


class CrossCovariance(AbstractObjective):
    """The mean of squared covariances between features and context: `Σ_ij K_ij² / (D D')`. What one says the other need not repeat."""

    def __call__(self, outcome):
        features, context = (samples(read(outcome, of)) for of in ("features", "context"))
        features, context = features - jnp.mean(features, axis=0), context - jnp.mean(context, axis=0)
        return jnp.mean((features.T @ context / (features.shape[0] - 1)) ** 2)
