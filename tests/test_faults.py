"""Never a bad action: faults of every kind, for every planner on every engine, in batches; and the next good state recovers."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from lineup import FAMILIES, NAMES, build, has
from worlds import Learned

import ebm
import envs
import planners

LANES = 128  # faults of one kind in one compiled call
NEVER = 1e6
HUGE = 1e12
KINDS = ("nan state", "inf state", "nan energy", "inf energy", "-inf energy", "some nan", "all infeasible", "some infeasible", "diverging")
HOPELESS = {"nan state", "inf state", "nan energy", "inf energy", "-inf energy", "all infeasible", "diverging"}
CART = """
<mujoco>
  <option timestep="0.02"/>
  <worldbody>
    <body name="cart">
      <joint name="pole" type="hinge" axis="0 1 0"/><geom name="rod" size="0.02 0.2" type="capsule" pos="0 0 0.2" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="pole" ctrlrange="-2 2"/></actuator>
</mujoco>
"""
VARIANTS = {"usual": {"horizon": 4}, "horizon 1": {"horizon": 1}, "many knots": {"horizon": 3, "num_knots": 7}}


class Faulty(ebm.AbstractStageEnergy):
    """An energy that turns into `value` when the action exceeds `above`."""

    energy: ebm.AbstractStageEnergy
    above: jax.Array
    value: jax.Array

    def stage(self, state, action, previous_action, time):
        return jnp.where(action[0] > self.above, self.value, self.energy.stage(state, action, previous_action, time))

    def final(self, state, time):
        return self.energy.final(state, time)


@functools.cache
def model_on(engine):
    if engine in ("analytic", "learned"):
        return envs.Pendulum() if engine == "analytic" else Learned()
    model = mujoco.MjModel.from_xml_string(CART)
    return envs.MujocoModel(model) if engine == "c" else envs.MjxModel(model)


def world(engine, above=NEVER, value=0.0, limit=NEVER, half_range=2.0):
    box = (jnp.array([-half_range]), jnp.array([half_range]))
    model = eqx.tree_at(lambda m: (m.action_space.low, m.action_space.high), model_on(engine), box)
    energy = Faulty(ebm.Velocity("joint:pole", 1.0), jnp.float32(above), jnp.float32(value)) + 0.01 * ebm.Effort()
    return ebm.Problem(model, energy, ebm.KeepBelow("velocity:joint:pole", limit, name="limit"))


def broken(engine, kind, state):
    """A problem and a state with a fault of this kind."""
    value = {"nan energy": np.nan, "inf energy": np.inf, "-inf energy": -np.inf, "some nan": np.nan}
    above = -NEVER if kind in ("nan energy", "inf energy", "-inf energy") else 0.0 if kind == "some nan" else NEVER
    limit = {"all infeasible": -NEVER, "some infeasible": 0.0}.get(kind, NEVER)
    replace = {"nan state": np.nan, "inf state": np.inf, "diverging": np.inf if engine in ("analytic", "learned") else HUGE}
    if kind in replace:
        state = jax.tree.map(lambda leaf: jnp.full_like(leaf, replace[kind]), state)
    return world(engine, above, value.get(kind, 0.0), limit), state


def combinations():
    """The usual plans of every planner, and odd ones of one of each family; the rest when there is time."""
    for engine in ("analytic", "c", "learned", "mjx"):
        for name in NAMES:
            for variant in sorted(VARIANTS):
                if (variant != "many knots" or has(name, "num_knots")) and (engine != "mjx" or variant == "usual"):
                    quick = engine in ("analytic", "c") and (variant == "usual" or (engine == "analytic" and name in FAMILIES))
                    yield pytest.param(engine, name, variant, marks=() if quick else pytest.mark.slow)


@functools.cache
def trial(engine, name, variant):
    """A good plan, a faulty one, and a good one again, in `LANES` lanes; compiled once for all faults."""
    planner = build(name, num_samples=8, **VARIANTS[variant])

    @eqx.filter_jit
    def plan(problem, state, plan_states, tick, held):
        def lane(plan_state, held):
            plan, plan_state = planner.plan(problem, state, plan_state, ebm.Now(tick, held, 0.05))
            return plan.actions, plan.result, plan.energy, plan_state

        return jax.vmap(lane)(plan_states, held)

    def run(problem, bad_state, good_problem, good_state, keys):
        plan_states = jax.vmap(lambda key: planner.init(good_problem, good_state, key=key))(keys)
        first, _, _, plan_states = plan(good_problem, good_state, plan_states, jnp.array(0), jnp.zeros((LANES, 1)))
        bad, result, _, plan_states = plan(problem, bad_state, plan_states, jnp.array(1), first[:, 0])
        good, after, energy, _ = plan(good_problem, good_state, plan_states, jnp.array(2), bad[:, 0])
        return bad, result, good, after, energy

    return run


@pytest.mark.parametrize(("engine", "name", "variant"), list(combinations()))
def test_no_fault_leads_to_a_bad_action(engine, name, variant):
    run = trial(engine, name, variant)
    good_state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), model_on(engine).example_state())
    for i, kind in enumerate(KINDS):
        problem, state = broken(engine, kind, good_state)
        keys = jax.random.split(jax.random.key(i), LANES)
        actions, result, recovered, after, energy = run(problem, state, world(engine), good_state, keys)
        assert np.isfinite(actions).all(), kind
        assert (np.abs(actions) <= 2.0).all(), kind
        says = result == planners.RESULTS.successful
        if kind in HOPELESS:
            assert not bool(jnp.any(says)), kind
        assert np.isfinite(recovered).all(), kind
        assert np.isfinite(energy).all(), kind
        assert bool(jnp.all(after == planners.RESULTS.successful)), kind


@pytest.mark.parametrize("name", NAMES)
def test_a_box_with_equal_bounds_has_one_answer(name):
    planner = build(name, num_samples=8, **VARIANTS["usual"])
    problem = world("analytic", half_range=0.0)
    state = problem.model.example_state()
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    plan, _ = eqx.filter_jit(planner.plan)(problem, state, plan_state, ebm.Now(0, jnp.zeros(1), 0.05))
    np.testing.assert_array_equal(plan.actions, 0.0)


@pytest.mark.parametrize("engine", ["analytic", "c"])
def test_an_agent_says_what_happened_and_recovers(engine):
    agent = planners.Agent(world(engine), build("mppi", num_samples=8, **VARIANTS["usual"]))
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), model_on(engine).example_state())
    memory = agent.init(key=jax.random.key(0))
    for value in (np.nan, np.inf, -np.inf, HUGE):
        bad = jax.tree.map(lambda leaf, value=value: jnp.full_like(leaf, value), state)
        action, plan, memory = agent.decide(bad, memory)
        assert np.isfinite(action).all()
        assert (np.abs(action) <= 2.0).all()
        assert plan.result != planners.RESULTS.successful or engine == "analytic"
        action, plan, memory = agent.decide(state, memory, elapsed=value)
        assert np.isfinite(action).all()
        assert plan.result == planners.RESULTS.successful


def test_a_fallback_is_sent_when_no_plan_is_safe():
    agent = planners.Agent(
        world("c", limit=-NEVER), build("mppi", num_samples=8, **VARIANTS["usual"]), fallback=lambda state, now: jnp.array([-1.5])
    )
    memory = agent.init(key=jax.random.key(0))
    action, plan, memory = agent.decide(model_on("c").example_state(), memory)
    assert plan.result == planners.RESULTS.infeasible
    np.testing.assert_allclose(action, [-1.5])
    broken_fallback = eqx.tree_at(lambda a: a.fallback, agent, lambda state, now: jnp.array([jnp.nan]))
    action, _, _ = broken_fallback.decide(model_on("c").example_state(), memory)
    assert np.isfinite(action).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["analytic", "c", "learned"])
def test_ten_thousand_faults_a_pair(engine, name):
    run = trial(engine, name, "usual")
    good_state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), model_on(engine).example_state())
    rounds = -(-10_000 // (LANES * len(KINDS)))
    for i in range(rounds):
        for j, kind in enumerate(KINDS):
            problem, state = broken(engine, kind, good_state)
            keys = jax.random.split(jax.random.fold_in(jax.random.key(100 + i), j), LANES)
            actions, _, recovered, _, energy = run(problem, state, world(engine), good_state, keys)
            assert np.isfinite(actions).all()
            assert (np.abs(actions) <= 2.0).all()
            assert np.isfinite(recovered).all()
            assert np.isfinite(energy).all()
