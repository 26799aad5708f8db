"""A soft indicator, for energies that are bounded."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._types import Numbers, to_float

SMALL = 1e-12  # of a margin, at least


def tolerance(
    x: Float[Array, "*shape"],
    low: Numbers = 0.0,
    high: Numbers = 0.0,
    *,
    margin: Numbers = 0.1,
    value_at_margin: float = 0.1,
) -> Float[Array, "*shape"]:
    """A soft indicator of `low ≤ x ≤ high`: 1 inside, falling as a Gaussian to `value_at_margin` at a distance of `margin` outside.

    Useful as an energy `1 - tolerance(x)`, which is bounded, where a quadratic would let one bad term drown the others.

    **Arguments:**

    - `x`: any shape and unit; `low`, `high`, `margin` in the same unit.
    - `value_at_margin`: in (0, 1).

    **Returns:**

    Values in (0, 1], the shape of `x`.

    **Raises:**

    `ValueError` if `value_at_margin` is outside (0, 1).

    Tassa et al. 2018, "DeepMind Control Suite", arXiv:1801.00690.
    """
    if not 0.0 < value_at_margin < 1.0:
        raise ValueError(f"`value_at_margin` must be in (0, 1), got {value_at_margin}. It is the value one margin outside.")
    outside = jnp.maximum(jnp.maximum(to_float(low) - x, x - to_float(high)), 0.0) / jnp.maximum(to_float(margin), SMALL)
    return jnp.exp(math.log(value_at_margin) * outside**2)
