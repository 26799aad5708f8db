"""Other libraries beside ours: the protocol, the record, and what is said when one of them stops."""

import json
import sys

import pytest

from benchmarks import _peers
from benchmarks._errors import UsageError

ANSWERS = """
import sys
for line in sys.stdin:
    print(7.5 if line.startswith("replan") else 1000.0 + int(line.split()[1]), flush=True)
"""


@pytest.fixture
def short(monkeypatch, tmp_path):
    monkeypatch.setattr(_peers, "FOLDER", tmp_path)
    monkeypatch.setattr(_peers, "prepared", lambda folder, progress: sys.executable)
    for name, value in {"ROUNDS": 4, "WARM": 1, "SEEDS": 2, "STEPS": 3, "SAMPLES": 16, "HORIZON": 6}.items():
        monkeypatch.setattr(_peers, name, value)
    (tmp_path / "requirements.txt").write_text("# nothing\npeer==1.0\n")
    return tmp_path


def test_the_record_says_who_is_faster_and_who_is_better(short):
    (short / "worker.py").write_text(ANSWERS)
    record = _peers.run_peers(short / "out", lambda text: None)
    assert json.loads((short / "out" / "peers.json").read_text())["rows"].keys() == record["rows"].keys()
    assert record["versions"]["peers"] == ["peer==1.0"]
    for row in record["rows"].values():
        assert row["peer_ms"] == 7.5
        assert row["peer_cost"] == 1000.5
        assert 0 < row["ours_cost"] < 100
        assert row["interval"][0] <= row["times_faster"] <= row["interval"][1]
        assert row["times_faster"] == pytest.approx(7.5 / row["ours_ms"])


def test_a_peer_that_stops_is_one_line(short):
    (short / "worker.py").write_text("raise RuntimeError('no such planner')")
    with pytest.raises(UsageError, match="no such planner"):
        _peers.run_peers(short / "out", lambda text: None)
