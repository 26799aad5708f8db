"""Measures of a representation: how much is in it, whether it is what planning needs, and whether a model of it can be believed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from .objectives._objective import covariance

SMALL = 1e-12
WIDE = 300  # random features of a probe
RIDGE = 1e-3  # of a probe, in variances of its inputs
NOTHING = 1e-6  # of the largest variance: rounding, or a direction that standardised vectors cannot have


def effective_rank(x: Float[Array, "sample feature"]) -> Float[Array, ""]:
    """RankMe: `exp H(p)`, with `p` the singular values of the centred sample, normalised; between 1 and the number of features.

    Garrido et al. 2023, "RankMe", arXiv:2210.02885 (who do not centre).
    """
    sizes = jnp.sqrt(jnp.maximum(_variances(x), 0.0))
    return jnp.exp(_entropy(sizes))


def participation_ratio(x: Float[Array, "sample feature"]) -> Float[Array, ""]:
    """`(Σ λ)² / Σ λ²` of the covariance: the number of directions, counted by the variance that they carry."""
    variances = _variances(x)
    return jnp.sum(variances) ** 2 / jnp.maximum(jnp.sum(variances**2), SMALL)


def spectrum_decay(x: Float[Array, "sample feature"]) -> Float[Array, ""]:
    """α-ReQ: the exponent `α` of `λ_i ∝ i^-α`, by least squares; near 1 is healthy, far above it collapsed, far below it noise.

    Over the directions in which there is anything; infinite if that is one, or none. How many are lost is what `effective_rank` says.

    Agrawal et al. 2022, "α-ReQ", NeurIPS.
    """
    variances = _variances(x)
    there = (variances > NOTHING * variances[0]) & (variances > SMALL)
    count = jnp.sum(there)
    order, height = jnp.log(1.0 + jnp.arange(len(variances))), jnp.log(jnp.maximum(variances, SMALL))
    order = jnp.where(there, order - jnp.sum(jnp.where(there, order, 0.0)) / jnp.maximum(count, 1), 0.0)
    return jnp.where(count > 1, -jnp.sum(order * height) / jnp.maximum(jnp.sum(order**2), SMALL), jnp.inf)


def lidar(x: Float[Array, "group view feature"], delta: float = 1e-4) -> Float[Array, ""]:
    """LiDAR: the effective rank of what tells groups apart, in units of what varies within them. A film is a group, or a state seen often.

    Thilak et al. 2023, "LiDAR", arXiv:2312.04000.
    """
    centers = jnp.mean(x, axis=1)
    between = covariance(centers)
    within = covariance((x - centers[:, None]).reshape(-1, x.shape[-1])) + delta * jnp.eye(x.shape[-1])
    values, vectors = jnp.linalg.eigh(within)
    whiten = (vectors / jnp.sqrt(values)) @ vectors.T
    return jnp.exp(_entropy(jnp.maximum(jnp.linalg.eigvalsh(whiten @ between @ whiten), 0.0)))


def within_share(x: Float[Array, "film frame feature"]) -> Float[Array, ""]:
    """The share of all variance that is within films: 0 where only layouts are encoded."""
    within = jnp.mean((x - jnp.mean(x, axis=1, keepdims=True)) ** 2)
    return within / jnp.maximum(jnp.mean((x - jnp.mean(x, axis=(0, 1))) ** 2), SMALL)


def relative_error(
    predicted: Float[Array, "*batch feature"], came: Float[Array, "*batch feature"], before: Float[Array, "*batch feature"]
) -> Float[Array, ""]:
    """The root mean square error of a prediction, in units of that of a predictor that says nothing will change."""
    return jnp.sqrt(jnp.mean((predicted - came) ** 2) / jnp.maximum(jnp.mean((before - came) ** 2), SMALL))


def action_sensitivity(one: Float[Array, "sample feature"], other: Float[Array, "sample feature"]) -> Float[Array, ""]:
    """How far apart a model takes the same states by different actions, in deviations of a feature; near 0, and no plan can matter."""
    apart = jnp.mean(jnp.linalg.norm(one - other, axis=-1))
    return apart / jnp.maximum(jnp.sqrt(jnp.sum(jnp.var(one, axis=0))), SMALL)


def probe(x: Float[Array, "sample feature"], y: Float[Array, "sample quantity"], *, key: Key[Array, ""]) -> Float[Array, " quantity"]:
    """`R²` of quantities guessed from features, by ridge regression on random cosines of them, fitted to one half and judged on the other.

    At most 1; 0 for a guess no better than the mean. Ask it for everything that planning needs, slow things such as layouts too: none of
    the measures above notices that a door is missing.

    Rahimi & Recht 2007, "Random features for large-scale kernel machines".
    """
    x = (x - jnp.mean(x, axis=0)) / jnp.maximum(jnp.std(x, axis=0), 1e-6)
    turn, phase = jax.random.split(key)
    waves = jax.random.normal(turn, (x.shape[-1], WIDE)) * 0.7 / jnp.sqrt(x.shape[-1])
    cosines = jnp.cos(x @ waves + jax.random.uniform(phase, (WIDE,), maxval=2 * jnp.pi))
    inputs = jnp.concatenate([jnp.ones((len(x), 1)), x, cosines], axis=-1)
    half = len(x) // 2
    y = y - jnp.mean(y[:half], axis=0)  # a ridge pulls towards 0
    fit, judge = inputs[:half], inputs[half:]
    weights = jnp.linalg.solve(fit.T @ fit + RIDGE * half * jnp.eye(fit.shape[1]), fit.T @ y[:half])
    unexplained = jnp.mean((judge @ weights - y[half:]) ** 2, axis=0)
    return 1.0 - unexplained / jnp.maximum(jnp.var(y[half:], axis=0), SMALL)


def rank_correlation(x: Float[Array, " sample"], y: Float[Array, " sample"]) -> Float[Array, ""]:
    """Spearman's: whether larger goes with larger, such as distance in a representation with what is left to go.

    Equals share a rank; 0 if all are equal.
    """
    one, two = (ranks - jnp.mean(ranks) for ranks in map(_ranks, (x, y)))
    return jnp.sum(one * two) / jnp.maximum(jnp.sqrt(jnp.sum(one**2) * jnp.sum(two**2)), SMALL)


def _ranks(x: Float[Array, " sample"]) -> Float[Array, " sample"]:
    ordered = jnp.sort(x)
    return 0.5 * (jnp.searchsorted(ordered, x, side="left") + jnp.searchsorted(ordered, x, side="right"))


def _variances(x: Float[Array, "sample feature"]) -> Float[Array, " feature"]:
    """Along the principal directions, largest first."""
    return jnp.linalg.eigvalsh(covariance(x))[::-1]


def _entropy(sizes: Float[Array, " direction"]) -> Float[Array, ""]:
    shares = sizes / jnp.maximum(jnp.sum(sizes), SMALL)
    return -jnp.sum(shares * jnp.log(jnp.maximum(shares, SMALL)))
