"""Faults of many kinds at once, each lane its own, on three actuators in narrow boxes that move, of which one cannot be moved at all."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from lineup import build, quick_first
from worlds import Named

import ebm
import planners

LANES, HORIZON, NEVER = 256, 4, 1e6
LOW = np.array([[0.6, -3.0, 0.7], [0.9, -2.0, 0.7], [1.5, -1.2, 0.7], [0.5, -3.0, 0.7], [1.0, -1.5, 0.7]])
LIMITS = ebm.Box(LOW, LOW + np.array([0.3, 0.2, 0.0]))  # the first two periods' boxes and the third's have nothing in common
VALUES = np.array([np.nan, np.inf, -np.inf, 1e30, 1e38])


class Masses(ebm.AbstractWorldModel):
    """Three masses, each with its own motor."""

    action_space: ebm.Box = ebm.Box([0.5, -3.0, 0.7], [2.0, -1.0, 0.7])
    dt: float = eqx.field(static=True, default=0.1)

    def example_state(self):
        return Named(place=np.zeros(3), velocity__place=np.zeros(3))

    def step(self, state, action, latents=None):
        speed = state.read("velocity:place")
        speed = speed + self.dt * (action - 0.3 * speed)
        return eqx.tree_at(lambda s: s.values, state, {"place": state.read("place") + self.dt * speed, "velocity:place": speed})


class Fault(eqx.Module):
    """From which first action on the energy and the guardrail become a value, and where the guardrail's limit is."""

    energy_above: Float[Array, "*lane"]
    guardrail_above: Float[Array, "*lane"]
    value: Float[Array, "*lane"]
    limit: Float[Array, "*lane"]


class Wish(ebm.AbstractStageEnergy):
    """A goal, and a fault."""

    fault: Fault

    def stage(self, state, action, previous_action, time):
        wish = jnp.sum((state.read("place") - jnp.array([1.0, -1.0, 0.3])) ** 2) + 0.01 * jnp.sum(action**2)
        return jnp.where(action[0] > self.fault.energy_above, self.fault.value, wish)

    def final(self, state, time):
        return jnp.float32(0.0)


class Rail(ebm.AbstractGuardrail):
    """The first mass stays below a limit, and a fault."""

    fault: Fault
    scale: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1.0)
    name: str = eqx.field(static=True, default="rail")

    def stage(self, state, action, previous_action, time):
        above = action[0] > self.fault.guardrail_above
        return jnp.where(above, self.fault.value, state.read("place")[0] - self.fault.limit)


def posed(fault):
    return ebm.Problem(Masses(), Wish(fault), Rail(fault), rate_limit=[4.0, np.inf, 4.0], limits=LIMITS)


def draw(rng):
    """For every lane a fault, or two, and when: the state or the action before may be no numbers, nor the time that has passed."""

    def some(share, broken, usual):
        return np.where(rng.random(np.shape(usual)) < share, broken, usual).astype(np.float32)

    value = rng.choice(VALUES, LANES)
    still, spread = np.zeros((LANES, 3)), np.broadcast_to(value[:, None], (LANES, 3))
    state = Named(place=some(0.1, spread, still), velocity__place=some(0.05, spread, still))
    above = rng.choice([-NEVER, 0.9], LANES)
    never = np.full(LANES, NEVER)
    fault = Fault(some(0.2, above, never), some(0.2, above, never), value.astype(np.float32), some(0.2, rng.choice(VALUES, LANES), never))
    held = some(0.2, value[:, None], np.tile([1.0, -1.5, 0.7], (LANES, 1)))
    elapsed = some(0.2, rng.choice([*VALUES, -1.0], LANES), np.full(LANES, 0.1))
    tick = np.where(rng.random(LANES) < 0.2, rng.choice([2**24 + 3, 2**31 - 10, 10**9], LANES), rng.integers(0, 9, LANES))
    return jax.tree.map(jnp.asarray, (fault, state, ebm.Now(tick.astype(np.int32), held, elapsed)))


@pytest.mark.parametrize("name", quick_first())
def test_no_mixture_of_faults_leads_to_a_bad_action(name):
    planner = build(name, horizon=HORIZON, num_samples=8, width=4)
    good = jax.tree.map(jnp.float32, Fault(NEVER, NEVER, 0.0, NEVER))  # pyright: ignore[reportArgumentType]
    start = Masses().example_state()

    @eqx.filter_jit
    def plan(faults, states, plan_states, moments):
        def lane(fault, state, plan_state, now):
            problem = posed(fault)
            plan, plan_state = planner.plan(problem, state, plan_state, now)
            bounds = problem.bounds(now, HORIZON)
            inside = (plan.actions >= bounds.low) & (plan.actions <= bounds.high)
            kept = jnp.all(jnp.abs(problem.project(plan.actions, now) - plan.actions) < 1e-6)
            return jnp.all(inside) & kept & ebm.all_finite(plan.actions), plan.result, plan.energy, plan_state

        return jax.vmap(lane)(faults, states, plan_states, moments)

    def repeat(tree):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (LANES, *jnp.shape(leaf))), tree)

    plan_states = jax.vmap(lambda key: planner.init(posed(good), start, key=key))(jax.random.split(jax.random.key(0), LANES))
    rng, after = np.random.default_rng(0), ebm.Now(jnp.int32(3), jnp.array([1.0, -1.5, 0.7]), jnp.float32(0.1))
    for _ in range(3):
        faults, states, moments = draw(rng)
        fine, result, _, plan_states = plan(faults, states, plan_states, moments)
        assert bool(jnp.all(fine))
        assert 0.2 < float(jnp.mean(result == planners.RESULTS.successful)) < 0.8  # some faults are harmless
        fine, result, energy, _ = plan(repeat(good), repeat(start), plan_states, repeat(after))
        assert bool(jnp.all(fine))
        assert bool(jnp.all((result == planners.RESULTS.successful) | (result == planners.RESULTS.bad_gradient)))
        assert bool(jnp.all(jnp.isfinite(energy)))
