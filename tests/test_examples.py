"""The examples run as a newcomer would run them: in a folder of their own, from the command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LONG = ("joystick", "maze", "swing_up")  # half a minute each
MOST_LINES = 100
SIGNATURE = b"\x89PNG\r\n"
LEAST_BYTES = 5_000  # an empty picture is smaller


@pytest.mark.parametrize(
    "example", [pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in LONG else ()) for path in EXAMPLES]
)
def test_example_ends_in_a_number_and_a_picture(example, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-W", "error", example, "--quick", "--out", tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.match(r"-?\d+\.\d+ ", last), last
    assert "was broken" not in last
    (picture,) = tmp_path.iterdir()
    assert picture.name == f"{example.stem}.png"
    written = picture.read_bytes()
    assert written.startswith(SIGNATURE)
    assert len(written) > LEAST_BYTES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_uses_public_names_only(example):
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert not re.search(r"\b(ebm|envs|planners)\._|from (ebm|envs|planners|benchmarks)\b|import benchmarks", text)


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
