"""Metrics go to TensorBoard and to Weights & Biases as they go to the run folder."""

import json
import sys
import types

import pytest

from benchmarks import _trackers
from benchmarks._cli import run
from benchmarks._runs import read_lines
from benchmarks._train import begin, progressing

LINES = (("joint", 1, {"loss": 2.0, "rate": float("nan")}), ("joint", 2, {"loss": 1.0, "rate": 0.5}), ("predictor", 1, {"loss": 4.0}))


def train(report):
    for stage, step, parts in LINES:
        report(0, stage, step, 2, parts)


@pytest.fixture
def folder(tmp_path):
    begin(tmp_path / "run", {"recipe": "two-rooms", "settings": {"seed": 1}}, "ebm train")
    return tmp_path / "run"


def test_tensorboard_reads_what_was_measured(folder):
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c

    progressing([folder], 0.0, train, "ebm eval", ("tensorboard",))
    data = next(folder.glob("events.out.tfevents.*")).read_bytes()
    found = {}
    while data:  # every record: its length, a checksum of that, itself, a checksum
        length = int.from_bytes(data[:8], "little")
        record = data[12 : 12 + length]
        assert int.from_bytes(data[12 + length : 16 + length], "little") == masked_crc32c(record)
        event, data = event_pb2.Event.FromString(record), data[16 + length :]
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
    assert found == {("joint/loss", 1): 2.0, ("joint/loss", 2): 1.0, ("joint/rate", 2): 0.5, ("predictor/loss", 1): 4.0}
    assert [line["rate"] for line in read_lines(folder / "metrics.jsonl")[:2]] == [None, 0.5]


def test_weights_and_biases_goes_on_with_the_same_run(folder, monkeypatch):
    calls = []

    class Run:
        def define_metric(self, name, step_metric):
            calls.append((name, step_metric))

        def log(self, values):
            calls.append(values)

        def finish(self):
            calls.append("finished")

    def init(**asked):
        calls.append(asked)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    monkeypatch.setattr(_trackers, "missing", lambda *names: [])
    _trackers.check(("wandb",))
    progressing([folder], 0.0, train, "ebm eval", ("wandb",))
    asked, *told = calls
    assert asked["config"] == json.loads((folder / "config.json").read_text())
    assert told[:2] == [("joint/*", "joint/step"), {"joint/step": 1, "joint/loss": 2.0}]
    assert told[-2:] == [{"predictor/step": 1, "predictor/loss": 4.0}, "finished"]
    calls.clear()
    progressing([folder], 0.0, train, "ebm eval", ("wandb",))
    assert calls[0]["id"] == asked["id"]
    assert calls[0]["resume"] == "allow"


def test_a_tracker_that_is_not_there_is_named_before_a_folder_is_made(tmp_path, capsys, monkeypatch):
    assert run(["train", "two-rooms", "--track", "tensorbord", "--out", str(tmp_path / "run")]) == 2
    assert "'tensorboard'" in capsys.readouterr().err
    monkeypatch.setattr(_trackers, "missing", lambda *names: list(names))
    assert run(["surprise", "train", "--track", "wandb", "--out", str(tmp_path / "run")]) == 2
    assert "pip install 'energy-planning[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
