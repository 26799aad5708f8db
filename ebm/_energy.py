"""Energies: what is wanted, lower is better. They add, subtract, scale and name their parts."""

import abc
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ._types import AbstractState, Trajectory, to_float

X = TypeVar("X")
Residual = tuple[Float[Array, " residual"], Float[Array, " residual"]]


class _Algebra:
    """`+`, `-`, `*` and `sum([...])` for anything that `_weigh` can compose."""

    __array_ufunc__ = None  # `numpy_scalar * energy` comes here, instead of an array of energies

    def __add__(self, other):
        return NotImplemented if not isinstance(other, _Algebra) else _weigh([(1.0, self), (1.0, other)])

    def __radd__(self, other):
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __sub__(self, other):
        return NotImplemented if not isinstance(other, _Algebra) else _weigh([(1.0, self), (-1.0, other)])

    def __neg__(self):
        return _weigh([(-1.0, self)])

    def __mul__(self, weight):
        return NotImplemented if isinstance(weight, _Algebra) else _weigh([(weight, self)])

    __rmul__ = __mul__

    def __truediv__(self, weight):
        return NotImplemented if isinstance(weight, _Algebra) else _weigh([(1.0 / to_float(weight), self)])


class AbstractEnergy(_Algebra, eqx.Module, Generic[X]):
    """A scalar function of `x` whose low values are the good answers (LeCun et al. 2006, "A tutorial on energy-based learning")."""

    @abc.abstractmethod
    def __call__(self, x: X) -> Float[Array, ""]:
        """The energy of one `x`."""

    def terms(self, x: X) -> dict[str, Float[Array, ""]]:
        """Named parts that sum to the energy. Parts of one name add up."""
        return {type(self).__name__.lower(): self(x)}


class AbstractStageEnergy(AbstractEnergy[Trajectory]):
    """An energy of trajectories that is a sum over time: nearly every task energy.

    `E = Σ_t stage(s_t, a_t, a_{t-1}, time_t) · dt + final(s_H, time_H)`, t = 0 … H-1.

    Closed under sums and weights, so that every planner can see the stages.
    """

    @abc.abstractmethod
    def stage(
        self, state: AbstractState, action: Float[Array, " action"], previous_action: Float[Array, " action"], time: Float[Array, ""]
    ) -> Float[Array, ""]:
        """The running cost, per second, at one state. `time` is in s since the episode began."""

    @abc.abstractmethod
    def final(self, state: AbstractState, time: Float[Array, ""]) -> Float[Array, ""]:
        """The cost of the last state."""

    def stage_residual(
        self, state: AbstractState, action: Float[Array, " action"], previous_action: Float[Array, " action"], time: Float[Array, ""]
    ) -> Residual | None:
        """`(r, weights)` with `stage = ½ Σ weights r²`, which unlocks Gauss–Newton; `None` where the energy is not such a sum."""
        del state, action, previous_action, time
        return None

    def final_residual(self, state: AbstractState, time: Float[Array, ""]) -> Residual | None:
        """`(r, weights)` with `final = ½ Σ weights r²`, or `None`."""
        del state, time
        return None

    def __call__(self, x: Trajectory) -> Float[Array, ""]:
        before = jax.tree.map(lambda leaf: leaf[:-1], x.states)
        last = jax.tree.map(lambda leaf: leaf[-1], x.states)
        times = x.times
        stages = jax.vmap(self.stage)(before, x.actions, x.previous_actions, times[:-1])
        # a dot product: XLA's reductions along the last axis are several times slower on a CPU
        return jnp.dot(stages, jnp.full(stages.shape, x.dt, stages.dtype)) + self.final(last, times[-1])


class Indifferent(AbstractStageEnergy):
    """Nothing is wanted: 0 of everything."""

    def stage(self, state, action, previous_action, time):
        return jnp.zeros((), jnp.float32)

    def final(self, state, time):
        return jnp.zeros((), jnp.float32)


class AbstractGoalEnergy(AbstractStageEnergy):
    """An energy that is lowest at a goal, which `Problem.with_goal` can swap without a retrace."""

    goal: eqx.AbstractVar[Array]
    name: eqx.AbstractVar[str]
    tolerance: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def distance(self, state: AbstractState) -> Float[Array, ""]:
        """How far `state` is from the goal; within `tolerance` it counts as reached."""

    def towards(self, goal: Float[Array, " component"]) -> "AbstractGoalEnergy":
        """The same energy around another goal, of the same shape."""
        if goal.shape != self.goal.shape:
            raise ValueError(f"The goal of {self.name!r} has shape {self.goal.shape}, got {goal.shape}.")
        return eqx.tree_at(lambda energy: energy.goal, self, goal)


class Sum(AbstractEnergy[X]):
    """A weighted sum of energies. Weights are array leaves: changing one does not retrace."""

    parts: tuple[AbstractEnergy[X], ...]
    weights: tuple[Float[Array, ""], ...]

    def __call__(self, x: X) -> Float[Array, ""]:
        return sum((weight * part(x) for weight, part in zip(self.weights, self.parts, strict=True)), jnp.float32(0.0))

    def terms(self, x: X) -> dict[str, Float[Array, ""]]:
        return _weighted_terms(self.parts, self.weights, x)


class StageSum(AbstractStageEnergy):
    """A weighted sum of stage energies, which is one again."""

    parts: tuple[AbstractStageEnergy, ...]
    weights: tuple[Float[Array, ""], ...]

    def stage(self, state, action, previous_action, time):
        parts = (part.stage(state, action, previous_action, time) for part in self.parts)
        return sum((weight * part for weight, part in zip(self.weights, parts, strict=True)), jnp.float32(0.0))

    def final(self, state, time):
        parts = (part.final(state, time) for part in self.parts)
        return sum((weight * part for weight, part in zip(self.weights, parts, strict=True)), jnp.float32(0.0))

    def stage_residual(self, state, action, previous_action, time):
        return _join(self.weights, [part.stage_residual(state, action, previous_action, time) for part in self.parts])

    def final_residual(self, state, time):
        return _join(self.weights, [part.final_residual(state, time) for part in self.parts])

    def terms(self, x):
        return _weighted_terms(self.parts, self.weights, x)


class AbstractConditionalEnergy(_Algebra, eqx.Module):
    """A compatibility E(x, y) of an observed `x` and an answer `y`: perception, latents, learned energies."""

    @abc.abstractmethod
    def __call__(self, x: Any, y: Any) -> Float[Array, ""]:
        """How badly `y` goes with `x`."""

    def terms(self, x: Any, y: Any) -> dict[str, Float[Array, ""]]:
        """Named parts that sum to the energy."""
        return {type(self).__name__.lower(): self(x, y)}

    def given(self, x: Any) -> AbstractEnergy:
        """The energy over `y` that remains when `x` is observed."""
        return Given(self, x)


class ConditionalSum(AbstractConditionalEnergy):
    """A weighted sum of conditional energies."""

    parts: tuple[AbstractConditionalEnergy, ...]
    weights: tuple[Float[Array, ""], ...]

    def __call__(self, x, y):
        return sum((weight * part(x, y) for weight, part in zip(self.weights, self.parts, strict=True)), jnp.float32(0.0))

    def terms(self, x, y):
        return _weighted_terms(self.parts, self.weights, x, y)


class Given(AbstractEnergy[Any]):
    """A conditional energy with its first argument filled in."""

    energy: AbstractConditionalEnergy
    observed: Any

    def __call__(self, x):
        return self.energy(self.observed, x)

    def terms(self, x):
        return self.energy.terms(self.observed, x)


def _weigh(pairs: Sequence[tuple[ArrayLike, Any]]) -> Any:
    """Compose, flattening sums so that `a + b + c` is one sum of three; a list of (weight, energy)."""
    parts, weights = [], []
    for weight, energy in pairs:
        if jnp.ndim(weight) != 0:
            raise ValueError(f"An energy is weighted by a scalar, got an array of shape {jnp.shape(weight)}.")
        if isinstance(energy, Sum | StageSum | ConditionalSum):
            parts += energy.parts
            weights += [to_float(weight) * inner for inner in energy.weights]
        else:
            parts.append(energy)
            weights.append(to_float(weight))
    for family, combined in (
        (AbstractStageEnergy, StageSum),
        (AbstractConditionalEnergy, ConditionalSum),
        (AbstractEnergy, Sum),
    ):
        if all(isinstance(part, family) for part in parts):
            return combined(tuple(parts), tuple(weights))
    raise TypeError("A conditional energy E(x, y) cannot be added to an energy E(x): call `given(x)` on the former first.")


def _weighted_terms(parts, weights, *args) -> dict[str, Float[Array, ""]]:
    total: dict[str, Array] = {}
    for weight, part in zip(weights, parts, strict=True):
        for name, value in part.terms(*args).items():
            total[name] = total.get(name, jnp.float32(0.0)) + weight * value
    return total


def _join(weights, residuals) -> Residual | None:
    if any(residual is None for residual in residuals):
        return None
    scaled = [(r, weight * w) for weight, (r, w) in zip(weights, residuals, strict=True)]
    return jnp.concatenate([r for r, _ in scaled]), jnp.concatenate([w for _, w in scaled])
