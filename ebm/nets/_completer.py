"""Predictors that may see part of what comes, and foresee the rest of it."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ._predictors import AbstractPredictor
from ._transformer import EXPANSION, WHERE, Block


class AbstractCompleter(AbstractPredictor):
    """A predictor of what is hidden of the next features, which may be told what is not.

    What can happen next is often one of several things that hang together: told a part of it, one knows the rest, and who guesses all at
    once guesses the mean of them.
    """

    @abc.abstractmethod
    def complete(
        self,
        features: Float[Array, " feature"],
        action: Float[Array, " action"],
        condensed: PyTree,
        seen: Float[Array, " feature"],
        hidden: Bool[Array, " feature"],
    ) -> Float[Array, " feature"]:
        """The features after `action`, of which `seen` has those that are not `hidden`, and anything in place of the others."""

    def __call__(self, features, action, condensed):
        return self.complete(features, action, condensed, jnp.zeros_like(features), jnp.ones(features.shape, bool))


class GridCompleter(AbstractCompleter):
    """A transformer over the places of a grid: the change of the features in each, where it is hidden.

    He et al. 2022, "Masked autoencoders are scalable vision learners", arXiv:2111.06377, for pixels; Bardes et al. 2024, "Revisiting
    feature prediction for learning visual representations from video", arXiv:2404.08471, for features.
    """

    first: eqx.nn.Linear
    where: Float[Array, "place width"]
    blocks: list[Block]
    last: eqx.nn.Linear
    places: int = eqx.field(static=True)

    def __init__(
        self,
        places: int,
        channels: int,
        kept: int,
        width: int = 96,
        depth: int = 2,
        *,
        heads: int = 4,
        actions: int = 0,
        expansion: int = EXPANSION,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `places`: how many. `channels`: of the features in each. `kept`: of the memory in each. `actions`: numbers of an action.
        - `width`, `depth`, `heads`, `expansion`: of the transformer.
        """
        keys = jax.random.split(key, depth + 3)
        self.places = places
        self.first = eqx.nn.Linear(2 * channels + kept + actions + 1, width, key=keys[0])
        self.where = WHERE * jax.random.normal(keys[1], (places, width))
        self.last = eqx.nn.Linear(width, channels, key=keys[2])
        self.blocks = [Block(width, heads, expansion=expansion, key=key) for key in keys[3:]]

    def complete(self, features, action, condensed, seen, hidden):
        told = jnp.broadcast_to(action, (self.places, action.size))
        guessed = hidden.reshape(self.places, -1)[:, :1].astype(features.dtype)
        parts = (features, condensed, jnp.where(hidden, 0.0, seen))
        tokens = jnp.concatenate([*(part.reshape(self.places, -1) for part in parts), told, guessed], axis=1)
        tokens = jax.vmap(self.first)(tokens) + self.where
        for block in self.blocks:
            tokens = block(tokens)
        return jnp.where(hidden, features + jax.vmap(self.last)(tokens).ravel(), seen)
