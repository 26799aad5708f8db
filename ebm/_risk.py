"""Risk: one number for the energies that one plan has in several possible worlds."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._types import concrete, to_float, to_positive

LEAST, MOST = 1e-30, 1e30  # temperatures with which float32 can reckon


class AbstractRisk(eqx.Module):
    """A summary of energies over latent draws."""

    @abc.abstractmethod
    def __call__(self, energies: Float[Array, " samples"]) -> Float[Array, ""]:
        """The risk of energies that are equally likely."""


class Mean(AbstractRisk):
    """The expected energy."""

    def __call__(self, energies):
        return jnp.mean(energies)


class WorstCase(AbstractRisk):
    """The highest energy."""

    def __call__(self, energies):
        return jnp.max(energies)


class BestCase(AbstractRisk):
    """The lowest energy: optimism, for exploration."""

    def __call__(self, energies):
        return jnp.min(energies)


class CVaR(AbstractRisk):
    """The mean of the worst fraction `alpha` of the energies, `alpha` in (0, 1] (Rockafellar and Uryasev 2000).

    Between samples the tail is weighted fractionally, so `alpha` may be any number, and `CVaR(1.0)` is the mean.
    """

    alpha: Float[Array, ""] = eqx.field(converter=to_float, default=0.25)

    def __check_init__(self):
        if concrete(self.alpha) and not 0.0 < float(self.alpha) <= 1.0:
            raise ValueError(f"`alpha` must be in (0, 1], got {self.alpha}. It is the fraction of worlds that count.")

    def __call__(self, energies):
        worst_first = -jnp.sort(-energies)
        tail = jnp.clip(self.alpha * energies.size, 1.0, energies.size)
        weights = jnp.clip(tail - jnp.arange(energies.size), 0.0, 1.0)
        return jnp.sum(jnp.where(weights > 0, weights * worst_first, 0.0)) / tail


class Entropic(AbstractRisk):
    """`temperature · log E[exp(energy / temperature)]` (Howard and Matheson 1972).

    The mean for a high temperature, the worst case for a low one.
    """

    temperature: Float[Array, ""] = eqx.field(converter=lambda x: to_positive(x, "temperature"), default=1.0)

    def __check_init__(self):
        if concrete(self.temperature) and not LEAST <= float(self.temperature) <= MOST:
            raise ValueError(
                f"`temperature` must be finite, from {LEAST:g} to {MOST:g}, got {self.temperature}. "
                "For the limit of a high one use `ebm.Mean()`, of a low one `ebm.WorstCase()`."
            )

    def __call__(self, energies):
        # From the worst energy, with expm1 and log1p: a logsumexp cancels at high temperatures, where the answer is the mean.
        worst = jax.lax.stop_gradient(jnp.max(energies))
        worst = jnp.where(jnp.isfinite(worst), worst, 0.0)
        return worst + self.temperature * jnp.log1p(jnp.mean(jnp.expm1((energies - worst) / self.temperature)))
