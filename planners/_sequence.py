"""What the searches that grow sequences of choices share: the last plan, moved on in time, and the best whole plan in the end."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

import ebm

from ._basis import ZeroOrder, move_on, shift
from ._checks import check_counts
from ._discrete import choices_of
from ._planner import AbstractPlanner, check_requirements, finish
from ._rank import rank


class SequenceState(eqx.Module):
    """The last plan's actions, how far time is past the first one (in steps), and a key."""

    actions: Float[Array, "horizon action"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class AbstractSequenceSearch(AbstractPlanner):
    """Finds sequences of choices stage by stage; they are judged as whole plans, beside the last plan moved on in time.

    An algorithm adds `search`, and names in `effort` the field that says how hard it tries.
    """

    effort: ClassVar[str]
    hold: eqx.AbstractVar[int]
    resolution: eqx.AbstractVar[int]
    choices: eqx.AbstractVar[ebm.Discrete | None]

    def __check_init__(self):
        check_counts(self, horizon=1, hold=1, resolution=2, **{self.effort: 1})

    @property
    def requires(self):
        return frozenset({"step", "stages"})

    @abc.abstractmethod
    def search(
        self, problem: Any, state: PyTree, choices: Float[Array, "choices action"], now: ebm.Now, key: Key[Array, ""]
    ) -> Float[Array, "sequences horizon action"]:
        """Sequences of actions worth judging."""

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        choices_of(problem, self.choices, self.resolution)  # what cannot be done is found here
        box = problem.action_space
        rest = box.rest
        return SequenceState(jnp.broadcast_to(rest, (self.horizon, box.size)), jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        return eqx.tree_at(lambda s: (s.actions, s.phase), plan_state, (problem.action_space.clip(actions), jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, search_key, world_key = jax.random.split(plan_state.key, 3)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        last = problem.project(shift(plan_state.actions, whole), now)
        sequences = self.search(problem, state, choices_of(problem, self.choices, self.resolution), now, search_key)
        tried = jax.vmap(lambda actions: problem.project(actions, now))(jnp.concatenate([last[None], sequences]))
        values = jax.vmap(lambda actions: problem.evaluate(state, actions, now, key=world_key))(tried)
        best = rank(values).best
        value = ebm.pick(values, best)
        good = value.finite & ebm.all_finite(state)
        plan = finish(state, jnp.where(good, tried[best], last), value)
        return plan, SequenceState(plan.actions, phase, key)
