"""Planning on several levels: the upper one decides where to be, the lower one how to get there."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

import ebm

from ._checks import check_counts, check_kinds
from ._planner import AbstractPlanner, Plan, finish, is_plan, no_plan
from ._rank import best_of


class HierarchicalState(eqx.Module):
    """Both planners' states, the upper plan, whether there is one, its age (s), steps in which its subgoals were not reached, and notes."""

    upper: Any
    lower: Any
    plan: Plan
    planned: Bool[Array, ""]
    age: Float[Array, ""]
    misses: Int[Array, ""]
    notes: Any


class HierarchicalPlanner(AbstractPlanner):
    """Plan above every `period`, below every time, towards what the plan above says is due.

    If the lower plan neither comes within its goal's tolerance of the subgoal nor at least half way there, the subgoal counts as
    unreachable. The level above then plans again at the next step, and this once the lower level also plans the whole task by itself, as
    if there were no hierarchy; of both plans the better one of the task itself is taken, guardrails before energy. What stays unreachable
    for `patience` steps is noted (`HierarchicalProblem.notes`), so that the level above looks for another way.

    As long as the level above has planned nothing, because its state or its goal is not finite, the whole task is planned below, and
    `plan.upper.result` says so.

    **Arguments:**

    - `upper`, `lower`: any planners, of which `upper` may be hierarchical again.
    - `period`: control periods of the lower level between upper plans.
    - `fallback`: whether to look at all if a subgoal can be reached, and to plan flat and take notes if not.
    - `patience`: steps.

    LeCun 2022, "A path towards autonomous machine intelligence", section 4.6.
    """

    upper: AbstractPlanner
    lower: AbstractPlanner
    period: int = eqx.field(static=True, default=10)
    fallback: bool = eqx.field(static=True, default=True)
    patience: int = eqx.field(static=True, default=3)

    def __check_init__(self):
        check_counts(self, period=1, patience=1)
        check_kinds(self, upper=AbstractPlanner, lower=AbstractPlanner)

    @property
    def horizon(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.lower.horizon

    @property
    def requires(self):
        return frozenset({"upper"})

    def init(self, problem, state, *, key):
        parts: Any = problem
        if "upper" not in problem.provides:
            raise ValueError(f"HierarchicalPlanner requires a HierarchicalProblem, got {type(problem).__name__}.")
        keys = jax.random.split(key)
        notes = parts.notes.init()
        above = parts.notes.recall(parts.lift(jax.tree.map(jnp.asarray, state)), notes)
        upper = self.upper.init(parts.upper, above, key=keys[0])
        lower = self.lower.init(parts.lower, state, key=keys[1])
        plan = no_plan(self.upper, parts.upper, above, upper)
        return HierarchicalState(upper, lower, plan, jnp.array(False), jnp.zeros(()), jnp.int32(0), notes)

    def plan(self, problem, state, plan_state, now):
        parts: Any = problem
        elapsed = jnp.where(jnp.isfinite(now.elapsed), jnp.maximum(now.elapsed, 0.0), parts.lower.dt)
        age, misses, notes = plan_state.age + elapsed, plan_state.misses, plan_state.notes
        here = parts.notes.recall(parts.lift(state), notes)
        # by age, not by the clock: the level above this one may call at any rate
        due = ~plan_state.planned | (misses > 0) | (age >= (self.period - 0.5) * parts.lower.dt)

        def anew():
            tick = jnp.round(now.tick * parts.lower.dt / parts.upper.dt).astype(jnp.int32)
            elapsed = jnp.where(plan_state.planned, age, 0.0)
            plan, upper = self.upper.plan(parts.upper, here, plan_state.upper, ebm.Now(tick, _held(plan_state.plan, age), elapsed))
            # of a state that is not finite nothing is kept but what is said of it: the next one is planned from as if it were this one
            kept = _either(is_plan(plan), (plan, upper, jnp.zeros_like(age), jnp.array(True)), before)
            return (eqx.tree_at(lambda p: p.result, kept[0], plan.result), *kept[1:])

        before = plan_state.plan, plan_state.upper, age, plan_state.planned
        above, upper, age, planned = jax.lax.cond(due, anew, lambda: before)
        posed = parts.condition(parts.lower, above, age)
        if jax.tree.structure(posed) == jax.tree.structure(parts.lower):
            plan, lower = self.lower.plan(_either(planned, posed, parts.lower), state, plan_state.lower, now)
        else:  # a condition of one's own may pose another kind of problem, whose terms are not those of the task

            def told(problem):
                plan, lower = self.lower.plan(problem, state, plan_state.lower, now)
                task = parts.lower.evaluate(state, plan.actions, now, key=jax.random.key(0))
                return dataclasses.replace(finish(state, plan.actions, task), upper=plan.upper), lower

            plan, lower = jax.lax.cond(planned, lambda: told(posed), lambda: told(parts.lower))
        if self.fallback:
            reachable = _comes_close(posed, parts.lower, plan) | ~planned
            known = is_plan(plan)  # a state that is not finite says nothing about what can be reached
            misses = jnp.where(reachable, 0, misses + known)
            there = jax.tree.map(lambda leaf: leaf[1], above.trajectory.states)
            enough = known & (misses > 0) & (misses % self.patience == 0)
            notes = jax.tree.map(lambda new, old: jnp.where(enough, new, old), parts.notes.learn(notes, here, there), notes)

            def flat():
                alone, after = self.lower.plan(parts.lower, state, plan_state.lower, now)
                task = parts.lower.evaluate(state, plan.actions, now, key=jax.random.key(0))
                known = eqx.tree_at(lambda p: (p.energy, p.violations), plan, (task.energy, task.violations))
                better = best_of(jax.tree.map(lambda *leaves: jnp.stack(leaves), known, alone)) == 1
                return jax.tree.map(lambda a, b: jnp.where(better, a, b), (alone, after), (plan, lower))

            plan, lower = jax.lax.cond(reachable, lambda: (plan, lower), flat)
        return dataclasses.replace(plan, upper=above), HierarchicalState(upper, lower, above, planned, age, misses, notes)


def _held(plan: Plan, age: Float[Array, ""]) -> Float[Array, " action"]:
    """The upper action before the one that is due at that age (s) of an upper plan; zeros, as in `no_plan`, before there is any."""
    begun = jnp.floor(age / plan.trajectory.dt + 1e-3).astype(jnp.int32)
    held = plan.actions[jnp.clip(begun - 1, 0, plan.actions.shape[0] - 1)]
    return jnp.where(begun > 0, held, plan.trajectory.now.previous_action)


def _either(first: Bool[Array, ""], a: Any, b: Any) -> Any:
    """One of two trees; leaves that are the same object are left alone."""
    return jax.tree.map(lambda a, b: jnp.where(first, a, b) if a is not b and eqx.is_array(a) else a, a, b)


def _comes_close(posed: Any, problem: Any, plan: Plan) -> Bool[Array, ""]:
    """Whether the plan's states come within the tolerance, or half way, of every goal that the level above has set."""

    def close(goal):
        distances = jax.vmap(goal.distance)(plan.trajectory.states)
        return jnp.min(distances) <= jnp.maximum(goal.tolerance, 0.5 * distances[0])

    kept = [goal.goal for goal in ebm.goals(problem.energy)]
    handed_down = [close(goal) for goal in ebm.goals(posed.energy) if all(goal.goal is not old for old in kept)]
    return jnp.all(jnp.stack(handed_down)) if handed_down else jnp.array(True)
