import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import actions, assert_close, counted, slope, weak

import ebm
import envs

MODELS = [envs.Pendulum(), envs.CartPole()]
PROBLEMS = [envs.pendulum(), envs.cart_pole()]


def states(model, count, seed=0):
    values = np.random.default_rng(seed).uniform(-1.0, 1.0, (len(jax.tree.leaves(model.example_state())), count))
    return type(model.example_state())(*(scale * row for scale, row in zip((3.0, 4.0, 3.0, 4.0), values, strict=False)))


def planned(horizon=20, seed=0):
    return 2.0 * actions(horizon, seed)[:, :1]


def test_the_pendulum_is_gymnasiums():
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    model = envs.Pendulum()
    step = eqx.filter_jit(model.step)
    for angle, velocity, torque in generator.uniform([-np.pi, -8.0, -2.0], [np.pi, 8.0, 2.0], (100, 3)):
        env.state = np.array([angle, velocity])
        env.step(np.array([torque]))
        after = step(envs.PendulumState(angle, velocity), jnp.array([torque], jnp.float32))
        assert np.allclose([after.angle, after.velocity], env.state, rtol=1e-5, atol=1e-5)


def test_the_cart_pole_is_gymnasiums():
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    step = eqx.filter_jit(envs.CartPole().step)
    for row in generator.uniform([-2.0, -3.0, -3.0, -5.0, -10.0], [2.0, 3.0, 3.0, 5.0, 10.0], (100, 5)):
        env.state, env.steps_beyond_terminated, env.force_mag = row[:4], 1, row[4]
        env.step(1)
        after = step(envs.CartPoleState(*row[:4]), jnp.asarray(row[4:], jnp.float32))
        assert np.allclose([after.position, after.velocity, after.angle, after.spin], env.state, rtol=1e-5, atol=1e-5)


def test_the_action_box_is_gymnasiums():
    space = gymnasium.make("Pendulum-v1").action_space
    assert np.allclose([envs.Pendulum().action_space.low, envs.Pendulum().action_space.high], [space.low, space.high])
    assert envs.CartPole().action_space.high == gymnasium.make("CartPole-v1").unwrapped.force_mag


def test_a_free_pendulum_keeps_its_energy():
    model = envs.Pendulum(dt=1e-3)
    start = envs.PendulumState(2.0, 0.0)
    after = eqx.filter_jit(model.rollout)(start, jnp.zeros((2000, 1)))
    energy = after.velocity**2 / 6 + 0.5 * model.gravity * jnp.cos(after.angle)
    assert jnp.max(jnp.abs(energy - energy[0])) < 0.01 * jnp.max(after.velocity**2 / 6)


def test_a_free_cart_pole_keeps_its_energy_and_momentum():
    model = envs.CartPole(dt=2e-4)
    after = eqx.filter_jit(model.rollout)(envs.CartPoleState(0.0, 0.3, 2.0, 0.0), jnp.zeros((5000, 1)))
    moment = model.pole_mass * model.half_length
    momentum = (model.cart_mass + model.pole_mass) * after.velocity + moment * after.spin * jnp.cos(after.angle)
    kinetic = (
        0.5 * (model.cart_mass + model.pole_mass) * after.velocity**2
        + moment * after.velocity * after.spin * jnp.cos(after.angle)
        + 2 / 3 * moment * model.half_length * after.spin**2
    )
    energy = kinetic + moment * model.gravity * jnp.cos(after.angle)
    assert jnp.max(jnp.abs(momentum - momentum[0])) < 1e-3
    assert jnp.max(jnp.abs(energy - energy[0])) < 0.01 * (jnp.max(kinetic) - kinetic[0])


@pytest.mark.parametrize("model", MODELS)
def test_compiled_and_batched_worlds_are_the_same_worlds(model):
    many = states(model, 3)
    batch = jnp.stack([planned(seed=seed) for seed in range(3)])
    together = jax.jit(jax.vmap(model.rollout))(many, batch)
    looped = [model.rollout(jax.tree.map(lambda leaf, i=i: leaf[i], many), batch[i]) for i in range(3)]
    assert_close(together, jax.tree.map(lambda *leaves: jnp.stack(leaves), *looped), rtol=1e-4, atol=1e-4)
    assert not weak(together)


@pytest.mark.parametrize("model", MODELS)
def test_every_name_reads_a_vector_with_the_leading_axes(model):
    state = states(model, 3)
    for name in ("angle", "joint:pole", "velocity", "velocity:joint:pole"):
        assert state.read(name).shape == (3, 1)
    assert jnp.allclose(jnp.linalg.norm(state.read("up:body:pole"), axis=-1), 1.0)
    with pytest.raises(KeyError, match="velocity:joint:pole, up:body:pole"):
        state.read("joint:elbow")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_adjoint_gradient_is_the_slope_of_the_energy(problem):
    state = problem.model.step(problem.model.example_state(), jnp.ones(1))
    now, key = ebm.Now(0, [0.0]), jax.random.key(0)

    def energy(actions):
        return problem.evaluate(state, actions, now, key=key).energy

    assert jnp.allclose(jax.grad(energy)(planned(10)), slope(energy, planned(10)), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("model", MODELS)
def test_the_physics_is_differentiable(model):
    def end(gravity):
        return eqx.tree_at(lambda m: m.gravity, model, gravity).rollout(model.example_state(), planned()).angle[-1]

    assert jnp.allclose(jax.grad(end)(model.gravity), slope(end, model.gravity, 0.1), rtol=1e-2)


def test_new_physics_goals_and_states_do_not_retrace():
    evaluate, traces = counted(lambda problem, state: problem.evaluate(state, planned(), ebm.Now(0, [0.0]), key=jax.random.key(0)).energy)
    problem = envs.cart_pole()
    evaluate(problem, problem.model.example_state())
    evaluate(problem.with_goal(0.5, name="middle"), envs.CartPoleState(0.1, 0.0, 0.0, 0.0))
    evaluate(eqx.tree_at(lambda p: p.model.pole_mass, problem, jnp.float32(0.2)), problem.model.example_state())
    assert len(traces) == 1


@pytest.mark.parametrize("problem", PROBLEMS)
def test_upright_at_rest_is_the_best_place(problem):
    now, key, rest = ebm.Now(0, [0.0]), jax.random.key(0), jnp.zeros((5, 1))
    top = jax.tree.map(jnp.zeros_like, problem.model.example_state())
    best = problem.evaluate(top, rest, now, key=key)
    assert abs(best.energy) < 1e-4
    assert best.violation <= 0
    assert problem.evaluate(problem.model.example_state(), rest, now, key=key).energy > 0.1
