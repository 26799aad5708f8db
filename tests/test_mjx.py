"""MJX agrees with the C engine: same states, same sensors."""

import re
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import ARM, CONTACT, PUSH, SCENES, begin, build, drive, relative

import ebm
import envs

pytest.importorskip("mujoco.mjx", reason="MJX comes with the extra `mjx`")
pytestmark = pytest.mark.slow
# MJX knows neither intvelocity's clamp on a muscle's tendon nor impratio in a pyramid; what it lacks is refused by name.
WORLDS = SCENES | {"push": PUSH.replace('cone="elliptic" impratio="5"', 'cone="pyramidal" iterations="20"')}
SECONDS = 0.2  # over which contact stays comparable


def pair(scene, skip=1):
    c = build(WORLDS[scene], skip)
    return c, envs.MjxModel.of(c)


@pytest.mark.parametrize("scene", SCENES)
def test_rollouts_of_c_and_mjx_agree(scene):
    c, x = pair(scene, 2)
    horizon = round(SECONDS / c.dt)
    state, actions = begin(c), drive(c, horizon)
    a, b = eqx.filter_jit(c.rollout)(state, actions), eqx.filter_jit(x.rollout)(state, actions)
    accuracy = 1e-2 if scene in CONTACT else 1e-4
    assert jax.tree.structure(a.physics) == jax.tree.structure(b.physics)
    for leaf in ("physics", "inputs", "sensors"):
        ours, theirs = getattr(a, leaf), getattr(b, leaf)
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(theirs[0], getattr(state, leaf))
    assert relative(b.physics, a.physics) < accuracy
    early = np.setdiff1d(np.arange(a.sensors.shape[1]), c.engine.layout.late_sensors)
    for name, span in c.engine.layout.spans.items():
        if span.leaf == "sensors":
            rough = 10 if span.start not in early and scene in CONTACT else 1
            assert relative(b.read(name), a.read(name)) < 3 * rough * accuracy, name


@pytest.mark.parametrize("scene", ["arm", "rk4", "free"])
def test_sensors_describe_their_own_state(scene):
    c, x = pair(scene, 3)
    states = eqx.filter_jit(x.rollout)(begin(c), drive(c, 4))
    late = c.engine.layout.late_sensors
    early = np.setdiff1d(np.arange(states.sensors.shape[1]), late)
    for t in range(1, 5):
        one = jax.tree.map(lambda leaf, t=t: np.asarray(leaf[t], float), states)
        np.testing.assert_allclose(one.sensors[early], c.engine.sense(one.physics, one.inputs)[early], rtol=1e-4, atol=1e-4)
    assert np.abs(states.sensors[1:, late]).max() > 1.0  # accelerations are sensed, even without constraints


def test_time_inputs_and_mocap_are_those_of_the_c_engine():
    c, x = pair("keeps")
    state = c.state(time=1e5, mocap_pos=[0.52, 0.03, 0.62], xfrc_applied=0.01 * np.ones((c.mj_model.nbody, 6)))
    actions = drive(c, 10)
    a, b = c.rollout(state, actions), eqx.filter_jit(x.rollout)(state, actions)
    np.testing.assert_allclose(a.time, b.time, rtol=1e-7)
    np.testing.assert_allclose(a.read("sensor:clock")[1:], b.read("sensor:clock")[1:], rtol=1e-7)
    assert relative(b.qpos, a.qpos) < 1e-4
    assert relative(x.state().sensors, c.state().sensors) == 0.0


def test_jit_vmap_and_scanned_step_agree():
    _, x = pair("arm")
    state = jax.tree.map(jnp.asarray, begin(x_to_c(x)))
    actions = jnp.stack([drive(x_to_c(x), 5, seed) for seed in range(3)])
    together = jax.jit(jax.vmap(lambda state, actions: x.rollout(state, actions), (None, 0)))(state, actions)
    for i in range(3):
        alone = eqx.filter_jit(x.rollout)(state, actions[i])
        np.testing.assert_allclose(together.physics[i], alone.physics, rtol=1e-5, atol=1e-5)
    stepped, _ = jax.lax.scan(lambda state, action: (x.step(state, action),) * 2, state, actions[0])
    np.testing.assert_allclose(stepped.physics, together.physics[0, -1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stepped.sensors, together.sensors[0, -1], rtol=1e-3, atol=1e-3)
    assert envs.MjxModel.of(build(ARM)).worlds == x.worlds


def x_to_c(x):
    return envs.MujocoModel(x.mj_model, period=x.dt)


def test_derivatives_agree_with_the_c_engine():
    c, x = pair("arm", 2)
    state, actions = jax.tree.map(jnp.asarray, begin(c)), jnp.asarray(drive(c, 4))

    def energy(model, actions):
        return jnp.sum(model.rollout(state, actions).sensors[1:] ** 2) * 1e-3

    expected = jax.grad(lambda actions: energy(c, actions))(actions)
    np.testing.assert_allclose(
        jax.grad(lambda actions: energy(x, actions))(actions), expected, rtol=2e-3, atol=1e-3 * np.abs(expected).max()
    )
    trajectory = ebm.Trajectory(c.rollout(state, actions), actions, ebm.Now(0, actions[0]), c.dt)
    a, b = c.linearize(trajectory), eqx.filter_jit(x.linearize)(trajectory)
    for ours, theirs in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(theirs, ours, atol=1e-3 * max(1.0, np.abs(ours).max()))


LIMITED = ARM.replace('name="elbow" axis', 'name="elbow" range="-20 20" axis').replace("<option", '<option iterations="10"')


def test_reverse_mode_through_the_solver_raises_the_remedy_and_forward_mode_works():
    c = build(LIMITED)
    x = envs.MjxModel.of(c)
    state, actions = jax.tree.map(jnp.asarray, c.state(qpos=[0.0, 0.36])), jnp.asarray(drive(c, 2))

    def energy(model):
        return lambda actions: jnp.sum(model.rollout(state, actions).qvel[-1])

    with pytest.raises(NotImplementedError, match=r'C engine.*jacfwd.*iterations="1"'):
        jax.jit(jax.grad(energy(x)))(actions)
    forward, expected = jax.jit(jax.jacfwd(energy(x)))(actions), jax.grad(energy(c))(actions)
    np.testing.assert_allclose(forward, expected, atol=1e-2 * np.abs(expected).max())
    once = envs.MjxModel(mujoco.MjModel.from_xml_string(LIMITED.replace('iterations="10"', 'iterations="1"')), period=c.dt)
    assert np.isfinite(np.asarray(jax.jit(jax.grad(energy(once)))(actions))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_what_breaks_is_marked(value):
    c, x = pair("arm")
    run = jax.jit(jax.vmap(lambda state, actions: x.rollout(state, actions), (0, 0)))
    good, bad = c.state(), c.state(qpos=[value, 0.0])
    batch = jax.tree.map(lambda a, b: jnp.stack([jnp.asarray(leaf, jnp.float32) for leaf in (a, b, a)]), good, bad)
    actions = np.stack([drive(c, 3)] * 3)
    actions[2, 1, 0] = np.inf
    states = run(batch, actions)
    finite = np.isfinite(np.asarray(states.physics)).all(-1)
    np.testing.assert_array_equal(finite[:, 1:], [[True, True, True], [False, False, False], [True, False, False]])


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (PUSH.replace('type="sphere" size="0.05"', 'type="ellipsoid" size="0.05 0.06 0.05"'), "cannot run this model.*C engine"),
        (ARM.replace('integrator="Euler"', 'integrator="implicit"'), "cannot run this model.*C engine"),
    ],
)
def test_models_that_mjx_cannot_run_are_refused(xml, message):
    with pytest.raises(NotImplementedError, match=message):
        envs.MjxModel(mujoco.MjModel.from_xml_string(xml))


def test_factors_on_parameters_are_not_lost_silently():
    with pytest.raises(ValueError, match="MJX has no factors on physics parameters"):
        envs.MjxModel.of(build(ARM, parameters={"mass": 1.3}))


def test_load_makes_one():
    model = envs.load("Reacher-v5", engine="mjx")
    assert isinstance(model, envs.MjxModel)
    states = eqx.filter_jit(model.rollout)(model.example_state(), jnp.zeros((2, 2)))
    assert np.isfinite(np.asarray(states.physics)).all()


def test_without_mjx_the_error_names_the_extra():
    script = "import sys; sys.modules['mujoco.mjx'] = None\nimport envs\ntry: envs.MjxModel\nexcept ImportError as e: print(e)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert re.search(r"energy-planning\[mjx\]", run.stdout), run.stdout + run.stderr


def test_importing_envs_leaves_mjx_alone():
    script = "import sys, envs; print('mujoco.mjx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120).stdout.strip() == "False"
