"""Anything with physics in it becomes a model, and what does not says what to do."""

import copy
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv
from scenes import ARM, FREE, build, relative

import ebm
import envs

ENVIRONMENTS = [
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
]
URDF = """
<robot name="arm">
  <link name="base"/>
  <link name="arm">
    <inertial><origin xyz="0.2 0 0"/><mass value="1"/><inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial>
  </link>
  <joint name="hinge" type="revolute">
    <parent link="base"/><child link="arm"/><axis xyz="0 1 0"/><limit lower="-2" upper="2" effort="5" velocity="5"/>
  </joint>
</robot>
"""


@pytest.fixture
def mjcf(tmp_path):
    path = tmp_path / "arm.xml"
    path.write_text(ARM)
    return path


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_the_model_of_an_environment_does_what_the_environment_does(env_id):
    with gymnasium.make(env_id) as env:
        env.reset(seed=0)
        env.action_space.seed(0)
        model = envs.load(env)
        inner = env.unwrapped
        assert model.dt == pytest.approx(inner.dt)
        np.testing.assert_allclose(model.action_space.low, env.action_space.low, rtol=1e-6)
        for _ in range(5):
            action = env.action_space.sample()
            state = model.state(inner.data)
            env.step(action)
            after = model.step(state, jnp.asarray(action))
            assert relative(after.qpos, inner.data.qpos) < 1e-5
            assert relative(after.qvel, inner.data.qvel) < 1e-5


def test_a_path_a_spec_an_id_and_an_environment_are_all_plants(mjcf):
    by_path, by_string = envs.load(mjcf), envs.load(str(mjcf))
    by_spec = envs.load(mujoco.MjSpec.from_string(ARM))
    assert by_path.mj_model.nv == by_string.mj_model.nv == by_spec.mj_model.nv == 2
    assert by_path.dt == pytest.approx(0.02)
    assert envs.load(mjcf, period=0.05).dt == pytest.approx(0.05)
    with gymnasium.make("Reacher-v5") as env:
        assert envs.load(env).engine == envs.load("Reacher-v5").engine
        assert envs.load(gymnasium.wrappers.TimeAwareObservation(env)).engine == envs.load(env).engine
        assert envs.load(env, period=0.05).dt == pytest.approx(0.05)


def test_a_wrapper_that_changes_what_actions_mean_is_refused():
    with gymnasium.make("Reacher-v5") as env:
        for wrapper in (
            gymnasium.wrappers.RescaleAction(env, np.float32(-2.0), np.float32(5.0)),
            gymnasium.wrappers.TransformAction(env, lambda action: -action, env.action_space),
        ):
            with pytest.raises(ValueError, match="unwrapped"):
                envs.problem(gymnasium.wrappers.TimeLimit(wrapper, 10))
        assert envs.load(gymnasium.wrappers.ClipAction(env)).action_space.size == 2


def test_an_environment_that_load_made_is_closed_and_a_given_one_stays_open(monkeypatch):
    closed = []
    close = MujocoEnv.close
    monkeypatch.setattr(MujocoEnv, "close", lambda self: (closed.append(self), close(self))[1])
    with gymnasium.make("Reacher-v5") as env:
        envs.load(env)
        assert not closed
        envs.load("Reacher-v5")
        assert len(closed) == 1


def test_frame_skip_and_changed_physics_are_carried_over():
    with gymnasium.make("HalfCheetah-v5", frame_skip=3) as env:
        env.reset(seed=0)
        inner = env.unwrapped.model
        inner.body_mass *= 1.3
        inner.opt.gravity[2] = -5.0
        inner.opt.ls_iterations = 7
        inner.geom_contype[2] = 0
        model = envs.load(env, read=("com:torso",))
        np.testing.assert_array_equal(model.mj_model.body_mass, inner.body_mass)
        np.testing.assert_array_equal(model.mj_model.geom_contype, inner.geom_contype)
        assert model.mj_model.opt.ls_iterations == 7
        assert model.dt == pytest.approx(3 * inner.opt.timestep)
        state, action = model.state(env.unwrapped.data), env.action_space.sample()
        env.step(action)
        assert relative(model.step(state, jnp.asarray(action)).qpos, env.unwrapped.data.qpos) < 1e-5


def test_a_spec_is_left_as_it_was(mjcf):
    spec = mujoco.MjSpec.from_string(ARM)
    before = len(spec.sensors)
    envs.load(spec, read=("body:lower",))
    assert len(spec.sensors) == before


READINGS = {
    "site:tip": lambda d: d.site("tip").xpos,
    "body:lower": lambda d: d.body("lower").xpos,
    "geom:lower": lambda d: d.geom("lower").xpos,
    "com:upper": lambda d: d.body("upper").subtree_com,
    "up:body:lower": lambda d: d.body("lower").xmat.reshape(3, 3)[:, 2],
    "orientation:body:lower": lambda d: d.body("lower").xquat,
}


def test_readings_are_what_their_names_say():
    extra = ("velocity:site:tip", "spin:body:lower", "velocity:com:upper", "joint:elbow", "velocity:joint:elbow", "sensor:gyro")
    model = envs.load(mujoco.MjSpec.from_string(ARM), read=(*READINGS, *extra))
    data = mujoco.MjData(model.mj_model)
    data.qpos[:], data.qvel[:] = [0.3, -0.7], [1.0, -2.0]
    mujoco.mj_forward(model.mj_model, data)
    state = model.state(data)
    for name, expected in READINGS.items():
        np.testing.assert_allclose(state.read(name), expected(data), atol=1e-6)
    np.testing.assert_allclose(state.read("velocity:joint:elbow"), [-2.0])
    np.testing.assert_allclose(state.read("spin:body:lower"), [0.0, -1.0, 0.0], atol=1e-6)
    later = copy.copy(data)
    mujoco.mj_integratePos(model.mj_model, later.qpos, data.qvel, 1e-6)
    mujoco.mj_forward(model.mj_model, later)
    for name, place in (("velocity:site:tip", "site:tip"), ("velocity:com:upper", "com:upper")):
        moved = READINGS[place](later) - READINGS[place](data)
        np.testing.assert_allclose(state.read(name), moved / 1e-6, atol=1e-4)


def test_names_may_have_colons_of_their_own():
    renamed = ARM.replace('"tip"', '"r:tip"').replace('"elbow"', '"r:elbow"').replace('"lower"', '"r:lower"')
    read = ("site:r:tip", "velocity:site:r:tip", "body:r:lower", "joint:r:elbow", "velocity:joint:r:elbow")
    model = envs.load(mujoco.MjSpec.from_string(renamed), read=read)
    for name in read:
        model.state().read(name)


@pytest.mark.parametrize("name", ["orientation:joint:elbow", "mocap:lower", "spin:mocap:lower", "up:sensor:gyro"])
def test_what_there_is_not_of_a_thing_is_refused(name):
    with pytest.raises(ValueError, match=name):
        envs.load(mujoco.MjSpec.from_string(ARM), read=(name,))


def test_what_an_energy_reads_can_be_loaded_for_it():
    energy = ebm.Reach("site:tip", [0.1, 0.0, 0.2]) + 0.1 * ebm.Velocity("site:tip", [0.0, 0.0, 0.0]) + ebm.Upright("body:lower")
    model = envs.load(mujoco.MjSpec.from_string(ARM), read=ebm.readings(energy))
    problem = ebm.Problem(model, energy)
    assert np.isfinite(problem.evaluate(model.state(), jnp.zeros((3, 2)), ebm.Now(0, np.zeros(2)), key=jax.random.key(0)).energy)


def test_urdf_loads_once_it_has_actuators(tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(URDF)
    with pytest.raises(ValueError, match=r"no actuators.*add_actuator.*URDF"):
        envs.load(path)
    spec = mujoco.MjSpec.from_file(str(path))
    spec.add_actuator(name="hinge", target="hinge", trntype=mujoco.mjtTrn.mjTRN_JOINT, ctrllimited=1, ctrlrange=[-5, 5])
    model = envs.load(spec)
    assert model.action_space.size == 1
    assert np.isfinite(np.asarray(model.rollout(model.state(), jnp.ones((3, 1))).qpos)).all()


WRONG = [
    (lambda p: "no/such/arm.xml", {}, FileNotFoundError, r"no model file 'no/such/arm.xml'"),
    (lambda p: "Reacher", {}, FileNotFoundError, r"no model file 'Reacher'.*Did you mean 'Reacher-v"),
    (lambda p: "Raecher-v5", {}, ValueError, r"no environment 'Raecher-v5'.*Reacher-v5"),
    (lambda p: "CartPole-v1", {}, ValueError, r"CartPole-v1 is not a MuJoCo environment.*Reacher-v5"),
    (lambda p: p("<mujoco><worldbody>"), {}, ValueError, r"cannot be read as a MuJoCo model"),
    (lambda p: p("<mujoco><worldbody><body/></worldbody></mujoco>"), {}, ValueError, r"no actuators"),
    (lambda p: p(ARM.replace('joint="shoulder"', 'joint="sholder"')), {}, ValueError, r"(cannot be read|does not compile).*sholder"),
    (lambda p: p(ARM.replace(' ctrlrange="-6 6"', "")), {}, ValueError, r"shoulder has no `ctrlrange`.*action_space="),
    (lambda p: p(ARM), {"read": ("site:tup",)}, ValueError, r"'site:tup'.*did you mean 'tip'"),
    (lambda p: p(ARM), {"read": ("tip",)}, ValueError, r"'tip' is not a reading. Did you mean 'sensor:tip'.*'site:tip'"),
    (lambda p: p(ARM), {"read": ("sites:tip",)}, ValueError, r"'sites:tip' is not a reading"),
    (lambda p: p(ARM), {"period": 0.015}, ValueError, r"`period` must be a positive multiple of the timestep 0.01 s, got 0.015 s"),
    (lambda p: p(ARM), {"parameters": {"mas": 1.0}}, ValueError, r"Unknown physics parameter 'mas'"),
    (lambda p: p(ARM), {"parameters": {"mass:lowr": 1.0}}, ValueError, r"'mass:lowr'.*did you mean 'lower'"),
]


@pytest.mark.parametrize(("make", "options", "kind", "message"), WRONG)
def test_bad_input_gets_one_line_that_names_the_remedy(make, options, kind, message, tmp_path, capfd):
    def write(text):
        path = tmp_path / "model.xml"
        path.write_text(text)
        return path

    with pytest.raises(kind, match=message) as caught:
        envs.load(make(write), **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert capfd.readouterr().out == ""


def test_a_wrong_type_says_where_it_belongs():
    unchecked = getattr(envs.load, "__wrapped__", envs.load)
    with pytest.raises(TypeError, match=r"path, an MjSpec, an environment or its id.*MjModel.*MujocoModel"):
        unchecked(build(FREE).mj_model)


def test_an_engine_is_c_or_mjx():
    unchecked = getattr(envs.load, "__wrapped__", envs.load)
    with pytest.raises(ValueError, match="'c' or 'mjx'"):
        unchecked("Reacher-v5", engine="warp")
    with pytest.raises(ValueError, match="need the C engine"):
        envs.load("Reacher-v5", engine="mjx", parameters={"mass": 1.0})


def test_a_read_of_one_name_may_be_a_string(tmp_path: Path):
    assert "site:tip" in envs.load(mujoco.MjSpec.from_string(ARM), read="site:tip").engine.layout.spans
