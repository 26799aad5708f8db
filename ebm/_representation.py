"""What an observation is to a learned world: the state that its energies look at."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._types import AbstractState

SMALL = 1e-5


class Representation(AbstractState):
    """An encoded observation, in two blocks, which are read as "features" and "context".

    **Arguments:**

    - `features`: what actions change.
    - `context`: what stays through an episode, such as a layout; of size 0 where nothing does.
    """

    features: Float[Array, "*batch feature"]
    context: Float[Array, "*batch context"]

    def read(self, name):
        if name not in ("features", "context"):
            raise KeyError(f"There is no {name!r} in a representation: features, context. For a probe, give the term a callable.")
        return self.features if name == "features" else self.context


def standardise(x: Float[Array, "*batch feature"]) -> Float[Array, "*batch feature"]:
    """Mean 0 and variance 1 over the numbers of each vector (Ba et al. 2016, "Layer normalization", arXiv:1607.06450)."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + SMALL)


def split(vector: Float[Array, "*batch size"], context_size: int, standardised: bool = True) -> Representation:
    """A vector as a representation, each block standardised if asked to; the context comes last."""
    blocks = jnp.split(vector, [vector.shape[-1] - context_size], axis=-1)
    return Representation(*(standardise(block) if standardised and block.shape[-1] else block for block in blocks))
