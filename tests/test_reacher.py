"""ReacherMatch: an episode, what is seen, what data come from; and a model that learns it, is judged, and goes on."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from benchmarks import _reacher, _reacher_judged, _runs
from benchmarks._cli import run
from benchmarks._errors import UsageError

SMALL = ["films=400", "steps=200", "width=64", "remembered=16"]


def test_goals_are_where_random_torques_lead():
    """Whoever repeats them is there after 25 steps."""
    env = gymnasium.make("ReacherMatch-v0").unwrapped
    for seed in range(5):
        _, info = env.reset(seed=seed)
        rng, _ = gymnasium.utils.seeding.np_random(seed)
        envs.ReacherMatchEnv.begin(rng)
        history = [env.step(torque)[4] for torque in envs.ReacherMatchEnv.wander(rng, 25)]
        np.testing.assert_allclose(history[-1]["angles"], info["goal"], atol=1e-6)
        assert env.success(history)
        assert not env.success([{"there": False}])


def test_the_shorter_way_round_counts():
    assert np.allclose(envs._reacher_match.apart(np.array([3.1, 0.2]), np.array([-3.1, 0.1])), [6.2 - 2 * np.pi, 0.1])


@pytest.mark.parametrize(("sees", "shape", "dtype"), [("state", (6,), np.float64), ("picture", (1, 64, 64), np.uint8)])
def test_what_is_seen(sees, shape, dtype):
    env = gymnasium.make("ReacherMatch-v0", sees=sees).unwrapped
    check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=0)
    assert observation.shape == info["goal_observation"].shape == shape
    assert observation.dtype == dtype
    if sees == "picture":
        bare, arm = env.look(np.array([0.0, 0.0]), np.zeros(2))[0], env.look(np.array([np.pi / 2, 0.0]), np.zeros(2))[0]
        dark = np.argwhere(arm.astype(int) < 150) - 31.5
        assert 30 < len(dark) < 200
        assert dark[:, 0].mean() < -5  # up is where y is
        assert (np.argwhere(bare.astype(int) < 150) - 31.5)[:, 1].mean() > 5
    with pytest.raises(ValueError, match='must be "state" or "picture"'):
        envs.ReacherMatchEnv(sees="sound")


def test_films_are_the_same_from_the_same_seed():
    films, angles = _reacher.record_with_angles("state", 3, 20, 6)
    again, _ = _reacher.record_with_angles("state", 3, 20, 6)
    assert np.array_equal(films.observations, again.observations)
    np.testing.assert_allclose(films.observations[:, :2].reshape(20, 6, 2), np.cos(angles), atol=1e-6)
    assert films.lengths.tolist() == [6] * 20


@pytest.mark.parametrize("name", ["random", "still", "straight"])
def test_floors_act_within_limits(name):
    episode = _reacher_judged.play(_reacher_judged.floor(name, 5), "state", 5)
    assert len(episode.replan_ms) == 10
    assert episode.nearest <= episode.distance


@pytest.mark.slow
def test_a_model_of_states_is_trained_and_judged(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(["train", "reacher", *SMALL, "--out", str(folder)]) == 0
    assert [line["step"] for line in _runs.read_lines(folder / "metrics.jsonl")] == [100, 200]
    assert run(["eval", str(folder), "--episodes", "2"]) == 0
    assert "ReacherMatch" in capsys.readouterr().err
    record = json.loads((folder / "eval.json").read_text())
    assert set(record["rows"]) == {"icem, 200 samples, 8 iterations, horizon 5", "random", "still", "straight", "oracle"}
    assert all(row["0"]["seed"] == 0 for row in record["rows"].values())
    assert all(episode["success"] for episode in record["rows"]["oracle"].values())
    assert run(["eval", str(folder), "--episodes", "1", "--replan", "10"]) == 2
    assert "knows no other pace" in capsys.readouterr().err


def test_what_is_not_there_is_named():
    with pytest.raises(UsageError, match="state and picture"):
        _reacher.check(_reacher.Settings(sees="sound"))
    with pytest.raises(UsageError, match="shuts its eyes"):
        _reacher.check(_reacher.Settings(frames=3))
