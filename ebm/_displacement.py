"""Coordinates in which a difference is an action: an inverse model that is a subtraction."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._representation import Representation
from ._types import Box, to_float
from .nets import ResidualMLP


class Displacement(eqx.Module):
    """A head `c` on features in which what an action does is to add itself: `c(after) - c(before) = action`, in half ranges of its box.

    An inverse dynamics model of the plainest form. Because it is a difference, distances add up over many steps, so that a Euclidean cost
    means the same near and far, and what features know besides (layouts, backgrounds) has no place in it. Where something blocks, nothing
    adds up: train it on the mean *distance*, not its square, and blocked steps do not bend it.
    """

    network: ResidualMLP

    def __init__(self, features: int, actions: int, width: int = 128, *, key: Key[Array, ""]):
        """**Arguments:**

        - `features`, `actions`: how many numbers each is; there are as many coordinates as actions.
        - `width`: of the network.
        """
        self.network = ResidualMLP(features, actions, width, 1, key=key)

    def __call__(self, features: Float[Array, " feature"]) -> Float[Array, " coordinate"]:
        return self.network(features)


class Pursuit(eqx.Module):
    """The policy that displacement coordinates give for free: straight towards the target, and no further.

    **Arguments:**

    - `action_space`: of one action.
    - `longest`: of an action, in half ranges of its box: the radius of a ball in it.
    """

    action_space: Box
    longest: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)

    def __call__(self, state: Representation, target: Float[Array, " coordinate"]) -> Float[Array, " action"]:
        way = target - state.features
        scaled = way * self.longest / jnp.maximum(jnp.linalg.norm(way), self.longest)
        return self.action_space.center + self.action_space.half_range * scaled
