"""From a few knots to an action for every step."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

ON_KNOT = 1e-3  # knots; positions this close to a knot are on it, so that rounding never delays a shift


class AbstractBasis(eqx.Module):
    """A curve through knots, held constant after the last one."""

    @abc.abstractmethod
    def spacing(self, horizon: int, num_knots: int) -> float:
        """Steps between knots."""

    @abc.abstractmethod
    def __call__(
        self, knots: Float[Array, "*batch knot action"], positions: Float[Array, " horizon"]
    ) -> Float[Array, "*batch horizon action"]:
        """The curve at `positions`, counted in knots from the first one."""


class ZeroOrder(AbstractBasis):
    """Each knot is held until the next."""

    def spacing(self, horizon, num_knots):
        return horizon / num_knots

    def __call__(self, knots, positions):
        index = jnp.clip(jnp.floor(positions + ON_KNOT).astype(jnp.int32), 0, knots.shape[-2] - 1)
        return jnp.take(knots, index, axis=-2)


class Linear(AbstractBasis):
    """Straight lines between knots."""

    def spacing(self, horizon, num_knots):
        return max(horizon - 1, 1) / max(num_knots - 1, 1)

    def __call__(self, knots, positions):
        return _matrix(positions, knots.shape[-2], _hat) @ knots


class Cubic(AbstractBasis):
    """A Catmull–Rom spline: smooth, through every knot; it may overshoot between knots, so plans are projected after it."""

    def spacing(self, horizon, num_knots):
        return max(horizon - 1, 1) / max(num_knots - 1, 1)

    def __call__(self, knots, positions):
        return _matrix(positions, knots.shape[-2], _catmull_rom) @ knots


def to_knots(
    basis: AbstractBasis, actions: Float[Array, "*batch horizon action"], num_knots: int, phase: ArrayLike = 0.0
) -> Float[Array, "*batch knot action"]:
    """The knots whose curve comes closest to `actions`, which begin `phase` knots after the first one."""
    horizon = actions.shape[-2]
    curves = basis(jnp.eye(num_knots), jnp.asarray(phase) + jnp.arange(horizon) / basis.spacing(horizon, num_knots))
    return jnp.linalg.pinv(curves) @ actions


def shift(knots: Array, count: Float[Array, ""], axis: int = -2) -> Array:
    """Drop `count` whole knots at the front of an axis, by default of shape (*batch, knot, action), and repeat the last one at the end."""
    index = jnp.clip(jnp.arange(knots.shape[axis]) + count.astype(jnp.int32), 0, knots.shape[axis] - 1)
    return jnp.take(knots, index, axis=axis)


def move_on(
    basis: AbstractBasis, horizon: int, num_knots: int, dt: float, phase: Float[Array, ""], elapsed: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, " horizon"]]:
    """Let `elapsed` s pass on the knots of the last plan.

    Whole knots are dropped as time passes them, and the rest is kept as a phase: interpolating anew at every plan would halve the
    amplitude, and dropping nothing until a whole knot has passed would never move.

    **Returns:**

    How many knots to drop, the phase that remains (in knots), and the positions of the horizon's steps (in knots).
    """
    spacing = basis.spacing(horizon, num_knots) * dt
    elapsed = jnp.where(jnp.isfinite(elapsed), jnp.clip(elapsed, 0.0, num_knots * spacing), 0.0)  # by then nothing is left of the plan
    past = phase + elapsed / spacing
    whole = jnp.floor(past + ON_KNOT)
    phase = jnp.maximum(past - whole, 0.0)
    return whole, phase, phase + jnp.arange(horizon) * dt / spacing


def _matrix(positions, num_knots: int, kernel) -> Float[Array, "horizon knot"]:
    if num_knots == 1:
        return jnp.ones((positions.size, 1))
    positions = jnp.clip(positions, 0.0, num_knots - 1.0)
    # two phantom knots at each end, folded onto the first and the last, keep constants constant
    weights = kernel(positions[:, None] - jnp.arange(-2.0, num_knots + 2.0))
    first, last = weights[:, :3].sum(1, keepdims=True), weights[:, -3:].sum(1, keepdims=True)
    return jnp.concatenate([first, weights[:, 3:-3], last], axis=1)


def _hat(x):
    return jnp.maximum(1.0 - jnp.abs(x), 0.0)


def _catmull_rom(x):
    x = jnp.abs(x)
    inner, outer = 1.0 - 2.5 * x**2 + 1.5 * x**3, 2.0 - 4.0 * x + 2.5 * x**2 - 0.5 * x**3
    return jnp.where(x < 1.0, inner, jnp.where(x < 2.0, outer, 0.0))
