"""Hiding parts of what is seen."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

PATCH = 8  # px


def hide(pictures: Array, share: Float[Array, ""] | float, *, key: Key[Array, ""], patch: int = PATCH) -> Array:
    """Films with square patches blackened, in each film the same ones in all of its frames.

    **Arguments:**

    - `pictures`: shape (film, frame, channel, height, width).
    - `share`: of the patches that are hidden, on average.
    - `patch`: px.
    """
    films, _, _, height, width = pictures.shape
    kept = jax.random.bernoulli(key, 1.0 - share, (films, 1, 1, -(-height // patch), -(-width // patch)))
    kept = jnp.repeat(jnp.repeat(kept, patch, axis=-2), patch, axis=-1)[..., :height, :width]
    return jnp.where(kept, pictures, jnp.zeros((), pictures.dtype))
