"""The loop around a planner: time, fallback, the NumPy shell, warming up."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners


def small_agent(**options):
    return planners.Agent(envs.pendulum(), planners.MPPI(horizon=8, num_samples=16, **options))


def test_time_counts_control_periods():
    agent = small_agent()
    memory = agent.init(key=jax.random.key(0))
    state = agent.problem.model.example_state()
    for elapsed, tick in ((None, 1), (0.05, 2), (0.15, 5), (0.02, 5), (0.03, 6), (0.125, 8), (0.125, 11), (0.0, 11), (np.nan, 12)):
        _, memory = agent.act(state, memory, elapsed=elapsed)
        assert int(memory.tick) == tick


@pytest.mark.parametrize("share", [1.0, 0.93, 0.2, 0.1])
def test_a_rate_limit_is_per_second_however_often_one_asks(share):
    rate, problem = 1.0, envs.pendulum()
    problem = ebm.Problem(problem.model, problem.energy, rate_limit=rate)
    agent = planners.Agent(problem, planners.MPPI(horizon=8, num_samples=16))
    state = envs.PendulumState(jnp.array(2.0), jnp.zeros(()))
    memory, sent, passed = agent.init(key=jax.random.key(0)), [0.0], [0.0]
    for _ in range(round(6 / share)):
        action, memory = agent.act(state, memory, elapsed=share * problem.dt)
        sent.append(float(action[0]))
        passed.append(passed[-1] + share * problem.dt)
    change, most = np.abs(np.diff(sent)), rate * problem.dt
    assert change.max() > 0.9 * most
    assert (np.cumsum(change) <= rate * np.array(passed[1:]) + 1.3 * most).all()  # one period's worth at once, and by a quarter early


def test_the_same_seed_gives_the_same_actions():
    first, again = (planners.Controller(small_agent(), seed=3) for _ in range(2))
    state = envs.pendulum().model.example_state()
    one = [first.predict(state) for _ in range(3)]
    two = [again.predict(state) for _ in range(3)]
    np.testing.assert_array_equal(one, two)
    before = first.agent.init(key=jax.random.key(0)).plan_state.key
    first.reset()
    assert first.plan is None
    assert first._state.plan_state.key != before
    assert isinstance(one[0], np.ndarray)
    assert int(first._state.tick) == 0


@pytest.mark.parametrize("engine", ["JAX", "C"])
def test_agents_side_by_side_act_as_each_would_alone(engine):
    keys = jax.random.split(jax.random.key(0), 3)
    agent, states = small_agent(), envs.PendulumState(jnp.array([0.5, 2.0, 3.0]), jnp.zeros(3))
    if engine == "C":
        problem: Any = envs.problem("PendulumSwingUp-v0")
        agent = planners.Agent(problem, planners.MPPI(horizon=8, num_samples=16))
        starts = [jax.tree.map(jnp.float32, problem.model.state(qpos=[angle])) for angle in (0.5, 2.0, 3.0)]
        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    memories = jax.vmap(lambda key: agent.init(key=key))(keys)
    together, _ = jax.jit(jax.vmap(agent.act))(states, memories)
    for i, key in enumerate(keys):
        alone, _ = agent.act(ebm.pick(states, i), agent.init(key=key))
        np.testing.assert_allclose(together[i], alone, rtol=1e-5, atol=1e-6)


def test_acting_does_not_compile_twice():
    agent = small_agent()
    traces = []

    class Counting(ebm.AbstractStageEnergy):
        def stage(self, state, action, previous_action, time):
            traces.append(1)
            return action[0] ** 2

        def final(self, state, time):
            return jnp.float32(0.0)

    agent = eqx.tree_at(lambda a: a.problem.energy, agent, Counting())
    memory = agent.init(key=jax.random.key(0))
    state = agent.problem.model.example_state()
    _, memory = agent.act(state, memory)
    once = len(traces)
    for _ in range(3):
        _, memory = agent.act(jax.tree.map(np.asarray, state), memory, elapsed=0.07)
    assert len(traces) == once


def test_a_model_says_how_it_is_compiled():
    class Stubborn(type(envs.pendulum().model)):
        @property
        def compiler_options(self):
            return {"xla_no_such_flag": True}

    agent = eqx.tree_at(lambda a: a.problem.model, small_agent(), Stubborn())
    with pytest.raises(Exception, match="xla_no_such_flag"):
        agent.init(key=jax.random.key(0))
    assert "xla_backend_optimization_level" in envs.cart_table().model.compiler_options


def test_plans_shift_by_whole_knots_whenever_they_come():
    basis = planners.Linear()
    from planners._basis import move_on, shift

    knots = jnp.sin(jnp.arange(12.0))[:, None]
    for steps in ([0.1] * 10, [0.05] * 20, [0.33, 0.17, 0.5], [1.0]):
        phase, moved = jnp.zeros(()), knots
        for elapsed in steps:
            whole, phase, positions = move_on(basis, 12, 12, 0.1, phase, jnp.asarray(elapsed))
            moved = shift(moved, whole)
        # one second later, the curve is the same curve: no amplitude is lost, and it has moved
        np.testing.assert_allclose(basis(moved, positions)[0], knots[10], atol=5e-3)


@pytest.mark.parametrize("basis", [planners.ZeroOrder(), planners.Linear(), planners.Cubic()])
@pytest.mark.parametrize("num_knots", [1, 2, 3, 5, 9])
def test_constants_stay_constant(basis, num_knots):
    positions = jnp.linspace(0.0, num_knots + 1.0, 17)
    np.testing.assert_allclose(basis(jnp.full((num_knots, 2), 3.0), positions), 3.0, atol=1e-5)
    knots = jnp.arange(num_knots, dtype=jnp.float32)[:, None] ** 2
    np.testing.assert_allclose(basis(knots, jnp.arange(float(num_knots))), knots, atol=1e-4)


def test_coloured_noise_has_unit_variance_and_its_colour():
    for exponent in (0.0, 1.0, 2.0, 3.0):
        for steps in (1, 2, 7, 16):
            series = planners.Coloured(exponent).noise((4000, steps, 2), key=jax.random.key(0))
            np.testing.assert_allclose(jnp.std(series, axis=0), 1.0, atol=0.05)
    white, red = (planners.Coloured(c).noise((4000, 16, 1), key=jax.random.key(1)) for c in (0.0, 2.0))
    assert abs(float(jnp.mean(white[:, 1:] * white[:, :-1]))) < 0.1
    assert float(jnp.mean(red[:, 1:] * red[:, :-1])) > 0.7


def test_warmup_chooses_noise_on_the_plan_model():
    agent, choice = planners.warmup(small_agent(), choose=True, noises=(0.01, 0.5), steps=10)
    assert choice is not None
    assert choice.energies.shape == (2,)
    assert float(agent.planner.noise) == float(choice.noise)
    assert float(choice.noise) == float(choice.noises[jnp.argmin(choice.energies)])
    same, nothing = planners.warmup(agent)
    assert nothing is None
    assert same is agent


def test_boltzmann_meets_its_target_at_every_scale():
    from planners._mppi import boltzmann

    energy = jax.random.normal(jax.random.key(0), (200,))
    for scale in (1e-4, 1.0, 1e4):
        weights = boltzmann(scale * energy + 7.0, jnp.float32(20.0))
        np.testing.assert_allclose(1.0 / jnp.sum(weights**2), 20.0, rtol=0.05)
    for wild in (1e4, 1e6, 1e20, 1e38):  # as where one candidate has flown away
        weights = boltzmann(energy.at[7].set(wild), jnp.float32(20.0))
        np.testing.assert_allclose(1.0 / jnp.sum(weights**2), 20.0, rtol=0.05)
        assert float(weights[7]) == 0.0
    few = jnp.full(200, jnp.inf).at[:3].set(jnp.array([1.0, 2.0, 3.0]))
    assert bool(jnp.all(boltzmann(few, jnp.float32(20.0))[3:] == 0.0))
    assert float(jnp.sum(boltzmann(jnp.full(4, jnp.inf), jnp.float32(2.0)))) == 0.0
    np.testing.assert_allclose(boltzmann(jnp.ones(8), jnp.float32(2.0)), 1 / 8, atol=1e-5)


def test_scaling_the_energy_changes_nothing():
    problem = envs.pendulum()
    planner = planners.MPPI(horizon=8, num_samples=32)
    state, now = problem.model.example_state(), ebm.Now(0, jnp.zeros(1), problem.dt)
    plans = []
    for scale in (0.01, 1.0, 100.0):
        scaled = eqx.tree_at(lambda p: p.energy, problem, scale * problem.energy)
        plan_state = planner.init(scaled, state, key=jax.random.key(0))
        plans.append(planner.plan(scaled, state, plan_state, now)[0].actions)
    np.testing.assert_allclose(plans[0], plans[1], atol=2e-2)
    np.testing.assert_allclose(plans[2], plans[1], atol=2e-2)
