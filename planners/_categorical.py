"""The cross-entropy method over choices."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import ebm

from ._basis import ZeroOrder, move_on, shift
from ._cem import elite_count
from ._checks import check_counts, check_numbers
from ._discrete import choices_of, decisions
from ._planner import AbstractPlanner, check_requirements, finish
from ._rank import rank


class CategoricalState(eqx.Module):
    """How likely each choice is at each decision, how far time is past the first decision (in decisions), and a key."""

    probabilities: Float[Array, "decision choice"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class CategoricalCEM(AbstractPlanner, ebm.AbstractSearch):
    """Draw sequences of choices, count what the best ones chose, and draw again (Rubinstein 1999). Sees nothing but evaluations.

    **Arguments:**

    - `horizon`: actions planned ahead. `hold`: steps that a choice lasts.
    - `num_samples`, `num_iterations`, `elites`: as in `CEM`.
    - `choices`: the actions to choose from; by default a grid of `resolution` values per actuator.
    - `momentum`: how much of the old probabilities stays at an update.
    - `least`: the share of all probability that is spread evenly, so that no choice dies out.
    - `renewed`: the share that is spread evenly once more when a plan begins, so that what was settled before can be found wrong.
    """

    horizon: int = eqx.field(static=True, default=25)
    num_samples: int = eqx.field(static=True, default=128)
    num_iterations: int = eqx.field(static=True, default=3)
    hold: int = eqx.field(static=True, default=3)
    resolution: int = eqx.field(static=True, default=5)
    choices: ebm.Discrete | None = None
    elites: int | None = eqx.field(static=True, default=None)
    momentum: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.2)
    least: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    renewed: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)

    def __check_init__(self):
        check_counts(self, horizon=1, num_samples=2, num_iterations=1, hold=1, resolution=2, elites=1)
        check_numbers(self, momentum=(0.0, 1.0), least=(0.0, 1.0), renewed=(0.0, 1.0))

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        count = choices_of(problem, self.choices, self.resolution).shape[0]
        return CategoricalState(jnp.full((decisions(self.horizon, self.hold), count), 1.0 / count, jnp.float32), jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        choices = choices_of(problem, self.choices, self.resolution)
        firsts = actions[:: self.hold]  # of every decision
        nearest = jnp.argmin(jnp.sum((firsts[:, None] - choices) ** 2, axis=-1), axis=1)
        certain = jax.nn.one_hot(nearest, len(choices), dtype=jnp.float32)
        settled = (1.0 - self.least) * certain + self.least / len(choices)
        return eqx.tree_at(lambda s: (s.probabilities, s.phase), plan_state, (settled, jnp.zeros(())))

    def propose(self, belief, *, key):
        drawn = jax.random.categorical(key, jnp.log(belief), shape=(self.num_samples, belief.shape[0]))
        # the likeliest sequence, and every choice held, as far as they fill half the candidates
        held = jnp.broadcast_to(jnp.arange(belief.shape[1])[:, None], belief.shape[::-1])
        certain = jnp.concatenate([jnp.argmax(belief, axis=1)[None], held])[: self.num_samples // 2]
        return jnp.concatenate([certain, drawn[certain.shape[0] :]])

    def update(self, belief, candidates, ranking):
        best = candidates[ranking.order[: elite_count(self.elites, self.num_samples)]]
        share = jnp.mean(jax.nn.one_hot(best, belief.shape[1]), axis=0)
        fitted = self.momentum * belief + (1.0 - self.momentum) * share
        mixed = (1.0 - self.least) * fitted + self.least / belief.shape[1]
        return jnp.where(jnp.any(jnp.isfinite(ranking.energy)), mixed, belief)

    def plan(self, problem, state, plan_state, now):
        key, propose_key, world_key = jax.random.split(plan_state.key, 3)
        choices, basis = choices_of(problem, self.choices, self.resolution), ZeroOrder()
        count = decisions(self.horizon, self.hold)
        whole, phase, _ = move_on(basis, count * self.hold, count, problem.dt, plan_state.phase, now.elapsed)
        positions = phase + jnp.arange(self.horizon) / self.hold
        before = shift(plan_state.probabilities, whole)
        # what lies beyond the last plan is as good as unknown
        known = (jnp.arange(count) + whole < count)[:, None]
        last = jnp.where(known, before, 1.0 / choices.shape[0])
        start = (1.0 - self.renewed) * last + self.renewed / choices.shape[0]

        def judge(sequence):
            actions = problem.project(basis(choices[sequence], positions), now)
            return actions, problem.evaluate(state, actions, now, key=world_key)

        def compare(candidates):
            return rank(jax.vmap(judge)(candidates)[1])

        belief, best = ebm.search(self, compare, start, num_iterations=self.num_iterations, key=propose_key)
        tried = jax.vmap(judge)(jnp.concatenate([best, jnp.argmax(belief, axis=1)[None]]))
        actions, value = ebm.pick(tried, rank(tried[1]).best)
        good = value.finite & ebm.all_finite(state)
        fallback = problem.project(basis(choices[jnp.argmax(last, axis=1)], positions), now)
        plan = finish(state, jnp.where(good, actions, fallback), value)
        return plan, CategoricalState(jnp.where(good, belief, last), phase, key)
