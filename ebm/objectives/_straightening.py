"""Straight paths."""

import equinox as eqx
import jax.numpy as jnp

from ._objective import AbstractObjective, read


class Straightening(AbstractObjective):
    """`1 - cos` of the angle between a step and the next: straight paths can be foretold, and a distance along them means something.

    Goroshin et al. 2015, "Learning to linearize under uncertainty", arXiv:1506.03011; Hénaff et al. 2019, "Perceptual straightening of
    natural videos".

    **Arguments:**

    - `of`: the block, "features" or "context".
    """

    of: str = eqx.field(static=True, default="features")

    def __call__(self, outcome):
        steps = jnp.diff(read(outcome, self.of), axis=1)
        lengths = jnp.sqrt(jnp.sum(steps**2, axis=-1) + 1e-6)
        cosines = jnp.sum(steps[:, 1:] * steps[:, :-1], axis=-1) / (lengths[:, 1:] * lengths[:, :-1])
        return jnp.mean(1.0 - cosines)
