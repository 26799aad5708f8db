"""Predictors: what an action makes of an encoded state."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._residual import ResidualMLP


class AbstractPredictor(eqx.Module):
    """A network from features, an action and a context to the next features."""

    def condense(self, context: Float[Array, " context"]) -> PyTree:
        """What the context, which stays through a rollout, comes to; computed once. By default itself."""
        return context

    @abc.abstractmethod
    def __call__(self, features: Float[Array, " feature"], action: Float[Array, " action"], condensed: PyTree) -> Float[Array, " feature"]:
        """The features after `action`, which is in half ranges of its box."""

    def sample_noise(self, *, key: Key[Array, ""]) -> PyTree:
        """Base noise of one step, for what cannot be predicted. By default `None`: nothing is left to chance."""
        del key

    def draw(self, features: Array, action: Array, condensed: PyTree, noise: PyTree) -> Float[Array, " feature"]:
        """One of the futures that may come, made of base noise. By default the only one."""
        del noise
        return self(features, action, condensed)


class ResidualPredictor(AbstractPredictor):
    """The change of the features, by a residual network of features and action.

    The context passes through a network of its own and is added to the first layer, so that it costs nothing at every step.
    """

    network: ResidualMLP

    def __init__(self, features: int, actions: int, width: int = 256, depth: int = 2, *, context_size: int = 0, key: Key[Array, ""]):
        """**Arguments:**

        - `features`, `actions`, `context_size`: how many numbers each is.
        - `width`, `depth`: of the network.
        """
        self.network = ResidualMLP(features + actions, features, width, depth, condition_size=context_size, key=key)

    def condense(self, context):
        return self.network.condition(context)

    def __call__(self, features, action, condensed):
        return features + self.network(jnp.concatenate([features, action]), condensed)


class GRUPredictor(AbstractPredictor):
    """A gated recurrent unit whose hidden state is the features themselves (Cho et al. 2014, arXiv:1406.1078)."""

    cell: eqx.nn.GRUCell

    def __init__(self, features: int, actions: int, *, context_size: int = 0, key: Key[Array, ""]):
        """**Arguments:**

        - `features`, `actions`, `context_size`: how many numbers each is.
        """
        self.cell = eqx.nn.GRUCell(actions + context_size, features, key=key)

    def __call__(self, features, action, condensed):
        return self.cell(jnp.concatenate([action, condensed]), features)
