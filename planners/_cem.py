"""The cross-entropy method."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._checks import check_counts, check_numbers
from ._sampling import AbstractSamplingPlanner, Belief

ELITES = 0.1  # share of the samples, by default


class CEM(AbstractSamplingPlanner):
    """Fit a Gaussian to the best candidates, and sample again (Rubinstein 1999; Botev et al. 2013).

    **Arguments:**

    - `elites`: how many candidates are best; default a tenth, at least 4.
    - `momentum`: how much of the old mean and deviation stays at an update, in [0, 1).
    - `least`: below which share of the initial deviation the search does not narrow within a plan.
    """

    num_iterations: int = eqx.field(static=True, default=3)
    elites: int | None = eqx.field(static=True, default=None)
    momentum: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    least: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.05)

    def __check_init__(self):
        check_counts(self, elites=1)
        check_numbers(self, momentum=(0.0, 1.0), least=(0.0, 1.0))

    def begin(self, belief, initial):
        return eqx.tree_at(lambda b: b.std, belief, inflate(belief.std, initial))

    def update(self, belief, candidates, ranking):
        best = candidates[ranking.order[: elite_count(self.elites, self.num_samples)]]
        return fit(belief, best, self.momentum, self.least * self.noise)


def elite_count(elites: int | None, num_samples: int, most: int | None = None) -> int:
    """The number of elites, by default a tenth of the samples, at least 4 and no more than `most`."""
    usual = max(4, round(ELITES * num_samples))
    return min(elites or min(usual, most or usual), num_samples)


def inflate(std: Float[Array, "knot action"], initial: Float[Array, "knot action"]) -> Float[Array, "knot action"]:
    """Widen what the last plan narrowed: half the initial deviation at the front, all of it at the end, of which nothing is known yet."""
    return jnp.clip(std, jnp.linspace(0.5, 1.0, std.shape[0])[:, None] * initial, initial)


def fit(belief: Belief, best: Float[Array, "elite knot action"], momentum: Float[Array, ""], least: Float[Array, "*action"]) -> Belief:
    """The belief, moved to the mean and deviation of the best candidates."""
    floor = least * 0.5 * (belief.high - belief.low)
    mean = momentum * belief.mean + (1 - momentum) * jnp.mean(best, axis=0)
    std = momentum * belief.std + (1 - momentum) * jnp.maximum(jnp.std(best, axis=0), floor)
    return eqx.tree_at(lambda b: (b.mean, b.std), belief, (mean, std))
