"""Guardrails: what must never happen. They are not traded against energy."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._reading import Reading
from ._terms import Source, _Quadratic, fitting, matching
from ._types import AbstractState, Numbers, to_float, to_positive
from ._vectors import safe_norm


class AbstractGuardrail(eqx.Module):
    """A limit on every future state and action: `stage(...) ≤ 0` is safe.

    `scale` makes guardrails comparable when none can be kept: a violation of one scale counts as 1. It does not soften anything.
    """

    name: eqx.AbstractVar[str]
    scale: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def stage(
        self, state: AbstractState, action: Float[Array, " action"], previous_action: Float[Array, " action"], time: Float[Array, ""]
    ) -> Float[Array, ""]:
        """The violation, in SI units, of a state and the action that led to it; ≤ 0 is safe."""


class KeepBelow(AbstractGuardrail):
    """Every component of a reading stays ≤ `limit`: `KeepBelow("body:cup", 0.6, axis="z")`."""

    reading: Reading
    limit: Float[Array, " component"]
    scale: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, limit: Numbers, *, axis: str | int | None = None, scale: Numbers = 1.0, name: str | None = None):
        self.reading = Reading(source, axis)
        self.limit, self.scale = jnp.atleast_1d(to_float(limit)), to_positive(scale, "scale")
        self.name = name or f"{_label(self.reading)} below"

    def stage(self, state, action, previous_action, time):
        value = self.reading(state)
        return jnp.max(value - fitting(self.limit, value, self.reading.label))


class KeepAbove(AbstractGuardrail):
    """Every component of a reading stays ≥ `limit`: `KeepAbove("body:torso", 0.3, axis="z")`."""

    reading: Reading
    limit: Float[Array, " component"]
    scale: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, limit: Numbers, *, axis: str | int | None = None, scale: Numbers = 1.0, name: str | None = None):
        self.reading = Reading(source, axis)
        self.limit, self.scale = jnp.atleast_1d(to_float(limit)), to_positive(scale, "scale")
        self.name = name or f"{_label(self.reading)} above"

    def stage(self, state, action, previous_action, time):
        value = self.reading(state)
        return jnp.max(fitting(self.limit, value, self.reading.label) - value)


class KeepInside(AbstractGuardrail):
    """Every component of a reading stays in `[low, high]`: `KeepInside("joint:slider", -0.9, 0.9)`."""

    reading: Reading
    low: Float[Array, " component"]
    high: Float[Array, " component"]
    scale: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        source: Source,
        low: Numbers,
        high: Numbers,
        *,
        axis: str | int | None = None,
        scale: Numbers = 1.0,
        name: str | None = None,
    ):
        self.reading = Reading(source, axis)
        self.low, self.high = jnp.atleast_1d(to_float(low)), jnp.atleast_1d(to_float(high))
        self.scale = to_positive(scale, "scale")
        self.name = name or f"{_label(self.reading)} inside"

    def stage(self, state, action, previous_action, time):
        value = self.reading(state)
        low, high = fitting(self.low, value, self.reading.label), fitting(self.high, value, self.reading.label)
        return jnp.max(jnp.maximum(low - value, value - high))


class KeepApart(AbstractGuardrail):
    """Two points, or a point and a fixed place, stay at least `distance` (m) apart: `KeepApart("site:tip", "body:cup", 0.1)`."""

    reading: Reading
    other: Reading | Float[Array, " component"]
    distance: Float[Array, ""]
    scale: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, source: Source, other: Source | Numbers, distance: Numbers, *, scale: Numbers = 1.0, name: str | None = None):
        self.reading = Reading(source)
        named = Reading(other) if isinstance(other, str | Reading) or callable(other) else None
        self.other = jnp.atleast_1d(to_float(other)) if named is None else named  # type: ignore[arg-type]
        self.distance, self.scale = to_float(distance), to_positive(scale, "scale")
        self.name = name or (f"{self.reading.label} apart" if named is None else f"{self.reading.label} apart from {named.label}")

    def stage(self, state, action, previous_action, time):
        point = self.reading(state)
        other = self.other(state) if isinstance(self.other, Reading) else self.other
        return self.distance - safe_norm(point - matching(other, point, self.reading.label))


class Tightened(AbstractGuardrail):
    """A guardrail that is kept with something to spare, for what the model does not know: `Tightened(guardrail, 0.01)`.

    Plan with it and judge without it: the real world may do a little worse than the few that a plan was tried in.

    **Arguments:**

    - `guardrail`: any, whose name and scale it has.
    - `margin`: how far inside the limit is still a violation, in the guardrail's SI units.

    Mayne, Seron and Raković 2005, "Robust model predictive control of constrained linear systems with bounded disturbances".
    """

    guardrail: AbstractGuardrail
    margin: Float[Array, ""]
    scale: Float[Array, ""]
    name: str = eqx.field(static=True)

    def __init__(self, guardrail: AbstractGuardrail, margin: Numbers):
        if not isinstance(guardrail, AbstractGuardrail):
            raise TypeError(f"`guardrail` must be one, such as `ebm.KeepBelow(...)`, got {guardrail!r}.")
        self.guardrail, self.margin = guardrail, to_float(margin)
        self.scale, self.name = guardrail.scale, guardrail.name

    def stage(self, state, action, previous_action, time):
        return self.guardrail.stage(state, action, previous_action, time) + self.margin


class Penalty(_Quadratic):
    """A guardrail that may be traded, for comparison or where a limit is only a wish: ½ (violation / scale)² per second.

    **Arguments:**

    - `guardrail`: looked at before each action, not after it; so it may not depend on the action that led to a state.
    """

    guardrail: AbstractGuardrail

    @property
    def name(self) -> str:
        """That of the guardrail."""
        return self.guardrail.name

    def residual(self, state, action, previous_action, time):
        violation = self.guardrail.stage(state, previous_action, previous_action, time)
        return jnp.maximum(violation / self.guardrail.scale, 0.0)[None]


def _label(reading: Reading) -> str:
    return reading.label if reading.axis is None else f"{reading.label}[{reading.axis}]"
