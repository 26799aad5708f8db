"""Swinging up: the environments, and the linear-quadratic planner on MuJoCo's C engine."""

import warnings

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ebm
import envs
import planners

IDS = ("PendulumSwingUp-v0", "CartPoleSwingUp-v0")
SATELLITE = """
<mujoco>
  <option timestep="0.02" gravity="0 0 0"/>
  <worldbody>
    <body name="satellite">
      <freejoint name="root"/>
      <geom type="box" size="0.1 0.2 0.3" mass="1"/>
      <site name="centre"/>
    </body>
  </worldbody>
  <actuator>
    <general site="centre" gear="0 0 0 1 0 0" ctrllimited="true" ctrlrange="-0.2 0.2"/>
    <general site="centre" gear="0 0 0 0 1 0" ctrllimited="true" ctrlrange="-0.2 0.2"/>
    <general site="centre" gear="0 0 0 0 0 1" ctrllimited="true" ctrlrange="-0.2 0.2"/>
  </actuator>
</mujoco>
"""


def hanging(env_id, seed=0):
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=seed)
    return env


@pytest.mark.parametrize("env_id", IDS)
def test_the_environments_are_sound(env_id):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*symmetric and normalized.*")  # ours are N and N m
        check_env(hanging(env_id), skip_render_check=True)
    one, two = (hanging(env_id, 3) for _ in range(2))
    for action in np.linspace(-1.0, 1.0, 20):
        a, b = one.step([action]), two.step([action])
        np.testing.assert_array_equal(a[0], b[0])
    assert 0.0 <= a[1] < 0.2  # it still hangs


@pytest.mark.parametrize("env_id", [IDS[0], pytest.param(IDS[1], marks=pytest.mark.slow)])
def test_ilqr_swings_up_and_stays(env_id):
    env = hanging(env_id, 5)
    agent = planners.Agent(env.problem(), planners.ILQR(horizon=40, num_iterations=4), envs.FromGym(env))
    memory, history, truncated = agent.init(key=jax.random.key(0)), [], False
    while not truncated:
        action, memory = agent.act(None, memory)
        *_, truncated, info = env.step(np.asarray(action))
        history.append(info)
    assert env.success(history)
    assert not env.success(history[:-1])


def upright_problem(env_id, integrator):
    """Small errors around the upright equilibrium, quadratic in state and action."""
    env = hanging(env_id)
    env.mj_spec.option.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator}")
    energy = ebm.Posture("hinge", 0.0, tolerance=0.1) + ebm.Velocity("joint:hinge", tolerance=1.0) + 0.5 * ebm.Effort(1.0)
    if env_id.startswith("Cart"):
        energy = energy + ebm.Reach("joint:slider", 0.0, tolerance=0.5) + ebm.Velocity("joint:slider", tolerance=1.0)
    return ebm.Problem(envs.load(env.mj_spec, period=0.04), energy)


def regulator(problem):
    """The infinite-horizon gain, from the linearisation at rest upright."""
    model, dt = problem.model, problem.dt
    rest = jax.tree.map(ebm.to_float, model.state(qpos=np.zeros(model.mj_model.nq)))
    actions = jnp.zeros((1, 1))
    linear = model.linearize(ebm.Trajectory(model.rollout(rest, actions), actions, ebm.Now(0, jnp.zeros(1)), dt))
    a, b = np.asarray(linear.A[0], np.float64), np.asarray(linear.B[0], np.float64)

    def stage(x, u):
        return problem.energy.stage(model.move(rest, jax.tree.map(lambda leaf: leaf[0], linear.lift), x), u, u, jnp.float32(0.0)) * dt

    q = np.asarray(jax.hessian(stage)(jnp.zeros(a.shape[0]), jnp.zeros(1)), np.float64)
    r = np.asarray(jax.hessian(stage, argnums=1)(jnp.zeros(a.shape[0]), jnp.zeros(1)), np.float64)
    value = q
    for _ in range(3000):
        gain = np.linalg.solve(r + b.T @ value @ b, b.T @ value @ a)
        value = q + a.T @ value @ (a - b @ gain)
    return lambda state: -gain @ np.asarray(model.difference(rest, state), np.float64)


@pytest.mark.parametrize(
    ("env_id", "integrator"),
    [
        (IDS[1], "IMPLICITFAST"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((IDS[0], "IMPLICITFAST"), (IDS[0], "RK4"), (IDS[1], "RK4"))),
    ],
)
def test_near_the_equilibrium_ilqr_costs_what_riccati_says(env_id, integrator):
    problem = upright_problem(env_id, integrator)
    model, control, step = problem.model, regulator(problem), eqx.filter_jit(problem.model.step)
    qpos = np.zeros(model.mj_model.nq)
    qpos[-1] = 0.05
    start = jax.tree.map(ebm.to_float, model.state(qpos=qpos))
    first, later = (planners.ILQR(horizon=60, num_iterations=n, noise=0.0) for n in (30, 2))
    plan_state = first.init(problem, start, key=jax.random.key(0))
    _, plan_state = eqx.filter_jit(first.plan)(problem, start, plan_state, ebm.Now(0, jnp.zeros(1), 0.0))
    plan, costs = eqx.filter_jit(later.plan), []
    for planned in (False, True):
        state, actions = start, []
        for tick in range(100):
            if planned:
                held = actions[-1] if actions else jnp.zeros(1)
                found, plan_state = plan(problem, state, plan_state, ebm.Now(tick, held, problem.dt if actions else 0.0))
                action = found.actions[0]
            else:
                action = ebm.to_float(control(state))
            actions.append(action)
            state = step(state, action)
        costs.append(float(problem.evaluate(start, jnp.stack(actions), ebm.Now(0, jnp.zeros(1)), key=jax.random.key(0)).energy))
    assert costs[1] <= 1.01 * costs[0]
    assert costs[0] < 0.5 * float(problem.evaluate(start, jnp.zeros((100, 1)), ebm.Now(0, jnp.zeros(1)), key=jax.random.key(0)).energy)


def test_a_feedback_law_is_followed_as_step_by_step():
    spec = mujoco.MjSpec.from_string(SATELLITE)
    model = envs.load(spec, period=0.04)
    keys = jax.random.split(jax.random.key(0), 5)
    actions = model.action_space.sample((8,), key=keys[0])
    state = jax.tree.map(ebm.to_float, model.example_state())
    trajectory = ebm.Trajectory(model.rollout(state, actions), actions, ebm.Now(0, jnp.zeros(3)), model.dt)
    size = model.engine.layout.tangent
    law = ebm.Feedback(
        0.1 * jax.random.normal(keys[1], (8, 3)),
        0.5 * jax.random.normal(keys[2], (8, 3, size)),
        0.1 * jax.random.normal(keys[3], (8, 3, 3)),
        *jnp.broadcast_to(jnp.array([[[-0.2]], [[0.15]]]), (2, 8, 3)),
    )
    together = jax.jit(jax.vmap(lambda scale: model.follow(trajectory, eqx.tree_at(lambda f: f.change, law, scale * law.change))))
    for scale, sent in zip((0.5, 1.0), together(jnp.array([0.5, 1.0])), strict=True):
        scaled = eqx.tree_at(lambda f: f.change, law, scale * law.change)
        np.testing.assert_allclose(sent, ebm.AbstractWorldModel.follow(model, trajectory, scaled), atol=1e-5)
        assert float(sent.max()) <= 0.15 + 1e-6
    elsewhere = jax.tree.map(lambda leaf: leaf[3], trajectory.states)
    sent = eqx.filter_jit(model.follow)(trajectory, law, elsewhere)
    np.testing.assert_allclose(sent, ebm.AbstractWorldModel.follow(model, trajectory, law, elsewhere), atol=1e-5)
    assert float(jnp.abs(sent - model.follow(trajectory, law)).max()) > 0.01


def test_a_free_body_is_turned_to_where_it_should_look():
    spec = mujoco.MjSpec.from_string(SATELLITE)
    goal = np.array([np.cos(0.6), 0.0, np.sin(0.6), 0.0])  # 1.2 rad about y
    energy = (
        ebm.Orientation("body:satellite", goal, tolerance=0.2) + 0.1 * ebm.Velocity("joint:root", tolerance=1.0) + 0.01 * ebm.Effort(0.2)
    )
    problem = ebm.Problem(envs.load(spec, read=ebm.readings(energy)), energy)
    agent = planners.Agent(problem, planners.ILQR(horizon=50, num_iterations=3))
    state, memory, step = problem.model.example_state(), agent.init(key=jax.random.key(0)), eqx.filter_jit(problem.model.step)
    for _ in range(100):
        action, memory = agent.act(state, memory)
        state = step(state, action)
    quaternion = state.read("joint:root")[3:]
    assert 2.0 * float(jnp.arccos(jnp.clip(jnp.abs(jnp.dot(quaternion, goal)), 0.0, 1.0))) < 0.05
