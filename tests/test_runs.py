"""A run folder is readable at any moment, whatever ended the run."""

import json
import math

import numpy as np
import pytest

from benchmarks._errors import UsageError
from benchmarks._runs import RunWriter, clean, default_folder, make_folder, read_run
from benchmarks._statistics import mean, rate, student, summarise

CONFIG = {"settings": {"seed": 4}, "problem": {}}


def test_a_killed_run_is_readable(tmp_path):
    writer = RunWriter(tmp_path, CONFIG)
    for step in range(3):
        writer.step(episode=0, step=step, reward=1.0, replan_ms=2.0)
    # never closed, and the last line only half on disk
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"episode":0,"step":3,"rew')
    run = read_run(tmp_path)
    assert [step["step"] for step in run.steps] == [0, 1, 2]
    assert run.config["settings"]["seed"] == 4
    assert run.episodes == [{"episode": 0, "seed": 4, "return": 3.0, "steps": 3, "terminated": False, "interrupted": True, "success": None}]
    writer.__exit__()


def test_every_line_is_on_disk_at_once(tmp_path):
    with RunWriter(tmp_path, CONFIG) as writer:
        writer.step(episode=0, step=0, reward=0.5)
        assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"episode": 0, "step": 0, "reward": 0.5}
        writer.episode(episode=0, seed=4, steps=1)
        assert json.loads((tmp_path / "episodes.jsonl").read_text())["steps"] == 1


def test_what_is_not_finite_becomes_null():
    value = {"a": math.nan, "b": [math.inf, 1.23456789], "c": np.float32(0.5), "d": np.arange(2), "e": True}
    assert clean(value) == {"a": None, "b": [None, 1.23457], "c": 0.5, "d": [0, 1], "e": True}
    json.dumps(clean(value), allow_nan=False)


def test_a_folder_holds_one_run(tmp_path):
    with RunWriter(tmp_path, CONFIG):
        pass
    with pytest.raises(UsageError, match="already holds a run"):
        make_folder(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out"):
        make_folder(tmp_path / "file" / "run")


def test_no_run_says_so(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        read_run(tmp_path)


def test_default_folders_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = default_folder("some/arm.xml")
    first.mkdir(parents=True)
    assert first.parent.name == "runs"
    assert first.name.endswith("-arm")
    assert default_folder("some/arm.xml") != first


def test_intervals_hold_what_they_promise():
    assert student(10**6) == pytest.approx(1.96, abs=1e-3)
    assert student(11) == pytest.approx(2.20099, abs=1e-3)
    quantiles = [student(n) for n in range(1, 100)]
    assert quantiles == sorted(quantiles, reverse=True)
    rng = np.random.default_rng(0)
    samples = rng.normal(3.0, 2.0, (4000, 5))
    inside = [abs(found["mean"] - 3.0) <= found["interval"] for found in map(mean, samples.tolist())]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_rates_of_all_and_of_none_are_not_certain():
    every, none = rate([True] * 10), rate([False] * 10)
    assert every["rate"] == 1.0
    assert 0.6 < every["low"] < 1.0
    assert every["high"] == pytest.approx(1.0)
    assert none["high"] == pytest.approx(1.0 - every["low"])
    assert rate([])["rate"] is None


def test_summary_counts_what_was_safe():
    episodes = [
        {"return": 1.0, "steps": 2, "terminated": False, "margins": {"a": 0.1, "b": 0.2}},
        {"return": 3.0, "steps": 2, "terminated": True, "margins": {"a": -0.1, "b": 0.3}},
    ]
    steps = [{"replan_ms": float(ms), "result": "successful"} for ms in range(1, 101)]
    summary = summarise(steps, episodes)
    assert summary["safe"]["count"] == 1
    assert summary["margins"] == {"a": -0.1, "b": 0.2}
    assert summary["return"]["mean"] == 2.0
    assert summary["survived"]["count"] == 1
    assert summary["replan_ms"]["p50"] == pytest.approx(50.5)
    assert summary["results"] == {"successful": 100}
