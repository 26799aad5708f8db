"""Noise that forgets exponentially."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._checks import check_numbers
from ._proposal import AbstractProposal, white


class OrnsteinUhlenbeck(AbstractProposal):
    """A stationary Ornstein–Uhlenbeck process over the knots: `n[k + 1] = ρ n[k] + √(1 - ρ²) · normal` (Uhlenbeck and Ornstein 1930).

    **Arguments:**

    - `memory`: ρ, the correlation of neighbouring knots, in [0, 1).
    """

    memory: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.7)

    def __check_init__(self):
        check_numbers(self, memory=(0.0, 1.0))

    def noise(self, shape, *, key):
        fresh = jnp.moveaxis(white(shape, key=key), -2, 0)

        def advance(before, normal):
            after = self.memory * before + jnp.sqrt(1.0 - self.memory**2) * normal
            return after, after

        _, rest = jax.lax.scan(advance, fresh[0], fresh[1:])
        return jnp.moveaxis(jnp.concatenate([fresh[:1], rest]), 0, -2)
