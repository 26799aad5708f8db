"""What was predicted, beside what came."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ._objective import AbstractObjective, read


class Prediction(AbstractObjective):
    """The mean squared error of features that were predicted over whole films from the first frame on, without seeing another.

    **Arguments:**

    - `stopped`: whether what came is a target only, through which nothing learns.
    """

    stopped: bool = eqx.field(static=True, default=False)

    def __call__(self, outcome):
        came = read(outcome, "features")[:, 1:]
        return jnp.mean((outcome.predicted - (jax.lax.stop_gradient(came) if self.stopped else came)) ** 2)
