"""Search among places to go through, instead of among actions."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

import ebm

from ._checks import check_counts
from ._planner import AbstractPlanner, check_requirements, finish
from ._rank import rank

ELITES = 0.1  # share of the samples
LEAST = 0.02  # of half the region: the search does not narrow further


class SubgoalState(eqx.Module):
    """What is carried from plan to plan: the subgoals that are still ahead, the actions, and a key."""

    subgoals: Float[Array, "subgoal component"]
    actions: Float[Array, "horizon action"]
    key: Key[Array, ""]


class Subgoals(AbstractPlanner):
    """Draw subgoals, let a policy pursue them in the world model one after another and then the goal, and do what the best one led to.

    A detour is a long sequence of actions, but one place. Where a policy can go straight, the search is over where to turn: few numbers,
    whatever the horizon. Candidates are fitted by the cross-entropy method, and compared by the problem, with all its guardrails.

    Nasiriany et al. 2019, "Planning with goal-conditioned policies", arXiv:1911.08453.

    **Arguments:**

    - `policy`: `(state, target) -> action`: goes straight towards a target, such as `ebm.Pursuit`.
    - `region`: where subgoals can be, in the space of the goal.
    - `horizon`: actions planned ahead.
    - `num_samples`: candidates per iteration; the last plan's subgoals and the goal itself are two of them.
    - `num_iterations`: rounds of improvement per plan.
    - `num_subgoals`: before the goal.
    """

    policy: Callable[[PyTree, Array], Array]
    region: ebm.Box
    horizon: int = eqx.field(static=True, default=18)
    num_samples: int = eqx.field(static=True, default=100)
    num_iterations: int = eqx.field(static=True, default=4)
    num_subgoals: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(self, horizon=1, num_samples=4, num_iterations=1, num_subgoals=1)

    @property
    def requires(self):
        return frozenset({"step"})

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        goal, box = self._goal(problem), problem.action_space
        rest = box.rest
        return SubgoalState(self._all(goal.goal), jnp.broadcast_to(rest, (self.horizon, box.size)), key)

    def plan(self, problem, state, plan_state, now):
        key, search_key, world_key = jax.random.split(plan_state.key, 3)
        goal = self._goal(problem)
        direct = self._all(goal.goal)
        known = jnp.stack([plan_state.subgoals, direct])
        whole = jnp.round(jnp.clip(now.elapsed / problem.dt, 0.0, self.horizon)).astype(jnp.int32)
        late = jnp.clip(jnp.arange(self.horizon) + whole, 0, self.horizon - 1)
        fallback = problem.project(plan_state.actions[late], now)

        def judge(subgoals):
            actions, ahead = self._pursue(problem, state, subgoals, goal, now)
            return (subgoals, ahead, actions), problem.evaluate(state, actions, now, key=world_key)

        def improve(belief, key):
            mean, std = belief
            drawn = mean + std * jax.random.normal(key, (self.num_samples, *mean.shape))
            drawn = jnp.clip(drawn, self.region.low, self.region.high).at[:2].set(known)
            tried = jax.vmap(judge)(drawn)
            order = rank(tried[1])
            best = drawn[order.order[: max(4, round(ELITES * self.num_samples))]]
            std = jnp.maximum(jnp.std(best, axis=0), LEAST * self.region.half_range)
            return (jnp.mean(best, axis=0), std), ebm.pick(tried, order.best)

        shape = direct.shape
        begin = jnp.broadcast_to(self.region.center, shape), jnp.broadcast_to(self.region.half_range, shape)
        _, tried = jax.lax.scan(improve, begin, jax.random.split(search_key, self.num_iterations))
        (_, ahead, actions), value = ebm.pick(tried, rank(tried[1]).best)
        good = value.finite & ebm.all_finite(state)
        actions, ahead = jnp.where(good, actions, fallback), jnp.where(good, ahead, plan_state.subgoals)
        return finish(state, actions, value), SubgoalState(ahead, actions, key)

    def _pursue(self, problem, state, subgoals, goal, now):
        """The actions, inside the limits, and the subgoals ahead after the first of them: reached ones are replaced by what follows."""
        targets = jnp.concatenate([subgoals, goal.goal[None]])
        last = self.num_subgoals

        def advance(carry, t):
            state, held, index = carry
            action = problem.project(self.policy(state, targets[index])[None], ebm.Now(now.tick + t, held, problem.dt))[0]
            state = problem.model.step(state, action)
            reached = goal.towards(targets[index]).distance(state) <= goal.tolerance
            index = jnp.minimum(index + reached, last)
            return (state, action, index), (action, index)

        first = jax.tree.map(jnp.asarray, state), now.previous_action, jnp.int32(0)
        _, (actions, index) = jax.lax.scan(advance, first, jnp.arange(self.horizon))
        return actions, targets[jnp.minimum(jnp.arange(last) + index[0], last)]

    def _all(self, goal):
        if self.region.low.shape != goal.shape:
            raise ValueError(f"`region` has shape {self.region.low.shape} and the goal {goal.shape}: subgoals are drawn where goals are.")
        return jnp.broadcast_to(goal, (self.num_subgoals, *goal.shape))

    @staticmethod
    def _goal(problem) -> ebm.AbstractGoalEnergy:
        goals = ebm.goals(problem)
        if len(goals) != 1:
            raise ValueError(f"Subgoals needs an energy with one goal, such as `ebm.Approach`, and this problem has {len(goals)}.")
        return goals[0]
