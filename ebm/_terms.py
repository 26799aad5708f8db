"""The terms that tasks are made of. Each is a running cost per second; `Terminal` puts one at the end.

Quadratic terms are measured in tolerances: one tolerance away from the goal costs ½ per second, whatever the unit.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._energy import AbstractGoalEnergy, AbstractStageEnergy, Residual, StageSum
from ._reading import ORIENTATION, UP, VELOCITY, Reading
from ._types import AbstractState, Numbers, to_float, to_positive
from ._vectors import rotation_vector, safe_norm

Source = str | Callable | Reading
WORLD_UP = (0.0, 0.0, 1.0)


class _Quadratic(AbstractStageEnergy):
    """½ |r|² per second, with no final cost."""

    @abc.abstractmethod
    def residual(self, state, action, previous_action, time) -> Float[Array, " residual"]:
        """The dimensionless residual r."""

    def stage(self, state, action, previous_action, time):
        return 0.5 * jnp.sum(self.residual(state, action, previous_action, time) ** 2)

    def final(self, state, time):
        return jnp.float32(0.0)

    def stage_residual(self, state, action, previous_action, time) -> Residual:
        r = self.residual(state, action, previous_action, time)
        return r, jnp.ones_like(r)

    def final_residual(self, state, time) -> Residual:
        return _nothing(), _nothing()


class _QuadraticGoal(AbstractGoalEnergy):
    """½ |error / tolerance|² per second, around a goal that can be swapped."""

    @abc.abstractmethod
    def error(self, state: AbstractState) -> Float[Array, " component"]:
        """What is left to the goal, in the unit of the tolerance."""

    def distance(self, state):
        return safe_norm(self.error(state))

    def stage(self, state, action, previous_action, time):
        return 0.5 * jnp.sum((self.error(state) / self.tolerance) ** 2)

    def final(self, state, time):
        return jnp.float32(0.0)

    def stage_residual(self, state, action, previous_action, time) -> Residual:
        r = self.error(state) / self.tolerance
        return r, jnp.ones_like(r)

    def final_residual(self, state, time) -> Residual:
        return _nothing(), _nothing()

    def terms(self, x):
        return {self.name: self(x)}


class Reach(_QuadraticGoal):
    """Bring a point to a goal: ½ (|p − goal| / tolerance)² per second.

    **Arguments:**

    - `source`: what moves: `"site:tip"`, `"body:cup"`, `"joint:slider"`, or a callable state -> array.
    - `goal`: where to, of the reading's size; or the *name* of a reading to follow, such as `"body:target"`. Of a quaternion and its
      negative, which are one orientation, the nearer counts.
    - `axis`: one component only.
    - `tolerance`: m (rad for a hinge); within it the goal counts as reached.
    - `name`: of the term, for `with_goal` and reports.
    """

    reading: Reading
    goal: Float[Array, " component"]
    target: Reading | None
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        source: Source,
        goal: Any,
        *,
        axis: str | int | None = None,
        tolerance: Numbers = 0.02,
        name: str = "reach",
    ):
        self.reading = Reading(source, axis)
        followed = isinstance(goal, str) or callable(goal)
        self.target = Reading(goal, axis) if followed else None
        numbers: Any = () if followed else goal
        self.goal = jnp.atleast_1d(to_float(numbers))
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def towards(self, goal):
        if self.target is None:
            return super().towards(goal)
        return eqx.tree_at(lambda energy: (energy.goal, energy.target), self, (goal, None))

    def error(self, state):
        position = self.reading(state)
        if self.target is not None:
            return position - _nearer(matching(self.target(state), position, self.reading.label), position, self.reading)
        return position - _nearer(fitting(self.goal, position, self.reading.label), position, self.reading)


def _nearer(goal: Float[Array, " component"], position: Float[Array, " component"], reading: Reading) -> Float[Array, " component"]:
    """The goal, its quaternion with the sign that is nearer."""
    name = reading.name or ""
    if not (name.startswith("orientation:") and goal.size == 4) and not (name.startswith("joint:") and goal.size in (4, 7)):
        return goal
    sign = jnp.where(jnp.dot(goal[-4:], position[-4:]) < 0, -1.0, 1.0)
    return jnp.concatenate([goal[:-4], sign * goal[-4:]])


class Posture(_QuadraticGoal):
    """Hold joints at angles: ½ (|q − goal| / tolerance)² per second, over one or several joints.

    **Arguments:**

    - `joints`: names as `"joint:elbow"` (the prefix may be left out), or one callable state -> array.
    - `goal`: rad (m for slides), one entry a joint.
    """

    reading: tuple[Reading, ...]
    goal: Float[Array, " joint"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, joints: Source | tuple[Source, ...], goal: Numbers, *, tolerance: Numbers = 0.1, name: str = "posture"):
        joints = tuple(joints) if isinstance(joints, tuple | list) else (joints,)
        self.reading = tuple(Reading(f"joint:{j}" if isinstance(j, str) and ":" not in j else j) for j in joints)
        self.goal = jnp.atleast_1d(to_float(goal))
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def error(self, state):
        read = [reading(state) for reading in self.reading]
        for reading, value in zip(self.reading, read, strict=True):
            if value.size in (4, 7) and (reading.name or "").startswith("joint:"):
                raise ValueError(f"{reading.label!r} is no hinge and no slide. Use `Reach`, or `Orientation` of its body.")
        position = jnp.concatenate(read)
        return position - fitting(self.goal, position, ", ".join(reading.label for reading in self.reading))


class Velocity(_QuadraticGoal):
    """Move at a speed: ½ (|v − goal| / tolerance)² per second.

    **Arguments:**

    - `source`: what moves, as for `Reach`; its velocity is read. A callable returns the velocity itself.
    - `goal`: m/s (rad/s for a hinge).
    """

    reading: Reading
    goal: Float[Array, " component"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self, source: Source, goal: Numbers = 0.0, *, axis: str | int | None = None, tolerance: Numbers = 0.1, name: str = "velocity"
    ):
        self.reading = Reading(source, axis).of(VELOCITY)
        self.goal = jnp.atleast_1d(to_float(goal))
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def error(self, state):
        velocity = self.reading(state)
        return velocity - fitting(self.goal, velocity, self.reading.label)


class Orientation(_QuadraticGoal):
    """Turn a body to an orientation: ½ (angle / tolerance)² per second, angle in rad along the shortest rotation.

    **Arguments:**

    - `source`: `"site:tip"` or `"body:cup"`, or a callable that returns a unit quaternion (w, x, y, z).
    - `goal`: a unit quaternion (w, x, y, z).
    """

    reading: Reading
    goal: Float[Array, "4"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, goal: Numbers, *, tolerance: Numbers = 0.1, name: str = "orientation"):
        self.reading = Reading(source).of(ORIENTATION)
        self.goal = to_float(goal)
        if self.goal.shape != (4,):
            raise ValueError(f"`goal` of Orientation must be a quaternion (w, x, y, z), got shape {self.goal.shape}.")
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def error(self, state):
        return rotation_vector(self.goal / safe_norm(self.goal), self.reading(state))


class Upright(_QuadraticGoal):
    """Keep an axis of a body pointing up: ½ (|axis − goal| / tolerance)² per second; |axis − goal| is the angle for small angles.

    **Arguments:**

    - `source`: `"body:torso"` or `"site:cup"`, whose local z axis should point along `goal` (world, unit).
    """

    reading: Reading
    goal: Float[Array, "3"]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, *, goal: Numbers = WORLD_UP, tolerance: Numbers = 0.1, name: str = "upright"):
        self.reading = Reading(source).of(UP)
        self.goal = to_float(goal)
        if self.goal.shape != (3,):
            raise ValueError(f"`goal` of Upright must be a direction (x, y, z), got shape {self.goal.shape}.")
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def error(self, state):
        axis = self.reading(state)
        return axis - fitting(self.goal, axis, self.reading.label)


class Track(_Quadratic):
    """Follow a moving reference: ½ (|p − reference(time)| / tolerance)² per second.

    **Arguments:**

    - `source`: what moves, as for `Reach`.
    - `reference`: shape (steps, component), sampled every `period` s from the start of the episode, interpolated linearly
      and held at its end; or a callable time (s) -> component.
    """

    reading: Reading
    reference: Float[Array, "steps component"] | Callable
    period: Float[Array, ""]
    tolerance: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        source: Source,
        reference: Any,
        *,
        period: Numbers = 0.1,
        axis: str | int | None = None,
        tolerance: Numbers = 0.02,
        name: str = "track",
    ):
        self.reading = Reading(source, axis)
        if not callable(reference):
            reference = to_float(reference)
            reference = reference[:, None] if reference.ndim == 1 else reference
        self.reference = reference
        self.period = to_positive(period, "period")
        self.tolerance = to_positive(tolerance, "tolerance")
        self.name = name

    def residual(self, state, action, previous_action, time):
        position = self.reading(state)
        if callable(self.reference):
            goal = jnp.atleast_1d(self.reference(time))
        else:
            place = jnp.clip(time / self.period, 0.0, self.reference.shape[0] - 1.0)
            below = jnp.minimum(place.astype(jnp.int32), max(self.reference.shape[0] - 2, 0))
            above = jnp.minimum(below + 1, self.reference.shape[0] - 1)
            goal = self.reference[below] + (place - below) * (self.reference[above] - self.reference[below])
        return (position - matching(goal, position, self.reading.label)) / self.tolerance

    def terms(self, x):
        return {self.name: self(x)}


class Effort(_Quadratic):
    """What actuation costs: ½ |action / scale|² per second.

    **Arguments:**

    - `scale`: actuator units; a scalar or one per actuator. An action of one scale costs ½ per second.
    """

    scale: Float[Array, "*action"] = eqx.field(converter=lambda x: to_positive(x, "scale"), default=1.0)

    def residual(self, state, action, previous_action, time):
        return _in_scales(action, self.scale)


class Smoothness(_Quadratic):
    """What changing the action costs: ½ |(action − previous action) / scale|² per second."""

    scale: Float[Array, "*action"] = eqx.field(converter=lambda x: to_positive(x, "scale"), default=1.0)

    def residual(self, state, action, previous_action, time):
        return _in_scales(action - previous_action, self.scale)


class Terminal(AbstractStageEnergy):
    """A running cost, paid once at the last state instead: `Terminal(Reach("site:tip", goal))`.

    The wrapped term must depend on the state only (the last state has no action).
    """

    term: AbstractStageEnergy

    def __check_init__(self):
        blind = Effort | Smoothness | Terminal
        nodes = jax.tree.leaves(self.term, is_leaf=lambda node: isinstance(node, blind))
        lost = sorted({type(node).__name__ for node in nodes if isinstance(node, blind)})
        if lost:
            raise ValueError(
                f"`Terminal` pays a running cost of the last state; {', '.join(lost)} would count nothing there. Add it outside."
            )

    def stage(self, state, action, previous_action, time):
        return jnp.float32(0.0)

    def final(self, state, time):
        return self.term.stage(state, jnp.zeros(1), jnp.zeros(1), time)

    def stage_residual(self, state, action, previous_action, time):
        return None if self.final_residual(state, time) is None else (_nothing(), _nothing())

    def final_residual(self, state, time):
        return self.term.stage_residual(state, jnp.zeros(1), jnp.zeros(1), time)

    def terms(self, x):
        if isinstance(self.term, StageSum):
            return StageSum(tuple(Terminal(part) for part in self.term.parts), self.term.weights).terms(x)
        name = getattr(self.term, "name", type(self.term).__name__.lower())
        return {f"terminal_{name}": self(x)}


def fitting(goal: Float[Array, " goal"], position: Float[Array, " component"], label: str) -> Float[Array, " component"]:
    """`goal`, one number for all components or one for each, checked against what it is the goal of."""
    return jnp.broadcast_to(goal if goal.shape == (1,) else matching(goal, position, label), position.shape)


def matching(goal: Float[Array, "..."], position: Float[Array, " component"], label: str) -> Float[Array, " component"]:
    """`goal`, one number for each component, checked against what it is the goal of."""
    if goal.shape != position.shape:
        raise ValueError(f"{label!r} has shape {position.shape}, what it is compared with has shape {goal.shape}. Give one number each.")
    return goal


def _nothing() -> Float[Array, "0"]:
    return jnp.zeros(0, jnp.float32)


def _in_scales(action: Float[Array, " action"], scale: Float[Array, "*action"]) -> Float[Array, " action"]:
    if scale.shape not in ((), (1,), action.shape):
        raise ValueError(f"`scale` has shape {scale.shape}, the action {action.shape}. Give one number, or one for each actuator.")
    return action / scale
