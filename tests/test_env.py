import warnings

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ebm
import envs

ARM = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="2 2 .1"/>
    <body name="arm" pos="0 0 1">
      <joint name="shoulder" axis="0 1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.03" rgba="0.8 0.3 0.2 1"/>
      <site name="tip" pos="0.4 0 0"/>
    </body>
  </worldbody>
  <actuator><motor name="torque" joint="shoulder" ctrlrange="-1 1"/></actuator>
  <keyframe><key name="down" qpos="1.5"/><key qpos="-1"/></keyframe>
</mujoco>
"""


def arm(**options):
    return envs.MjcfEnv(mujoco.MjSpec.from_string(ARM), **options)


def film(env, seed, steps=20):
    env.action_space.seed(seed)
    first, _ = env.reset(seed=seed)
    return np.stack([first, *(env.step(env.action_space.sample())[0] for _ in range(steps))])


def test_gymnasium_has_nothing_to_say(tmp_path):
    (tmp_path / "arm.xml").write_text(ARM)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(arm(render_mode="rgb_array", view={"width": 32, "height": 24}), skip_render_check=True)
        check_env(envs.MjcfEnv(tmp_path / "arm.xml", keyframe="down", seconds=1.0), skip_render_check=True)
    assert not [str(warning.message) for warning in caught]


def test_a_seed_decides_an_episode():
    assert (film(arm(), 3) == film(arm(), 3)).all()


def test_the_plant_is_the_world_model_of_itself():
    env = arm(keyframe="down", period=0.02)
    model = envs.load(env, read=("site:tip",))
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 1)).astype(np.float32)
    imagined = model.rollout(model.state(env.data), actions)
    for t, action in enumerate(actions, start=1):
        env.step(action)
        assert np.allclose(env.data.qpos, imagined.qpos[t], atol=1e-5)
        assert np.allclose(env.data.site("tip").xpos, imagined.read("site:tip")[t], atol=1e-5)
    assert model.dt == env.dt == 0.02


def test_an_episode_starts_where_it_is_told():
    env = arm()
    assert env.reset(options={"keyframe": "down"})[0][0] == 1.5
    assert env.reset(options={"keyframe": 1})[0][0] == -1
    assert (env.reset(options={"keyframe": 1, "qpos": [0.3], "qvel": [0.1]})[0] == [0.3, 0.1]).all()
    assert env.reset()[0][0] == 0
    assert arm(keyframe="down").reset()[0][0] == 1.5


def test_actions_are_clipped_into_the_box():
    one, far = arm(), arm()
    assert (one.reset()[0] == far.reset()[0]).all()
    assert (one.step([1.0])[0] == far.step([np.inf])[0]).all()


def test_an_episode_ends_by_the_clock():
    env = arm(seconds=0.1)
    env.reset()
    assert [env.step([0.0])[3] for _ in range(5)] == [False] * 4 + [True]


def test_a_world_that_diverges_ends_its_episode():
    env = arm()
    env.reset(options={"qvel": [1e11]})
    observation, _, terminated, _, info = env.step([0.0])
    assert terminated
    assert info["diverged"]
    assert np.isfinite(observation).all()


def test_pictures_need_no_window():
    env = arm(render_mode="rgb_array", view={"width": 64, "height": 48})
    env.reset()
    before = env.render()
    for _ in range(20):
        env.step([1.0])
    assert before.shape == (48, 64, 3)
    assert (env.render() != before).any()
    with pytest.warns(UserWarning, match="render_mode"):
        assert arm().render() is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arm().step([np.nan]), "`action` must be 1 number"),
        (lambda: arm().step([0.0, 1.0]), "`action` must be 1 number"),
        (lambda: arm().reset(options={"speed": 1}), "has no 'speed'"),
        (lambda: arm().reset(options={"qpos": [1.0, 2.0]}), "`qpos` must be 1 finite"),
        (lambda: arm().reset(options={"keyframe": "up"}), "no keyframe 'up': this model has down, 1"),
        (lambda: arm(keyframe=7), "no keyframe 7"),
        (lambda: arm(render_mode="human"), "`render_mode` must be"),
        (lambda: arm(seconds=0), "`seconds` must be positive"),
        (lambda: arm(period=0.0123), "`period` must be a positive multiple"),
        (lambda: arm(action_space=ebm.Box([0.0, 0.0], [1.0, 1.0])), "one entry for each of 1 actuators"),
        (lambda: envs.MjcfEnv(mujoco.MjSpec.from_string(ARM.replace('ctrlrange="-1 1"', ""))), "torque has no `ctrlrange`"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no\.xml"):
        envs.MjcfEnv("no.xml")


def test_the_base_class_is_a_gymnasium_environment_that_needs_a_task():
    assert isinstance(arm(), gymnasium.Env)
    with pytest.raises(TypeError, match="abstract"):
        envs.AbstractMujocoEnv(mujoco.MjSpec.from_string(ARM))
