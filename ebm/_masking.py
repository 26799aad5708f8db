"""Hiding parts of what is seen."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

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


class Blocks(eqx.Module):
    """Rectangles of places in a grid of features, flat: (row, column, channel).

    **Arguments:**

    - `places`: rows and columns. `channels`: of every place, which are hidden together.
    """

    places: tuple[int, int] = eqx.field(static=True)
    channels: int = eqx.field(static=True)

    def draw(self, *, key: Key[Array, ""]) -> Bool[Array, " feature"]:
        """A rectangle anywhere, of half the rows or more, and any number of columns."""
        inside = []
        for count, least, along in zip(self.places, (-(-self.places[0] // 2), 1), jax.random.split(key), strict=True):
            size_key, start_key = jax.random.split(along)
            size = jax.random.randint(size_key, (), least, count + 1)
            start = jax.random.randint(start_key, (), 0, count - size + 1)
            index = jnp.arange(count)
            inside.append((index >= start) & (index < start + size))
        return jnp.repeat((inside[0][:, None] & inside[1]).ravel(), self.channels)

    def tried(self) -> Bool[np.ndarray, "mask feature"]:
        """Those that are hidden one after another to find out how surprising something is: bands of two columns, bands of one below the
        first row, and the lower half."""
        rows, columns = self.places
        row, column = np.mgrid[:rows, :columns]
        bands = [(column == start) | (column == start + 1) for start in range(columns - 1)]
        low = [(column == start) & (row >= min(1, rows - 1)) for start in range(columns)]
        masks = np.stack([*bands, *low, row >= rows // 2])
        return np.repeat(masks.reshape(len(masks), -1), self.channels, axis=1)
