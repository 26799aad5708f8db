"""The values that pass between world models, energies, problems and planners."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree

State = TypeVar("State")
LAST_TICK = 2**30  # control periods, where clocks stand still: what is planned ahead from there fits into an int32 as well
Numbers = ArrayLike | Sequence  # also lists and tuples, as people write goals and limits


def to_float(x: Numbers) -> Array:
    """Convert to a strongly typed float32 array: weakly typed scalars would compile everything twice."""
    # NumPy converts without compiling anything
    computed = any(isinstance(leaf, Array) for leaf in jax.tree.leaves(x))
    return jnp.asarray(x if computed else np.asarray(x, np.float32), jnp.float32)


def concrete(x: Any) -> bool:
    """Whether `x` has values that can be looked at, i.e. no part of it is being traced."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(x))


def to_positive(x: Numbers, name: str) -> Array:
    """As `to_float`, for what is divided by: `ValueError` unless positive."""
    x = to_float(x)
    if concrete(x) and not (np.asarray(x) > 0).all():
        raise ValueError(f"`{name}` must be positive, got {x}. It is the unit in which something is measured.")
    return x


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every inexact leaf is finite."""
    # 0 · x is 0 or NaN, and a dot product with it is the fastest reduction there is on a CPU
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]
    return sum((jnp.dot(0.0 * leaf.ravel(), jnp.ones(leaf.size, leaf.dtype)) for leaf in leaves), jnp.float32(0.0)) == 0.0


class AbstractState(eqx.Module):
    """The state of a world at one moment, or at many (leading axes): physical or latent."""

    def read(self, name: str) -> Array:
        """The named reading of this state, such as `"site:tip"` (m) or `"joint:slider"` (m or rad).

        **Arguments:**

        - `name`: what to read. Which names exist is the model's to say.

        **Returns:**

        An array with the state's leading axes, then the reading's own.

        **Raises:**

        `KeyError` listing the names that can be read.
        """
        raise KeyError(f"{type(self).__name__} has no named readings, so {name!r} cannot be read. Give the term a callable state -> array.")


class Box(eqx.Module):
    """An action box in actuator units, as `gymnasium.spaces.Box`: one for all steps, or one per step.

    **Arguments:**

    - `low`, `high`: limits, shape (action,) or (horizon, action), finite, `low <= high`.

    **Raises:**

    `ValueError` if the limits are not finite, crossed, or of different shapes.
    """

    low: Float[Array, "*horizon action"] = eqx.field(converter=to_float)
    high: Float[Array, "*horizon action"] = eqx.field(converter=to_float)

    def __check_init__(self):
        if self.low.ndim == 0 or self.low.shape != self.high.shape:
            raise ValueError(
                f"`low` and `high` must have one shape (action,) or (horizon, action), got {self.low.shape} and {self.high.shape}."
            )
        if concrete((self.low, self.high)):
            low, high = np.asarray(self.low), np.asarray(self.high)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise ValueError(f"An action box must be finite, got low={low}, high={high}. Give the limits of the actuators.")
            if (low > high).any():
                raise ValueError(f"`low` must not exceed `high`, got low={low}, high={high}.")

    @property
    def size(self) -> int:
        """The number of actuators."""
        return self.low.shape[-1]

    @property
    def center(self) -> Float[Array, "*horizon action"]:
        """The middle of the box."""
        return 0.5 * (self.low + self.high)

    @property
    def half_range(self) -> Float[Array, "*horizon action"]:
        """Half the width of the box: the unit in which planners state their noise."""
        return 0.5 * (self.high - self.low)

    @property
    def rest(self) -> Float[Array, "*horizon action"]:
        """Zero, or what is nearest to it in the box: what is sent before anything is known."""
        return jnp.clip(jnp.zeros_like(self.low), self.low, self.high)

    def clip(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """The nearest actions inside the box, elementwise; NaN becomes the centre.

        **Raises:**

        `ValueError` if `actions` has fewer axes than the box, or another number of actuators.
        """
        actions = jnp.asarray(actions)
        if actions.ndim < self.low.ndim or actions.shape[-self.low.ndim :] != self.low.shape:
            raise ValueError(
                f"`actions` of shape {actions.shape} do not fit a box of shape {self.low.shape}: its last axes must be those of the box."
            )
        return jnp.clip(jnp.where(jnp.isnan(actions), self.center, actions), self.low, self.high)

    def contains(self, actions: Float[Array, "*batch action"]) -> Bool[Array, ""]:
        """Whether all of `actions` are finite and inside."""
        return jnp.all((actions >= self.low) & (actions <= self.high))

    def sample(self, shape: tuple[int, ...] = (), *, key: Key[Array, ""]) -> Float[Array, "..."]:
        """Actions drawn uniformly, shape (*shape, *box)."""
        return self.low + (self.high - self.low) * jax.random.uniform(key, (*shape, *self.low.shape), self.low.dtype)


class Discrete(eqx.Module):
    """A finite set of actions, for tree search and categorical samplers: `actions` of shape (choices, action), in actuator units."""

    actions: Float[Array, "choices action"] = eqx.field(converter=to_float)

    def __check_init__(self):
        if concrete(self.actions) and not np.isfinite(np.asarray(self.actions)).all():
            raise ValueError(f"`actions` must be finite, got {self.actions}.")


class Latents(eqx.Module):
    """Base noise for what cannot be predicted, which a world model reparametrises; `None` in its place means the nominal world.

    **Arguments:**

    - `episode`: drawn once per rollout: masses, frictions, gains, a hidden layout.
    - `step`: leaves (horizon, ...): what is new at every step.
    """

    episode: PyTree = None
    step: PyTree = None

    def at(self, t: Int[Array, ""] | int) -> "Latents":
        """The latents of one step, as `AbstractWorldModel.step` takes them."""
        return Latents(self.episode, jax.tree.map(lambda leaf: jnp.asarray(leaf)[t], self.step))


class Now(eqx.Module):
    """The moment a plan starts from. All arrays, so that time never retraces.

    **Arguments:**

    - `tick`: control periods since the episode began, int32, at most `LAST_TICK`; one clock shared by a batch.
    - `previous_action`: what the actuators hold at this moment, shape (action,).
    - `elapsed`: s since the last plan.
    """

    tick: Int[Array, "..."] = eqx.field(converter=lambda x: jnp.clip(jnp.asarray(x, jnp.int32), -LAST_TICK, LAST_TICK))
    previous_action: Float[Array, "... action"] = eqx.field(converter=to_float)
    elapsed: Float[Array, "..."] = eqx.field(converter=to_float, default=0.0)


class Trajectory(eqx.Module, Generic[State]):
    """What a world model imagines: `horizon + 1` states, `horizon` actions.

    **Arguments:**

    - `states`: a state whose leaves have shape (horizon + 1, ...); the first is the state at `now`.
    - `actions`: shape (horizon, action), actuator units.
    - `now`: when it starts.
    - `dt`: s between states.
    """

    states: State
    actions: Float[Array, "*batch horizon action"]
    now: Now
    dt: float = eqx.field(static=True, converter=float)

    @property
    def horizon(self) -> int:
        """The number of actions."""
        return self.actions.shape[-2]

    @property
    def times(self) -> Float[Array, " steps"]:
        """Seconds since the episode began, of each of the `horizon + 1` states."""
        return (self.now.tick + jnp.arange(self.horizon + 1)).astype(jnp.float32) * self.dt

    @property
    def previous_actions(self) -> Float[Array, "horizon action"]:
        """The action before each action, shape (horizon, action)."""
        return jnp.concatenate([self.now.previous_action[None], self.actions[:-1]])
