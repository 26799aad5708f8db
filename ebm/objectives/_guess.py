"""What the distilling objectives share: a small network that guesses a target."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from .._representation import standardise
from ._objective import Outcome, read


def guesser(size: int, width: int, *, key: Key[Array, ""]) -> eqx.nn.MLP:
    """The small network between a representation and its target."""
    return eqx.nn.MLP(size, size, width, 1, key=key)


def guess(network: eqx.nn.MLP, source: Float[Array, "film frame feature"], target: Float[Array, "film frame feature"]) -> Array:
    """The mean squared error, through which only the source learns; both are standardised, so that it is `2 - 2 cos`."""
    guessed = standardise(jax.vmap(jax.vmap(network))(source))
    return jnp.mean((guessed - jax.lax.stop_gradient(target)) ** 2)


def source(outcome: Outcome, of: str) -> Float[Array, "film step feature"]:
    """What the next frame is guessed from: features that were predicted for it, or the context of the frame before."""
    return outcome.predicted if of == "features" else read(outcome, of)[:, :-1]
