"""Optimise what the world should go through together with the actions that lead there."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import ebm

from ._basis import ZeroOrder, move_on, shift
from ._checks import ABOVE_ZERO, check_counts, check_fits, check_numbers
from ._lifted import Lifted, spread_of
from ._planner import AbstractPlanner, check_requirements, finish
from ._proposal import white
from ._rank import rank
from ._slope import walk


class CollocationState(eqx.Module):
    """The last plan's actions, how far time is past the first one (in steps), and a key."""

    actions: Float[Array, "horizon action"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class Collocation(AbstractPlanner):
    """Descend over states and actions at once; that each state follows from the one before is an energy, too, and gets stiffer.

    All steps of the world are taken side by side, and a plan may for a while go where the world does not let it. The states that a step
    begins in are held fixed, so that a learned model is not exploited through its inputs; noise on the states explores. A round ends with
    some ordinary gradient steps through the whole rollout; then the virtual states begin again where the actions really lead. The best
    plan that was rolled out is kept. Worlds whose actions tell only after many steps need many iterations; `ILQR` solves those sooner.

    **Arguments:**

    - `horizon`: actions planned ahead.
    - `num_starts`: the moved-on last plan, and noisy copies of it.
    - `num_rounds`: how often states and actions are made to fit each other again.
    - `num_iterations`, `num_synced`: gradient steps in a round, with free states and then through the rollout.
    - `noise`: deviation of the noisy starts, as a fraction of half the box.
    - `state_noise`: deviation added to the virtual states per gradient step, falling to zero in every round; in units of `give`.
    - `learning_rate`: step size of Adam, as a fraction of half the box, and of the deviation of states among the starts.
    - `give`: how far a state may be from where the world leads when the energy pulls at it as it does at the beginning of a round, in
      deviations of states among the starts. It shrinks from round to round by the factor `tighten`.
    - `penalty`: energy per mean positive violation while descending.

    Psenka et al. 2026, "Parallel stochastic gradient-based planning for world models", arXiv:2602.00475; Rybkin et al. 2021, "Model-based
    reinforcement learning via latent-space collocation", arXiv:2106.13229.
    """

    horizon: int = eqx.field(static=True, default=25)
    num_starts: int = eqx.field(static=True, default=4)
    num_rounds: int = eqx.field(static=True, default=4)
    num_iterations: int = eqx.field(static=True, default=20)
    num_synced: int = eqx.field(static=True, default=15)
    noise: Float[Array, "*action"] = eqx.field(converter=ebm.to_float, default=0.3)
    state_noise: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.3)
    learning_rate: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    give: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.3)
    tighten: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=100.0)

    def __check_init__(self):
        check_counts(self, horizon=1, num_starts=1, num_rounds=1, num_iterations=1, num_synced=0)
        check_numbers(self, noise=(0.0, np.inf), state_noise=(0.0, np.inf), learning_rate=(0.0, np.inf), penalty=(0.0, np.inf))
        check_numbers(self, give=(ABOVE_ZERO, np.inf), tighten=(ABOVE_ZERO, 1.0))

    @property
    def requires(self):
        return frozenset({"gradient", "linearize", "step"})

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        box = problem.action_space
        check_fits(self, box.size, "noise")
        rest = box.rest
        return CollocationState(jnp.broadcast_to(rest, (self.horizon, box.size)), jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        return eqx.tree_at(lambda s: (s.actions, s.phase), plan_state, (problem.action_space.clip(actions), jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, noise_key, world_key, state_key = jax.random.split(plan_state.key, 4)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        last = problem.project(shift(plan_state.actions, whole), now)
        unit = jnp.where(problem.action_space.half_range > 0, problem.action_space.half_range, 1.0)
        spread = self.noise * white((self.num_starts, *last.shape), key=noise_key).at[0].set(0.0)
        starts = jax.vmap(lambda actions: problem.project(actions, now))(last + unit * spread)

        def judge(actions):
            return jax.vmap(lambda actions: problem.evaluate(state, actions, now, key=world_key))(actions)

        def improve(carry, inputs):
            actions, scale = carry
            number, key = inputs
            values = judge(actions)
            scale = jnp.where(number == 0, spread_of(problem.model, values.trajectory.states), scale)
            give = self.give * self.tighten**number

            def descend(trajectory, energy, key):
                lift = problem.model.linearize(trajectory).lift
                lifted = Lifted(problem, trajectory, lift, unit, scale, self.penalty)
                return self._descend(lifted, energy, give, lambda actions: problem.evaluate(state, actions, now, key=world_key), key)

            descended, useful = jax.vmap(descend)(values.trajectory, values.energy, jax.random.split(key, self.num_starts))
            descended = jax.vmap(lambda actions: problem.project(actions, now))(descended)
            best = rank(values).best
            return (descended, scale), (actions[best], ebm.pick(values, best), jnp.any(useful))

        size = jax.eval_shape(lambda state: problem.model.difference(state, state), state).shape
        rounds = jnp.arange(self.num_rounds), jax.random.split(state_key, self.num_rounds)
        (final, _), (actions, values, useful) = jax.lax.scan(improve, (starts, jnp.ones(size)), rounds)
        tried = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (actions, values), (final, judge(final)))
        actions, value = ebm.pick(tried, rank(tried[1]).best)
        good = value.finite & ebm.all_finite(state)
        actions = jnp.where(good, actions, last)
        return finish(state, actions, value, jnp.any(useful)), CollocationState(actions, phase, key)

    def _descend(self, lifted: Lifted, energy: Float[Array, ""], give: Float[Array, ""], evaluate: Any, key: Key[Array, ""]):
        """Actions after a round of gradient steps from where they lead, and whether there was a gradient to follow."""
        actions, unit = lifted.reference.actions, lifted.unit
        box = lifted.problem.bounds(lifted.reference.now, self.horizon)
        still = jnp.zeros((self.horizon, lifted.scale.size)), jnp.zeros_like(actions)
        pull = jax.grad(lifted.energy)(*still)
        stiffness = jnp.sqrt(jnp.mean(pull**2)) / give

        def imagined(point):
            return lifted.energy(*point) + 0.5 * stiffness * jnp.sum(lifted.defects(*point) ** 2)

        def rolled_out(u):
            value = evaluate(actions + unit * u)
            return value.energy + self.penalty * value.mean_violation

        def within(u, *_):
            return jnp.clip(u, (box.low - actions) / unit, (box.high - actions) / unit)

        def shaken(point, key, left):
            x, u = point
            return x + self.state_noise * give * left * jax.random.normal(key, x.shape), within(u)

        (_, u), led = walk(imagined, still, energy, self.learning_rate, shaken, jax.random.split(key, self.num_iterations))
        u, synced = walk(rolled_out, u, energy, self.learning_rate, within, jax.random.split(key, self.num_synced))
        return actions + unit * u, led | synced
