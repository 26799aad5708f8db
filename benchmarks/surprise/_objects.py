"""Films as lists of things: what is seen of each, and nothing of what is hidden."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from envs import cradle

METRES, UPWARDS = 2.0, 1.0  # m that count as 1, and the height of the middle of a picture
NUMBERS = 1 + 3 + 4 + 3 + 3 + len(cradle.KINDS)  # seen; place, turn, size, colour and kind
SHAPE = (cradle.MOST_THINGS, NUMBERS)
PLACE, TURN, SIZE, COLOR, KIND = slice(0, 3), slice(3, 7), slice(10, 13), slice(13, 16), 16  # of a state
MIRROR = np.array([1, -1, 1, 1, 1, 1, -1, -1, *[1] * (NUMBERS - 8)], np.float32)  # x, and turns about y and z

Sights = Float[np.ndarray, "film frame slot number"]


def sights(states: Float[np.ndarray, "film frame slot feature"], seen: Bool[np.ndarray, "film frame slot"]) -> Sights:
    """What is seen of things whose states are these, and 0 where nothing is."""
    place = (states[..., PLACE] - [0.0, 0.0, UPWARDS]) / METRES
    kind = states[..., KIND, None] == 1 + np.arange(len(cradle.KINDS))
    numbers = [seen[..., None], place, states[..., TURN], 4 * states[..., SIZE] - 1, 2 * states[..., COLOR] - 1, kind]
    shown = np.where(seen[..., None], np.concatenate(numbers, axis=-1), 0.0).astype(np.float32)
    return np.pad(shown, [(0, 0)] * (shown.ndim - 2) + [(0, SHAPE[0] - shown.shape[-2]), (0, 0)])


def draw(things: Float[Array, "film frame slot number"], key: Key[Array, ""], *, batch: int) -> tuple[Array, Array]:
    """A batch of films in which nobody acts, half of them mirrored."""
    choose, flip = jax.random.split(key)
    chosen = things[jax.random.randint(choose, (batch,), 0, things.shape[0])]
    mirrored = jax.random.bernoulli(flip, shape=(batch, 1, 1, 1))
    return jnp.where(mirrored, chosen * MIRROR, chosen), jnp.zeros((batch, things.shape[1] - 1, 0))
