"""The iterative linear-quadratic regulator, in a box."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import ebm

from ._basis import ZeroOrder, move_on, shift
from ._dense import dense
from ._expansion import expand, merit
from ._planner import AbstractPlanner, check_requirements, finish
from ._proposal import white
from ._riccati import riccati

STEP_SIZES = (0.0, 1.0, 0.5, 0.25, 0.1, 0.03, 0.01)  # of which one is the plan so far
EASIER, HARDER = 0.3, 10.0  # factors on the damping after a step that helped, or did not
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e6


class ILQRState(eqx.Module):
    """The last plan's actions, how far time is past the first one (in steps), the damping, and a key."""

    actions: Float[Array, "horizon action"]
    phase: Float[Array, ""]
    damping: Float[Array, ""]
    key: Key[Array, ""]


class ILQR(AbstractPlanner):
    """Linearise the world, make the energy quadratic, solve that problem exactly within the action limits, and repeat.

    Energies that are sums over time are solved stage by stage (a Riccati recursion, linear in the horizon), and the feedback law is
    followed in the world, so that unstable ones stay near; any other energy by one dense Gauss–Newton step over all actions. Steps are
    tried at several sizes side by side, and only what lowers the true energy is kept. Needs no noise, but a smooth energy and world; it
    finds the minimum next to where it starts.

    **Arguments:**

    - `horizon`: actions planned ahead.
    - `num_iterations`: linearisations per plan; warm starts need few.
    - `penalty`: energy per half squared violation of a guardrail while optimising.
    - `noise`: deviation of the first plan, as a fraction of half the box: at rest a pendulum's gradient may be exactly zero.
    - `damping`: of the first plan, relative to the curvature.

    Li and Todorov 2004; Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming".
    """

    horizon: int = eqx.field(static=True, default=50)
    num_iterations: int = eqx.field(static=True, default=5)
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=100.0)
    noise: Float[Array, "*action"] = eqx.field(converter=ebm.to_float, default=0.1)
    damping: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1e-3)

    def __check_init__(self):
        for name in ("horizon", "num_iterations"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer, got {value!r}.")

    @property
    def requires(self):
        return frozenset({"linearize"})

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        key, noise_key = jax.random.split(key)
        box = problem.action_space
        rest = box.rest
        actions = box.clip(rest + self.noise * box.half_range * white((self.horizon, box.size), key=noise_key))
        return ILQRState(actions, jnp.zeros(()), self.damping, key)

    def adopt(self, problem, plan_state, actions):
        return eqx.tree_at(lambda s: (s.actions, s.phase), plan_state, (problem.action_space.clip(actions), jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, world_key = jax.random.split(plan_state.key)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        start = problem.project(shift(plan_state.actions, whole), now)
        unit = jnp.where(problem.action_space.half_range > 0, problem.action_space.half_range, 1.0)
        bounds = problem.bounds(now, self.horizon)

        def improve(carry, _):
            actions, damping = carry
            trajectory = ebm.Trajectory(problem.model.rollout(state, actions), actions, now, problem.dt)
            tried = self._candidates(problem, trajectory, unit, bounds, damping)
            tried = jax.vmap(lambda tried: problem.project(jnp.where(jnp.isfinite(tried), tried, actions), now))(tried)
            values = jax.vmap(lambda actions: problem.evaluate(state, actions, now, key=world_key))(tried)
            cost = jnp.where(values.finite, merit(values, self.penalty), jnp.inf)
            best = jnp.argmin(cost)  # the first of equals: the plan so far
            damping = jnp.clip(damping * jnp.where(best > 0, EASIER, HARDER), LEAST_DAMPING, MOST_DAMPING)
            return (tried[best], damping), ebm.pick(values, best)

        (actions, damping), values = jax.lax.scan(improve, (start, plan_state.damping), length=self.num_iterations)
        value = ebm.pick(values, -1)
        good = value.finite & ebm.all_finite(state)
        actions, damping = jnp.where(good, actions, start), jnp.where(good, damping, self.damping)
        return finish(state, actions, value), ILQRState(actions, phase, jnp.minimum(damping, self.damping), key)

    def _candidates(self, problem: Any, trajectory: ebm.Trajectory, unit, bounds, damping) -> Float[Array, "sizes horizon action"]:
        """The actions after a step of every size."""
        linear, actions = problem.model.linearize(trajectory), trajectory.actions
        slope, low, high = linear.B * unit, (bounds.low - actions) / unit, (bounds.high - actions) / unit
        sizes = jnp.asarray(STEP_SIZES)
        if not isinstance(problem.energy, ebm.AbstractStageEnergy):
            change = dense(problem, trajectory, linear.lift, linear.A, slope, unit, low, high, self.penalty, damping)
            return actions + sizes[:, None, None] * unit * change
        expansion = expand(problem, trajectory, linear.lift, unit, self.penalty)
        change, gain, memory = riccati(expansion, linear.A, slope, low, high, damping)

        def follow(size):
            law = ebm.Feedback(size * unit * change, unit[:, None] * gain, unit[:, None] * memory / unit, bounds.low, bounds.high)
            return problem.model.follow(trajectory, law)

        # a step of no size is the plan so far, bit for bit
        return jnp.concatenate([actions[None], jax.vmap(follow)(sizes[1:])])
