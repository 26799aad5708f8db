"""A copy that follows slowly."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ._types import to_float


class Average(eqx.Module):
    """An exponential moving average of a network's parameters: a teacher that is steadier than its pupil.

    It does not learn, although it consists of layers: `trainable` passes it by, and a training calls `follow` after every step.

    Tarvainen & Valpola 2017, "Mean teachers are better role models", arXiv:1703.01780; Grill et al. 2020, arXiv:2006.07733.

    **Arguments:**

    - `network`: a copy of what is followed.
    - `momentum`: how much of the copy stays at every step, at the beginning. It goes to 1, linearly, at the end of the training.
    """

    network: Any
    momentum: Float[Array, ""] = eqx.field(converter=to_float, default=0.99)

    def follow(self, network: Any, share: Float[Array, ""] | float = 0.0) -> "Average":
        """A step nearer to `network`, when `share` of the training is done."""
        stays = self.momentum + share * (1.0 - self.momentum)
        mine, rest = eqx.partition(self.network, eqx.is_inexact_array)
        theirs = eqx.filter(network, eqx.is_inexact_array)
        mixed = jax.tree.map(lambda old, new: stays * old + (1.0 - stays) * new, mine, theirs)
        return Average(eqx.combine(mixed, rest), self.momentum)
