"""Scenes to act in: left alone they go as their films do, and a push changes what happens."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs import cradle
from envs.cradle._physics import simulate
from envs.cradle._picture import shoot


def play(env, push, **reset):
    picture, info = env.reset(**reset)
    pictures, infos, over = [picture], [info], False
    while not over:
        picture, reward, terminated, over, info = env.step(push)
        assert (reward, terminated) == (0.0, False)
        pictures.append(picture)
        infos.append(info)
    return np.stack(pictures), infos


@pytest.mark.parametrize(("concept", "mode"), [(concept, mode) for concept in cradle.CONCEPTS for mode in cradle.modes(concept)])
def test_left_alone_it_is_a_film(concept, mode):
    env = cradle.CradleEnv(concept=concept, mode=mode)
    pictures, infos = play(env, np.zeros(2), options={"number": 3})
    film = shoot(env._stage, env._cast, simulate(env._stage, env._cast))
    np.testing.assert_array_equal(pictures, film.frames)
    np.testing.assert_array_equal(np.stack([info["mask"] for info in infos]), film.masks)


def test_a_cart_that_is_held_back_does_not_fall():
    env = gymnasium.make("CradleScene-v0", concept="gravity", mode="V", disable_env_checker=True)
    for number in range(10):
        _, infos = play(env, np.zeros(2), options={"number": number})
        if infos[-1]["position"][2] < infos[0]["position"][2] - 0.2:
            direction = np.sign(infos[8]["position"][0] - infos[0]["position"][0])
            _, held = play(env, np.array([-direction * 1.0, 0.0]), options={"number": number})
            assert held[-1]["position"][2] > infos[0]["position"][2] - 0.01
            return
    pytest.fail("no cart fell")


def test_it_is_an_environment_and_the_same_seed_is_the_same_scene():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")  # these are accelerations
        check_env(gymnasium.make("CradleScene-v0", render_mode="rgb_array").unwrapped)
    first, second = (play(cradle.CradleEnv(concept="permanence"), np.array([1.0, 0.5]), seed=4)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (play(cradle.CradleEnv(concept="permanence"), np.array([1.0, 0.5]), seed=5)[0] != first).any()


def test_what_cannot_be_says_so():
    with pytest.raises(ValueError, match="concept"):
        cradle.CradleEnv(concept="magic")
    with pytest.raises(ValueError, match="mode"):
        cradle.CradleEnv(concept="permanence", mode="V")
    env = cradle.CradleEnv()
    with pytest.raises(ValueError, match="number"):
        env.reset(options={"scene": 1})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.array([np.nan, 0.0]))
    for _ in range(31):
        env.step(np.zeros(2))
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(2))
