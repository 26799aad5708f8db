"""Gradients that mean something, what is made of those that do not, and steps along them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

EXPLODED = 1e12  # gradient norm, relative to the energy, beyond which a direction means nothing


def direction(slope: PyTree, energy: Float[Array, ""]) -> tuple[PyTree, Bool[Array, ""], Bool[Array, ""]]:
    """A gradient made one long, so that an optimiser's epsilon keeps components that are only rounding from being blown up.

    **Returns:**

    The direction, zero where there is none; whether the gradient is finite and has not exploded; and whether, besides, it is not zero.
    """
    norm = optax.tree.norm(slope)
    usable = jnp.isfinite(norm) & (norm < EXPLODED * (1.0 + jnp.abs(energy)))
    useful = usable & (norm > 0)
    length = jnp.where(useful, norm, 1.0)
    return jax.tree.map(lambda leaf: jnp.where(usable, leaf / length, 0.0), slope), usable, useful


def walk(
    objective: Callable[[Any], Array],
    start: PyTree,
    energy: Float[Array, ""],
    learning_rate: Float[Array, ""],
    tidy: Callable[[Any, Array, Array], Any],
    keys: Key[Array, " steps"],
) -> tuple[PyTree, Bool[Array, ""]]:
    """Adam from `start`, one step for every key.

    **Arguments:**

    - `energy`: what is large, for a gradient to explode.
    - `tidy`: of a point, a key, and the fraction of steps that are left; called after each.

    **Returns:**

    The last point, and whether there ever was a gradient to follow.
    """
    optimiser = optax.adam(1.0, b2=0.99, eps=1e-3)

    def step(carry, inputs):
        point, memory = carry
        slope, usable, useful = direction(jax.grad(objective)(point), energy)
        change, memory = optimiser.update(slope, memory)
        moved = jax.tree.map(lambda p, c: p + jnp.where(usable, learning_rate * c, 0.0), point, change)
        return (tidy(moved, *inputs), memory), useful

    count = keys.shape[0]
    inputs = keys, 1.0 - jnp.arange(1, count + 1) / max(count, 1)
    (point, _), useful = jax.lax.scan(step, (start, optimiser.init(start)), inputs)
    return point, jnp.any(useful)
