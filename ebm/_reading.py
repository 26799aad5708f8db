"""What an energy or a guardrail looks at: a named reading of the state, or a function of it."""

import operator
from collections.abc import Callable, Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._types import AbstractState

AXES = {"x": 0, "y": 1, "z": 2}
VELOCITY, ORIENTATION, UP = "velocity:", "orientation:", "up:"  # quantities that stand before a name, as in "velocity:site:tip"


class Reading(eqx.Module):
    """A vector read from a state.

    **Arguments:**

    - `source`: a name such as `"site:tip"`, or a callable state -> array (for latent states: a probe, whose arrays stay leaves).
    - `axis`: `"x"`, `"y"`, `"z"`, an index, or `None` for all components. Of a quaternion (w, x, y, z) only an index.
    """

    name: str | None = eqx.field(static=True)
    function: Callable | None = eqx.field(static=True)
    probe: Any
    axis: int | None = eqx.field(static=True)
    letter: bool = eqx.field(static=True)

    def __init__(self, source: "str | Callable | Reading", axis: str | int | None = None):
        if isinstance(source, Reading):
            self.name, self.function, self.probe = source.name, source.function, source.probe
            axis = source._as_given if axis is None else axis
        elif not (isinstance(source, str) or callable(source)):
            raise TypeError(f"What to read must be a name such as 'site:tip' or a callable state -> array, got {source!r}.")
        else:
            plain = not isinstance(source, str) and jax.tree_util.all_leaves([source]) and isinstance(source, Hashable)
            self.name = source if isinstance(source, str) else None
            self.function = source if plain and callable(source) else None
            self.probe = None if plain or isinstance(source, str) else source
        if not (axis is None or (isinstance(axis, str) and axis in AXES) or hasattr(axis, "__index__")):
            raise ValueError(f"`axis` must be 'x', 'y', 'z' or an index, got {axis!r}.")
        self.axis = None if axis is None else AXES[axis] if isinstance(axis, str) else operator.index(axis)
        self.letter = isinstance(axis, str)

    @property
    def label(self) -> str:
        """A name for people: `"site:tip"`, or the callable's own."""
        if self.name is not None:
            return self.name
        source = self.function if self.function is not None else self.probe
        return getattr(source, "__name__", type(source).__name__)

    def of(self, quantity: str) -> "Reading":
        """The same source, but this quantity of it: `Reading("site:tip").of("velocity:")`. A callable is taken to return it already."""
        return self if self.name is None or self.name.startswith(quantity) else Reading(quantity + self.name, self._as_given)

    def __call__(self, state: AbstractState) -> Float[Array, " component"]:
        """The components, always a vector."""
        source = self.function if self.function is not None else self.probe
        value = jnp.ravel(state.read(self.name) if self.name is not None else source(state))
        if self.axis is None:
            return value
        if not -value.size <= self.axis < value.size:
            raise ValueError(f"`axis` {self.axis} is outside {self.label!r}, which has {value.size} component(s). Leave `axis` out.")
        if self.letter and self.name is not None and value.size == 4:
            raise ValueError(f"{self.label!r} is a quaternion (w, x, y, z), which has no axes. Give `axis` as an index from 0 to 3.")
        return value[self.axis][None]

    @property
    def _as_given(self) -> str | int | None:
        return self.axis if self.axis is None or not self.letter else "xyz"[self.axis]


def readings(tree: Any) -> tuple[str, ...]:
    """The names that the energies and guardrails in `tree` read, sorted: what `envs.load(..., read=...)` must provide."""
    found = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Reading))
    return tuple(sorted({node.name for node in found if isinstance(node, Reading) and node.name is not None}))
