"""Gradient descent on the actions, through the world model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

import ebm

from ._basis import AbstractBasis, Linear, move_on, shift, to_knots
from ._checks import check_counts, check_fits, check_kinds, check_numbers
from ._combine import AbstractCombination
from ._planner import AbstractPlanner, check_requirements, finish
from ._proposal import white
from ._rank import rank
from ._slope import direction


class GradientState(eqx.Module):
    """Knots of the last plan, how far time is past the first one (in knots), and a key."""

    knots: Float[Array, "knot action"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class GradientPlanner(AbstractPlanner):
    """Differentiate the energy with respect to the actions and descend, from several starts, projected to the box.

    Works wherever `Problem.evaluate` has a gradient: learned models, JAX physics, and MuJoCo's C engine by central differences. Starts
    whose gradient is not finite or explodes stand still; if that, or a gradient of exactly zero, is so at every start, the result says so.

    **Arguments:**

    - `horizon`, `num_knots`, `basis`: as for sampling planners.
    - `num_starts`: the moved-on last plan, and noisy copies of it.
    - `num_iterations`: gradient steps per plan.
    - `noise`: deviation of the noisy starts, as a fraction of half the box.
    - `learning_rate`: step size, as a fraction of half the box.
    - `optimiser`: any Optax transformation of gradients of unit length into a descent direction; default Adam's.
    - `penalty`: energy per mean positive violation while descending; the best plan is then chosen by rank, where guardrails are not traded.
    - `combine`: how the gradients of the energy's terms and of the violation become one, such as `PCGrad()`; by default their sum.

    LeCun 2022, "A path towards autonomous machine intelligence", section 3.1; Henaff et al. 2017, arXiv:1705.07177.
    """

    horizon: int = eqx.field(static=True, default=25)
    num_starts: int = eqx.field(static=True, default=4)
    num_iterations: int = eqx.field(static=True, default=10)
    num_knots: int | None = eqx.field(static=True, default=None)
    basis: AbstractBasis = Linear()
    noise: Float[Array, "*action"] = eqx.field(converter=ebm.to_float, default=0.3)
    learning_rate: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    optimiser: optax.GradientTransformation = eqx.field(
        static=True, default=optax.chain(optax.scale_by_adam(b2=0.99, eps=1e-3), optax.scale(-1.0))
    )
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=100.0)
    combine: AbstractCombination | None = None

    def __check_init__(self):
        check_counts(self, horizon=1, num_starts=1, num_iterations=1, num_knots=1)
        check_numbers(self, noise=(0.0, np.inf), learning_rate=(0.0, np.inf), penalty=(0.0, np.inf))
        check_kinds(self, basis=AbstractBasis, combine=AbstractCombination, optimiser=optax.GradientTransformation)

    @property
    def requires(self):
        return frozenset({"gradient"})

    @property
    def knots(self) -> int:
        """The number of control points."""
        return self.num_knots if self.num_knots is not None else self.horizon

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        box = problem.action_space
        check_fits(self, box.size, "noise")
        rest = box.rest
        return GradientState(jnp.broadcast_to(rest, (self.knots, box.size)), jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        knots = problem.action_space.clip(to_knots(self.basis, actions, self.knots))
        return eqx.tree_at(lambda s: (s.knots, s.phase), plan_state, (knots, jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, noise_key, world_key, combine_key = jax.random.split(plan_state.key, 4)
        whole, phase, positions = move_on(self.basis, self.horizon, self.knots, problem.dt, plan_state.phase, now.elapsed)
        last = shift(plan_state.knots, whole)
        box = problem.action_space
        unit = jnp.where(box.half_range > 0, box.half_range, 1.0)
        # a knot stays in the box of the step that is nearest to it: outside, nothing that it does has an effect, or a gradient
        nearest = jnp.argmin(jnp.abs(positions[:, None] - jnp.arange(self.knots)), axis=0)
        allowed = problem.bounds(now, self.horizon)
        low, high = ((end[nearest] - box.center) / unit for end in (allowed.low, allowed.high))

        def act(x):
            return problem.project(self.basis(box.center + unit * x, positions), now)

        def objective(x):
            actions = act(x)
            value = problem.evaluate(state, actions, now, key=world_key)
            parts = jnp.stack([*(value.terms[name] for name in sorted(value.terms)), self.penalty * value.mean_violation])
            return value.energy + parts[-1], (parts, (x, actions, value))

        def differentiate(x, key):
            if self.combine is None:
                (energy, (_, tried)), slope = jax.value_and_grad(objective, has_aux=True)(x)
                return energy, tried, slope
            energy, (_, tried) = objective(x)
            slopes = jax.jacrev(lambda x: objective(x)[1][0])(x)
            return energy, tried, self.combine(slopes.reshape(slopes.shape[0], -1), key=key).reshape(x.shape)

        def descend(carry, key):
            x, memory = carry
            keys = None if key is None else jax.random.split(key, self.num_starts)
            energy, tried, slope = jax.vmap(differentiate)(x, keys)
            slope, usable, useful = jax.vmap(direction)(slope, energy)
            step, memory = jax.vmap(self.optimiser.update)(slope, memory, x)
            step = jnp.asarray(step)
            x = jnp.clip(x + jnp.where(usable[:, None, None], self.learning_rate * step, 0.0), low, high)
            return (x, memory), (ebm.pick(tried, rank(tried[2]).best), jnp.any(useful))

        start = (last - box.center) / unit
        spread = self.noise * white((self.num_starts, *start.shape), key=noise_key).at[0].set(0.0)
        starts = jnp.clip(start + spread, low, high)
        begin = starts, jax.vmap(self.optimiser.init)(starts)
        keys = None if self.combine is None else jax.random.split(combine_key, self.num_iterations)
        (final, _), (best, useful) = jax.lax.scan(descend, begin, keys, length=self.num_iterations)
        last_tried = jax.vmap(lambda x: objective(x)[1][1])(final)
        tried = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), best, last_tried)
        x, actions, value = ebm.pick(tried, rank(tried[2]).best)
        good = value.finite & ebm.all_finite(state)
        plan = finish(state, jnp.where(good, actions, act(start)), value, jnp.any(useful))
        return plan, GradientState(jnp.where(good, box.center + unit * x, last), phase, key)
