"""Path integrals that learn how widely to search."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._cem import inflate
from ._checks import ABOVE_ZERO, check_numbers
from ._mppi import boltzmann
from ._sampling import AbstractSamplingPlanner


class CovarianceMPPI(AbstractSamplingPlanner):
    """MPPI that fits the deviation of its noise, too, knot by knot and actuator by actuator, to the weighted candidates.

    It narrows where the energy is steep and stays wide where it is flat; what a plan narrowed is widened again before the next.

    **Arguments:**

    - `momentum`: how much of the old variance stays at an update, in [0, 1).
    - `least`: below which share of the initial deviation the search does not narrow.
    - `effective`: as in `MPPI`.

    Stulp and Sigaud 2012, "Path integral policy improvement with covariance matrix adaptation", arXiv:1206.4621 (its diagonal form).
    """

    num_iterations: int = eqx.field(static=True, default=3)
    momentum: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)
    least: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    effective: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)

    def __check_init__(self):
        check_numbers(self, effective=(ABOVE_ZERO, 1.0), momentum=(0.0, 1.0), least=(0.0, 1.0))

    def begin(self, belief, initial):
        return eqx.tree_at(lambda b: b.std, belief, inflate(belief.std, initial))

    def update(self, belief, candidates, ranking):
        weights = boltzmann(ranking.energy, self.effective * self.num_samples)
        some = jnp.sum(weights) > 0
        mean = jnp.tensordot(weights, candidates, axes=1)
        variance = jnp.tensordot(weights, (candidates - belief.mean) ** 2, axes=1)
        variance = self.momentum * belief.std**2 + (1.0 - self.momentum) * variance
        least = self.least * self.noise * 0.5 * (belief.high - belief.low)
        std = jnp.maximum(jnp.sqrt(variance), least)
        fitted = jnp.where(some, mean, belief.mean), jnp.where(some, std, belief.std)
        return eqx.tree_at(lambda b: (b.mean, b.std), belief, fitted)
