"""InfoNCE: what belongs together is nearer than what does not."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import to_float
from ._objective import AbstractObjective, read, samples, views


class InfoNCE(AbstractObjective):
    """The cross-entropy of finding one's partner in the batch by the cosine of the angle: `-log softmax(cos(a_i, b_j) / τ)_ii`.

    Features that were predicted must find those that came among all other films *and all other times of the same film*: without the latter
    it is enough to encode the layout. For the context, the first frame of a film must find its last among those of other films.

    van den Oord et al. 2018, "Representation learning with contrastive predictive coding", arXiv:1807.03748.

    **Arguments:**

    - `of`: the block, "features" or "context".
    - `temperature`: τ.
    """

    of: str = eqx.field(static=True, default="features")
    temperature: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)

    def __call__(self, outcome):
        if self.of == "features":
            one, other = (samples(view) for view in views(outcome, self.of))
        else:
            block = read(outcome, self.of)
            one, other = block[:, 0], block[:, -1]
        cosines = _unit(one) @ _unit(other).T
        return -jnp.mean(jnp.diag(jax.nn.log_softmax(cosines / self.temperature, axis=-1)))


def _unit(x: Float[Array, "sample feature"]) -> Float[Array, "sample feature"]:
    return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-6)
