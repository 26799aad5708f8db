"""The last few inputs, and nothing before them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._memory import AbstractMemory
from ._residual import ResidualMLP


class WindowMemory(AbstractMemory):
    """A residual network on the last `window` inputs. It provably forgets: what is older can change nothing.

    The control for claims about memory: on a film in which nothing happens for longer than the window, it cannot do better than chance.
    """

    network: ResidualMLP
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, window: int = 4, width: int = 256, depth: int = 1, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it says.
        - `window`: inputs, the present one among them; zeros where there was none yet.
        - `width`, `depth`: of the network.
        """
        if window < 1:
            raise ValueError(f"`window` must be positive, got {window}. It counts the inputs that are kept, the present one among them.")
        self.in_size, self.size, self.window = in_size, size, window
        self.network = ResidualMLP(window * in_size, size, width, depth, key=key)

    def init(self):
        return jnp.zeros((self.window, self.in_size))

    def __call__(self, carry, x):
        carry = jnp.concatenate([carry[1:], x[None]])
        return carry, self.network(carry.ravel())

    def film(self, xs):
        padded = jnp.concatenate([self.init()[1:], xs])
        windows = padded[jnp.arange(xs.shape[0])[:, None] + jnp.arange(self.window)]
        return jax.vmap(lambda window: self.network(window.ravel()))(windows)
