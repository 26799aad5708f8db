"""Frames that follow each other."""

import equinox as eqx
import jax.numpy as jnp

from ._objective import AbstractObjective, read


class TimeSimilarity(AbstractObjective):
    """The mean squared difference between frames that follow each other: smooth features are easier to predict.

    Too much of it and they become slow ones. Sobal et al. 2025, arXiv:2502.14819.

    **Arguments:**

    - `of`: the block, "features" or "context".
    """

    of: str = eqx.field(static=True, default="features")

    def __call__(self, outcome):
        return jnp.mean(jnp.diff(read(outcome, self.of), axis=1) ** 2)
