"""Other libraries beside ours: the protocol, the record, and what is said when one of them stops."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import _peers
from benchmarks._errors import UsageError
from benchmarks._peers import Ours, flat, model_of
from benchmarks.peers import problems

ANSWERS = """
import sys
for line in sys.stdin:
    print(7.5 if line.startswith("replan") else 1000.0 + int(line.split()[1]), flush=True)
"""


class Short(problems.Pendulum):
    """A pendulum with little to plan."""

    horizon, steps = 6, 3


@pytest.fixture
def short(monkeypatch, tmp_path):
    monkeypatch.setattr(_peers, "FOLDER", tmp_path)
    monkeypatch.setattr(_peers, "prepared", lambda folder, progress: sys.executable)
    monkeypatch.setattr(_peers, "PROBLEMS", {"short": Short})
    monkeypatch.setattr(_peers, "PAIRS", {"short": {"one": "mppi", "two": "ilqr"}})
    monkeypatch.setattr(_peers, "SAMPLES", {"short": 16})
    for name, value in {"ROUNDS": 4, "WARM": 1, "SEEDS": 2}.items():
        monkeypatch.setattr(_peers, name, value)
    (tmp_path / "requirements.in").write_text("# nothing\npeer==1.0\n")
    return tmp_path


def test_the_record_says_who_is_faster_and_who_is_better(short):
    (short / "worker.py").write_text(ANSWERS)
    record = _peers.run_peers(short / "out", lambda text: None)
    assert json.loads((short / "out" / "peers.json").read_text())["rows"].keys() == record["rows"].keys()
    assert record["versions"]["peers"] == ["peer==1.0"]
    assert list(record["rows"]) == ["short: one / mppi", "short: two / ilqr"]
    for row in record["rows"].values():
        assert row["peer_ms"] == 7.5
        assert row["peer"] == {"plan": [1000.0, 1001.0], "loop": [1000.0, 1001.0]}
        assert all(0 < cost < 100 for costs in row["ours"].values() for cost in costs)
        assert row["interval"][0] <= row["times_faster"] <= row["interval"][1]
        assert row["times_faster"] == pytest.approx(7.5 / row["ours_ms"])


def test_a_peer_that_stops_is_one_line(short):
    (short / "worker.py").write_text("raise RuntimeError('no such planner')")
    with pytest.raises(UsageError, match="no such planner"):
        _peers.run_peers(short / "out", lambda text: None)


@pytest.mark.parametrize("name", problems.PROBLEMS)
def test_peers_and_we_solve_the_same_problem(name):
    problem = problems.PROBLEMS[name]()
    ours_once, model, rng = Ours("mppi", name), model_of(problem), np.random.default_rng(0)
    state = np.asarray(problem.rest, float)
    for _ in range(5):
        action = rng.uniform(-0.7, 0.7, len(problem.limit)) * np.asarray(problem.limit)
        ours = model.step(ours_once._state(state), jnp.asarray(action, jnp.float32))
        costs = [problem.cost(xp, state, action) for xp in (np, jnp)]
        assert costs[0] == pytest.approx(float(costs[1]), rel=1e-4)
        state = problem.step(np, state, action)
        assert np.allclose(flat(ours), state, rtol=1e-4, atol=1e-4)
        if name != "box":
            assert np.allclose(jax.jit(lambda s, a: problem.step(jnp, s, a))(state, action), problem.step(np, state, action), atol=1e-5)
