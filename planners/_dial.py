"""Annealed sampling, as in diffusion."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import ebm

from ._checks import ABOVE_ZERO, check_numbers
from ._mppi import weighted_mean
from ._sampling import AbstractSamplingPlanner


class DIAL(AbstractSamplingPlanner):
    """MPPI whose noise shrinks from round to round, and from the far end of the plan to its front.

    Wide noise first finds the valley and narrow noise then its floor; and what is due soon was refined by the plans before. With the noise
    `σ²(i, h) ∝ exp(-i / (β₁ N) - (K - 1 - k) / (β₂ K))` in round i of N, at knot k of K.

    **Arguments:**

    - `across_rounds`, `across_knots`: β₁ and β₂; larger is less annealing.
    - `effective`: as in `MPPI`.

    Xue et al. 2024, "Full-order sampling-based MPC for torque-level locomotion control via diffusion-style annealing", arXiv:2409.15610.
    """

    num_iterations: int = eqx.field(static=True, default=4)
    across_rounds: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)
    across_knots: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)
    effective: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.05)

    def __check_init__(self):
        check_numbers(self, effective=(ABOVE_ZERO, 1.0), across_rounds=(ABOVE_ZERO, np.inf), across_knots=(ABOVE_ZERO, np.inf))

    def begin(self, belief, initial):
        distance = jnp.arange(self.knots)[::-1, None] / self.knots
        return eqx.tree_at(lambda b: b.std, belief, initial * jnp.exp(-0.5 * distance / self.across_knots))

    def update(self, belief, candidates, ranking):
        mean = weighted_mean(belief, candidates, ranking, self.effective)
        narrower = belief.std * jnp.exp(-0.5 / (self.across_rounds * self.num_iterations))
        return eqx.tree_at(lambda b: (b.mean, b.std), belief, (mean, narrower))
