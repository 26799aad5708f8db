"""A problem under a coarser one, and what the one above hands down."""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

import ebm

from ._planner import Plan


class HierarchicalProblem(ebm.AbstractProblem):
    """A problem, and a coarser one above it.

    The lower problem by itself is the whole task: its model, limits, guardrails and evaluations are those of the hierarchy. The upper one
    only says, every now and then, which goal the lower one should have meanwhile. Towers are made by giving a `HierarchicalProblem` as
    `upper`.

    **Arguments:**

    - `upper`: in a world with longer steps.
    - `lower`: at the level of the actuators.
    - `lift`: `state -> state` of the upper world.
    - `condition`: `(lower, plan, age) -> problem`: the lower problem under an upper plan that is `age` s old; by default `Subgoal()`.
    - `notes`: an object with `init() -> notes`, `learn(notes, here, there) -> notes`, called when it has turned out that one does not get
      from one upper state to another, and `recall(state, notes) -> state`, the upper state as it looks with what is known by now. By
      default nothing is noted, and the upper level proposes the same again.
    """

    upper: ebm.AbstractProblem
    lower: ebm.AbstractProblem
    lift: Callable[[Any], Any]
    condition: Callable[[Any, Plan, Array], Any]
    notes: Any

    def __init__(
        self,
        upper: ebm.AbstractProblem,
        lower: ebm.AbstractProblem,
        lift: Callable[[Any], Any],
        condition: Callable[[Any, Plan, Array], Any] | None = None,
        notes: Any = None,
    ):
        if upper.dt <= lower.dt:
            raise ValueError(f"The upper level must be the slower one, got steps of {upper.dt} s above {lower.dt} s.")
        self.upper, self.lower, self.lift = upper, lower, lift
        self.condition = Subgoal() if condition is None else condition
        self.notes = NoNotes() if notes is None else notes

    @property
    def model(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.lower.model

    @property
    def provides(self):
        return self.lower.provides | {"upper"}

    @property
    def energy(self) -> Any:
        """That of the task."""
        return cast(Any, self.lower).energy

    @property
    def guardrails(self) -> tuple[ebm.AbstractGuardrail, ...]:
        """Those of the task."""
        return cast(Any, self.lower).guardrails

    @property
    def action_space(self):
        return self.lower.action_space

    @property
    def limits(self) -> ebm.Box | None:
        """Those of the task."""
        return getattr(self.lower, "limits", None)

    @property
    def rate_limit(self) -> Array | None:
        """That of the task."""
        return getattr(self.lower, "rate_limit", None)

    def relaxed(self, energy: ebm.AbstractEnergy) -> "HierarchicalProblem":
        """The same hierarchy, whose task has another energy, and no guardrails."""
        return HierarchicalProblem(self.upper, cast(Any, self.lower).relaxed(energy), self.lift, self.condition, self.notes)

    def unjudged(self):
        return self.lower.unjudged()

    def evaluate(self, state, actions, now, *, key):
        return self.lower.evaluate(state, actions, now, key=key)

    def project(self, actions, now):
        return self.lower.project(actions, now)

    def bounds(self, now, horizon):
        return self.lower.bounds(now, horizon)


class NoNotes(eqx.Module):
    """Nothing is noted."""

    def init(self) -> None:
        """No notes."""

    def learn(self, notes: None, here: Any, there: Any) -> None:
        """Nothing."""

    def recall(self, state: Any, notes: None) -> Any:
        """The state as it is."""
        return state


class Subgoal(eqx.Module):
    """The upper state that is due some time from now becomes the lower problem's goal.

    **Arguments:**

    - `ahead`: s; by default one step of the upper level.
    - `read`: `upper state -> goal`, by default the state itself, which then has one array.
    - `name`: of the lower goal, if it has several.
    """

    ahead: float | None = eqx.field(static=True, default=None)
    read: Callable[[Any], Array] | None = None
    name: str | None = eqx.field(static=True, default=None)

    def __call__(self, lower: Any, plan: Plan, age: Array) -> Any:
        dt = plan.trajectory.dt
        index = jnp.round((age + (dt if self.ahead is None else self.ahead)) / dt).astype(jnp.int32)
        due = jax.tree.map(lambda leaf: leaf[jnp.clip(index, 1, plan.actions.shape[0])], plan.trajectory.states)
        return lower.with_goal(jax.tree.leaves(due)[0] if self.read is None else self.read(due), self.name)
