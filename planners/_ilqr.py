"""The iterative linear-quadratic regulator, in a box."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

import ebm

from ._basis import ZeroOrder, move_on, shift
from ._checks import check_counts, check_fits, check_numbers
from ._expansion import merit
from ._planner import AbstractPlanner, check_requirements, finish
from ._proposal import white
from ._rank import rank
from ._retreat import on_the_way, retreats
from ._steps import steps

EASIER, HARDER = 0.3, 10.0  # factors on the damping after a step that helped, or did not
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e6


class Reference(eqx.Module):
    """A plan to stay close to: its actions and states, and the gains on what is left of state and previous action, as in `ebm.Feedback`."""

    actions: Float[Array, "horizon action"]
    states: PyTree
    gain: Float[Array, "horizon action tangent"]
    memory: Float[Array, "horizon action action"]


class ILQRState(eqx.Module):
    """What descent came to, with its feedback law; the plan that was sent; how far time is past their first action (in steps), the
    damping, and a key."""

    last: Reference
    sent: Float[Array, "horizon action"]
    phase: Float[Array, ""]
    damping: Float[Array, ""]
    key: Key[Array, ""]


class ILQR(AbstractPlanner):
    """Linearise the world, make the energy quadratic, solve that problem exactly within the action limits, and repeat.

    Energies that are sums over time are solved stage by stage (a Riccati recursion, linear in the horizon), and the feedback law is
    followed in the world, so that unstable ones stay near; any other energy by one dense Gauss–Newton step over all actions. Steps are
    tried at several sizes side by side, and only what lowers the true energy, with guardrails as penalties, is kept; of all that was tried
    the best by rank is the plan, which comes from the safe side; `AugmentedLagrangian` around this is quicker where a guardrail is in the
    way.

    The next plan begins at the better of the last one's actions and of what its law makes of the state that came instead of the expected
    one: an unstable plant leaves the actions alone within a few periods. Needs no noise, but a smooth energy and world; it finds the
    minimum next to where it starts.

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
        check_counts(self, horizon=1, num_iterations=1)
        check_numbers(self, penalty=(0.0, np.inf), noise=(0.0, np.inf), damping=(0.0, np.inf))

    @property
    def requires(self):
        return frozenset({"linearize"})

    def init(self, problem, state, *, key):
        check_requirements(self, problem)
        key, noise_key = jax.random.split(key)
        box = problem.action_space
        check_fits(self, box.size, "noise")
        actions = box.clip(box.rest + self.noise * box.half_range * white((self.horizon, box.size), key=noise_key))
        trajectory = ebm.Trajectory(problem.model.rollout(state, actions), actions, ebm.Now(0, box.rest, 0.0), problem.dt)
        tangent = eqx.filter_eval_shape(problem.model.linearize, trajectory).B.shape[-2]
        gain, memory = jnp.zeros((self.horizon, box.size, tangent)), jnp.zeros((self.horizon, box.size, box.size))
        sent = jnp.broadcast_to(box.rest, actions.shape)
        return ILQRState(Reference(actions, trajectory.states, gain, memory), sent, jnp.zeros(()), self.damping, key)

    def adopt(self, problem, plan_state, actions):
        last = plan_state.last
        last = Reference(problem.action_space.clip(actions), last.states, jnp.zeros_like(last.gain), jnp.zeros_like(last.memory))
        return eqx.tree_at(lambda s: (s.last, s.sent, s.phase), plan_state, (last, last.actions, jnp.zeros(())))

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
            return best, tried[best], ebm.pick(values.trajectory.states, best), ebm.pick((tried, values), rank(values).best)

        def improve(carry, _):
            actions, _, damping, *_ = carry
            trajectory = ebm.Trajectory(problem.model.rollout(state, actions), actions, now, problem.dt)
            tried, gain, memory = steps(problem, trajectory, unit, bounds, self.penalty, damping)
            best, actions, states, found = judge(tried)
            damping = jnp.clip(damping * jnp.where(best > 0, EASIER, HARDER), LEAST_DAMPING, MOST_DAMPING)
            return (actions, states, damping, gain, memory), found

        law = ebm.Feedback(jnp.zeros_like(start), last.gain, last.memory, bounds.low, bounds.high)
        corrected = problem.model.follow(ebm.Trajectory(last.states, last.actions, now, problem.dt), law, state)
        tried, guarded = jnp.stack([start, corrected]), bool(getattr(problem, "guardrails", ()))
        if guarded:
            tried = jnp.concatenate([tried, retreats(problem, plan_state.sent, whole, now)])
        _, *begin, found = judge(tried)
        carry = *begin, plan_state.damping, last.gain, last.memory
        (actions, states, damping, gain, memory), later = jax.lax.scan(improve, carry, length=self.num_iterations)
        # descent weighs violations against energy, and what is sent does not: it goes part of the way there
        found = jax.tree.map(lambda leaf, leaves: jnp.concatenate([leaf[None], leaves]), found, later)
        sent, value = ebm.pick(found, rank(found[1]).best)
        if guarded:
            sent, value = judge(on_the_way(problem, sent, actions, now))[-1]
        known = ebm.all_finite(state)
        good = value.finite & known
        gain, memory = (jnp.where(jnp.isfinite(x), x, 0.0) for x in (gain, memory))
        new = Reference(actions, states, gain, memory), jnp.minimum(damping, self.damping)
        # where the world was lost by what was planned, the next plan begins at rest
        rest = jnp.broadcast_to(problem.action_space.rest, start.shape)
        old = eqx.tree_at(lambda r: r.actions, last, jnp.where(known, problem.project(rest, now), start)), self.damping
        last, damping = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, old)
        plan = finish(state, jnp.where(good, sent, start), value)
        return plan, ILQRState(last, plan.actions, phase, damping, key)
