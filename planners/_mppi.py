"""Model predictive path integral control."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._checks import ABOVE_ZERO, check_numbers
from ._sampling import AbstractSamplingPlanner, Belief

BISECTIONS = 12
LOG_TEMPERATURE = 8.0  # the search covers e^±8 units of energy
WILD = 1e2  # times what the best few differ by: a spread of more than that is some outlier's
HUGE = 1e15  # whose square is finite
SMALL = 1e-12


class MPPI(AbstractSamplingPlanner):
    """Average the candidates, weighted by `exp(-energy / temperature)` (Williams et al. 2017, arXiv:1707.02342).

    The temperature is solved at every iteration, so that the *effective* number of averaged samples `1 / Σ w²` is a fixed share of them:
    one setting serves energies of any scale and horizon.

    **Arguments:**

    - `effective`: the share of samples that count, in (0, 1].
    """

    effective: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.05)

    def __check_init__(self):
        check_numbers(self, effective=(ABOVE_ZERO, 1.0))

    def begin(self, belief, initial):
        return eqx.tree_at(lambda b: b.std, belief, initial)

    def update(self, belief, candidates, ranking):
        return eqx.tree_at(lambda b: b.mean, belief, weighted_mean(belief, candidates, ranking, self.effective))


def weighted_mean(
    belief: Belief, candidates: Float[Array, "candidates knot action"], ranking: ebm.Ranking, effective: Float[Array, ""]
) -> Float[Array, "knot action"]:
    """The candidates averaged by `boltzmann`, `effective` being a share of them; the old mean if none counts."""
    weights = boltzmann(ranking.energy, effective * candidates.shape[0])
    return jnp.where(jnp.sum(weights) > 0, jnp.tensordot(weights, candidates, axes=1), belief.mean)


def boltzmann(energy: Float[Array, " candidates"], effective: Float[Array, ""]) -> Float[Array, " candidates"]:
    """Weights `exp(-energy / temperature)`, normalised, with the temperature at which `1 / Σ w²` is `effective`.

    Candidates of infinite energy weigh 0; if there are fewer others than `effective`, half of those count. All zero if there is none.
    """
    possible = jnp.isfinite(energy)
    count = jnp.sum(possible)
    target = jnp.clip(effective, 1.0, jnp.maximum(0.5 * count, 1.0))
    lowest = jnp.min(jnp.where(possible, energy, jnp.inf))
    above = jnp.where(possible, jnp.minimum(energy - jnp.where(count > 0, lowest, 0.0), HUGE), 0.0)
    least = SMALL * (1.0 + jnp.abs(lowest))
    # the unit is the spread of all, unless the best few are so close to each other that only a few wild ones can have made it
    ordered = jnp.sort(jnp.where(possible, above, jnp.inf))
    few = ordered[jnp.ceil(2.0 * target).astype(jnp.int32) - 1]
    few = jnp.min(jnp.where((ordered >= few) & (ordered > least), ordered, jnp.inf))
    unit = jnp.minimum(jnp.sqrt(jnp.sum(above**2) / jnp.maximum(count, 1)), WILD * few)
    above = above / jnp.where(unit > least, unit, 1.0)

    def weigh(log_temperature):
        weights = jnp.where(possible, jnp.exp(-above * jnp.exp(-log_temperature)), 0.0)
        return weights / jnp.maximum(jnp.sum(weights), SMALL)

    def halve(bounds, _):
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = 1.0 / jnp.maximum(jnp.sum(weigh(middle) ** 2), SMALL) > target
        return (jnp.where(enough, low, middle), jnp.where(enough, middle, high)), None

    bounds = (jnp.float32(-LOG_TEMPERATURE), jnp.float32(LOG_TEMPERATURE))
    (_, log_temperature), _ = jax.lax.scan(halve, bounds, length=BISECTIONS)
    return weigh(log_temperature)
