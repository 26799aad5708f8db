"""The improved cross-entropy method."""

import equinox as eqx
from jaxtyping import Array, Float

import ebm

from ._cem import elite_count, fit, inflate
from ._checks import check_counts, check_numbers
from ._coloured import Coloured
from ._proposal import AbstractProposal
from ._sampling import AbstractSamplingPlanner

MOST_ELITES = 10  # by default
KEPT = 0.3  # share of the elites that stay among the candidates


class iCEM(AbstractSamplingPlanner):
    """CEM with noise that is correlated in time, and with elites kept between iterations and, moved on in time, between plans.

    Pinneri et al. 2020, "Sample-efficient cross-entropy method for real-time planning", arXiv:2008.06389.

    **Arguments:**

    - `proposal`: by default red noise.
    - `elites`: how many candidates are best; default a tenth, at least 4 and, as in the paper, at most 10: the kept ones make up for it.
    - `momentum`, `least`: as in `CEM`.
    """

    num_iterations: int = eqx.field(static=True, default=3)
    elites: int | None = eqx.field(static=True, default=None)
    proposal: AbstractProposal = eqx.field(default_factory=Coloured)  # an array made on import would start the device
    momentum: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    least: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.05)

    def __check_init__(self):
        check_counts(self, elites=1)
        check_numbers(self, momentum=(0.0, 1.0), least=(0.0, 1.0))

    @property
    def num_elites(self):
        return max(1, round(KEPT * self.num_best))

    @property
    def num_best(self) -> int:
        """How many candidates the belief is fitted to."""
        return elite_count(self.elites, self.num_samples, MOST_ELITES)

    def begin(self, belief, initial):
        return eqx.tree_at(lambda b: b.std, belief, inflate(belief.std, initial))

    def update(self, belief, candidates, ranking):
        best = candidates[ranking.order[: self.num_best]]
        belief = fit(belief, best, self.momentum, self.least * self.noise)
        return eqx.tree_at(lambda b: b.elites, belief, best[: self.num_elites])
