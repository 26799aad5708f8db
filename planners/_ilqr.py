"""The iterative linear-quadratic regulator, in a box."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

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


class Reference(eqx.Module):
    """A plan to stay close to: its actions and states, and the gains on what is left of state and previous action, as in `ebm.Feedback`."""

    actions: Float[Array, "horizon action"]
    states: PyTree
    gain: Float[Array, "horizon action tangent"]
    memory: Float[Array, "horizon action action"]


class ILQRState(eqx.Module):
    """The last plan with its feedback law, how far time is past its first action (in steps), the damping, and a key."""

    last: Reference
    phase: Float[Array, ""]
    damping: Float[Array, ""]
    key: Key[Array, ""]


class ILQR(AbstractPlanner):
    """Linearise the world, make the energy quadratic, solve that problem exactly within the action limits, and repeat.

    Energies that are sums over time are solved stage by stage (a Riccati recursion, linear in the horizon), and the feedback law is
    followed in the world, so that unstable ones stay near; any other energy by one dense Gauss–Newton step over all actions. Steps are
    tried at several sizes side by side, and only what lowers the true energy is kept. The next plan begins at the better of the last one's
    actions and of what its law makes of the state that came instead of the expected one: an unstable plant leaves the actions alone
    within a few periods. Needs no noise, but a smooth energy and world; it finds the minimum next to where it starts.

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
        check_requirements(self, problem)
        key, noise_key = jax.random.split(key)
        box = problem.action_space
        actions = box.clip(box.rest + self.noise * box.half_range * white((self.horizon, box.size), key=noise_key))
        trajectory = ebm.Trajectory(problem.model.rollout(state, actions), actions, ebm.Now(0, box.rest, 0.0), problem.dt)
        tangent = eqx.filter_eval_shape(problem.model.linearize, trajectory).B.shape[-2]
        gain, memory = jnp.zeros((self.horizon, box.size, tangent)), jnp.zeros((self.horizon, box.size, box.size))
        return ILQRState(Reference(actions, trajectory.states, gain, memory), jnp.zeros(()), self.damping, key)

    def adopt(self, problem, plan_state, actions):
        last = plan_state.last
        last = Reference(problem.action_space.clip(actions), last.states, jnp.zeros_like(last.gain), jnp.zeros_like(last.memory))
        return eqx.tree_at(lambda s: (s.last, s.phase), plan_state, (last, jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, world_key = jax.random.split(plan_state.key)
        whole, phase, _ = move_on(ZeroOrder(), self.horizon, self.horizon, problem.dt, plan_state.phase, now.elapsed)
        unit = jnp.where(problem.action_space.half_range > 0, problem.action_space.half_range, 1.0)
        bounds = problem.bounds(now, self.horizon)
        last = jax.tree.map(lambda leaf: shift(leaf, whole, axis=0), plan_state.last)
        start = problem.project(last.actions, now)

        def judge(tried):
            tried = jax.vmap(lambda actions: problem.project(jnp.where(jnp.isfinite(actions), actions, tried[0]), now))(tried)
            values = jax.vmap(lambda actions: problem.evaluate(state, actions, now, key=world_key))(tried)
            best = jnp.argmin(jnp.where(values.finite, merit(values, self.penalty), jnp.inf))  # the first of equals
            return best, tried[best], ebm.pick(values, best)

        def improve(carry, _):
            actions, damping, *_ = carry
            trajectory = ebm.Trajectory(problem.model.rollout(state, actions), actions, now, problem.dt)
            tried, gain, memory = self._candidates(problem, trajectory, unit, bounds, damping)
            best, actions, value = judge(tried)
            damping = jnp.clip(damping * jnp.where(best > 0, EASIER, HARDER), LEAST_DAMPING, MOST_DAMPING)
            return (actions, damping, gain, memory), value

        law = ebm.Feedback(jnp.zeros_like(start), last.gain, last.memory, bounds.low, bounds.high)
        corrected = problem.model.follow(ebm.Trajectory(last.states, last.actions, now, problem.dt), law, state)
        carry = judge(jnp.stack([start, corrected]))[1], plan_state.damping, last.gain, last.memory
        (actions, damping, gain, memory), values = jax.lax.scan(improve, carry, length=self.num_iterations)
        value = ebm.pick(values, -1)
        good = value.finite & ebm.all_finite(state)
        gain, memory = (jnp.where(jnp.isfinite(x), x, 0.0) for x in (gain, memory))
        new = Reference(actions, value.trajectory.states, gain, memory), jnp.minimum(damping, self.damping)
        old = eqx.tree_at(lambda r: r.actions, last, start), self.damping
        last, damping = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, old)
        return finish(state, last.actions, value), ILQRState(last, phase, damping, key)

    def _candidates(self, problem: Any, trajectory: ebm.Trajectory, unit, bounds, damping) -> tuple[Array, Array, Array]:
        """The actions after a step of every size, and the gains on state and previous action."""
        linear, actions = problem.model.linearize(trajectory), trajectory.actions
        slope, low, high = linear.B * unit, (bounds.low - actions) / unit, (bounds.high - actions) / unit
        sizes = jnp.asarray(STEP_SIZES)
        if not isinstance(problem.energy, ebm.AbstractStageEnergy):
            change = dense(problem, trajectory, linear.lift, linear.A, slope, unit, low, high, self.penalty, damping)
            none = jnp.zeros((self.horizon, unit.size, linear.B.shape[-2])), jnp.zeros((self.horizon, unit.size, unit.size))
            return actions + sizes[:, None, None] * unit * change, *none
        expansion = expand(problem, trajectory, linear.lift, unit, self.penalty)
        change, gain, memory = riccati(expansion, linear.A, slope, low, high, damping)
        gain, memory = unit[:, None] * gain, unit[:, None] * memory / unit

        def follow(size):
            law = ebm.Feedback(size * unit * change, gain, memory, bounds.low, bounds.high)
            return problem.model.follow(trajectory, law)

        # a step of no size is the plan so far, bit for bit
        return jnp.concatenate([actions[None], jax.vmap(follow)(sizes[1:])]), gain, memory
