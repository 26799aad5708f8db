"""Heads on a finished representation: how long it takes from here to there, and whether one comes there at all."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._vectors import safe_norm
from .nets import AbstractDecoder, ResidualMLP

EXPECTILE = 0.1  # of the times seen: below a half, because who wanders takes longer than he must
CHANCE_WEIGHT = 0.01  # of scores counted from chance, beside telling places apart

Terms = dict[str, Float[Array, ""]]
Pairs = tuple[Float[Array, "pair feature"], Float[Array, "pair feature"], Float[Array, " pair"]]


class TimeToReach(eqx.Module):
    """How many steps it takes from one place to another, as a quasi-metric: `d(x, y) = ‖f(y) − f(x)‖ + max_i relu(g_i(y) − g_i(x))`.

    Never negative, 0 from a place to itself, and no longer than by way of a third; but there and back may differ, as up and down do. A
    value function for "get there", whatever is asked for: give it to `ebm.Remaining`.

    Liu et al. 2023, "Metric residual networks for sample efficient goal-conditioned reinforcement learning", arXiv:2208.08133.
    """

    both_ways: ResidualMLP
    one_way: ResidualMLP

    def __init__(self, features: int, size: int = 32, width: int = 128, *, key: Key[Array, ""]):
        """**Arguments:**

        - `features`: how many numbers a place is. `size`: of what `f` and `g` make of it.
        - `width`: of their networks.
        """
        keys = jax.random.split(key)
        self.both_ways = ResidualMLP(features, size, width, 1, key=keys[0])
        self.one_way = ResidualMLP(features, size, width, 1, key=keys[1])

    def __call__(self, here: Float[Array, " feature"], there: Float[Array, " feature"]) -> Float[Array, ""]:
        across = safe_norm(self.both_ways(there) - self.both_ways(here))
        return across + jnp.max(jax.nn.relu(self.one_way(there) - self.one_way(here)))


class Reachability(eqx.Module):
    """Whether one comes from here to there: `f(here) · g(there)`, the log of how much likelier `there` follows `here` than any place.

    Above 0 it is likelier than by chance. What cannot be reached has no time, but a score.

    Eysenbach et al. 2022, "Contrastive learning as goal-conditioned reinforcement learning", arXiv:2206.07568.
    """

    here: ResidualMLP
    there: ResidualMLP
    size: int = eqx.field(static=True)

    def __init__(self, features: int, size: int = 32, width: int = 128, *, key: Key[Array, ""]):
        """**Arguments:**

        - `features`: how many numbers a place is. `size`: of what `f` and `g` make of it.
        - `width`: of their networks.
        """
        keys = jax.random.split(key)
        self.size = size
        self.here = ResidualMLP(features, size, width, 1, key=keys[0])
        self.there = ResidualMLP(features, size, width, 1, key=keys[1])

    def __call__(self, here: Float[Array, " feature"], there: Float[Array, " feature"]) -> Float[Array, ""]:
        return jnp.dot(self.here(here), self.there(there)) / self.size**0.5


def draw_pairs(films: Float[Array, "film frame feature"], longest: int, *, key: Key[Array, ""]) -> Pairs:
    """Two places of every film, up to `longest` frames apart.

    **Returns:**

    The earlier, the later, and the frames between them, which are 1 … `longest`, each as often.

    **Raises:**

    `ValueError` if films are not longer than `longest`.
    """
    count, frames, _ = films.shape
    if not 1 <= longest < frames:
        raise ValueError(f"`longest` must be in [1, {frames}), got {longest}: films have {frames} frames.")
    apart_key, start_key = jax.random.split(key)
    apart = jax.random.randint(apart_key, (count,), 1, longest + 1)
    start = jax.random.randint(start_key, (count,), 0, frames - apart)
    film = jnp.arange(count)
    return films[film, start], films[film, start + apart], apart.astype(jnp.float32)


def time_to_reach_loss(head: TimeToReach, batch: Pairs, share: Float[Array, ""], key: Array) -> tuple[Float[Array, ""], Terms]:
    """The squared error of the time between pairs from films; too long counts nine times as much as too short.

    So it learns a low expectile of the times that were taken, which comes near the shortest, from films of whoever wandered about.

    Kostrikov, Nair & Levine 2021, "Offline reinforcement learning with implicit Q-learning", arXiv:2110.06169.
    """
    del share, key
    here, there, steps = batch
    late = jax.vmap(head)(here, there) - steps
    loss = jnp.mean(jnp.where(late > 0, 1.0 - EXPECTILE, EXPECTILE) * late**2)
    return loss, {"error": jnp.mean(jnp.abs(late)), "late": jnp.mean(late)}


def reachability_loss(head: Reachability, batch: Pairs, share: Float[Array, ""], key: Array) -> tuple[Float[Array, ""], Terms]:
    """The cross entropy of guessing which place followed which, among all in the batch: forwards and backwards (InfoNCE).

    It leaves open from where scores are counted; a small penalty puts 0 at chance: `mean exp(score) = 1` over all places.

    van den Oord et al. 2018, "Representation learning with contrastive predictive coding", arXiv:1807.03748.
    """
    del share, key
    here, there, _ = batch
    scores = jax.vmap(lambda x: jax.vmap(lambda y: head(x, y))(there))(here)
    totals = jnp.stack([jax.nn.logsumexp(scores, axis=axis) for axis in (0, 1)])
    guess = jnp.mean(totals) - jnp.mean(jnp.diagonal(scores))
    right = jnp.mean(jnp.argmax(scores, axis=1) == jnp.arange(scores.shape[0]))
    return guess + CHANCE_WEIGHT * jnp.mean((totals - jnp.log(scores.shape[0])) ** 2), {"guess": guess, "right": right}


def decoder_loss(
    decoder: AbstractDecoder, batch: tuple[Float[Array, "sample feature"], Array], share: Float[Array, ""], key: Array
) -> tuple[Float[Array, ""], Terms]:
    """The mean squared error of pictures, in fractions of 255, over vectors and pictures: to look at what a finished encoder knows."""
    del share, key
    return jnp.mean(jax.vmap(decoder.error)(*batch)), {}
