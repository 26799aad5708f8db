"""A report is one file with everything in it."""

import base64
import html.parser
import re
import shutil

import pytest

from benchmarks._report import write_report
from benchmarks._runs import RunWriter

SECTIONS = ("Planned and happened", "Energy over time", "Guardrail margins", "Replan time", "Episodes", "Settings")
VOID = {"meta", "img", "br", "link", "input", "hr"}


def write_run(folder, *, steps=40, video=True, broken=False, guardrails=("table",), finish=True):
    tracked = {"label": "joint:slider", "name": "joint:slider", "unit": "m", "goal": [0.9], "tolerance": 0.02}
    problem = {"period": 0.02, "max_steps": steps, "tracked": tracked, "guardrails": list(guardrails), "guarded": not broken}
    settings = {"plant": "CartTable-v0", "planner": "mppi", "seed": 3, "plant_mass": 1.3, "note": "<script>alert(1)</script>"}
    config = {"command": "ebm control CartTable-v0 --seed 3", "settings": settings, "versions": {"jax": "1"}, "problem": problem}
    with RunWriter(folder, config) as writer:
        for step in range(steps):
            line = {"terms": {"goal": 1.0 / (step + 1), "effort": 0.1}, "tracked": [0.02 * step], "distance": 0.9 - 0.02 * step}
            line |= {"margins": dict.fromkeys(guardrails, 0.5 - 0.02 * step), "replan_ms": 5.0 + step % 7, "result": "successful"}
            if step % 5 == 0:
                line["plan"] = [[0.02 * (step + ahead)] for ahead in range(10)]
            writer.step(episode=0, step=step, time=0.02 * (step + 1), reward=1.0, **line)
        if finish:
            row = {"seed": 3, "return": 40.0, "steps": steps, "terminated": broken, "interrupted": False, "success": not broken}
            writer.episode(episode=0, **row, energy=0.2, margins=dict.fromkeys(guardrails, -0.3), violated_steps=3, distance=0.1)
    if video:
        (folder / "video.mp4").write_bytes(b"\0" * 64)
    return folder


class Tags(html.parser.HTMLParser):
    """Checks that every tag is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "poster", "action")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(text):
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    return tags


def test_report_is_one_file_with_all_sections(tmp_path):
    pytest.importorskip("matplotlib")
    text = write_report({"": write_run(tmp_path / "run")}, tmp_path / "report.html").read_text()
    tags = parse(text)
    assert all(f"<h2>{name}</h2>" in text for name in (*SECTIONS, "Video"))
    assert tags.links
    assert all(link.startswith(("data:image/png;base64,", "data:video/mp4;base64,")) for link in tags.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "ebm control CartTable-v0 --seed 3" in text
    assert "<script" not in text
    for link in tags.links:
        assert base64.b64decode(link.partition(",")[2], validate=True)
    assert 'name="viewport"' in text


def test_report_stands_without_the_folder(tmp_path):
    pytest.importorskip("matplotlib")
    folder = write_run(tmp_path / "run")
    path = write_report({"": folder}, tmp_path / "report.html")
    before = path.read_bytes()
    shutil.rmtree(folder)
    assert path.read_bytes() == before


def test_two_runs_stand_side_by_side(tmp_path):
    pytest.importorskip("matplotlib")
    runs = {"guarded": write_run(tmp_path / "a"), "unguarded": write_run(tmp_path / "b", broken=True)}
    text = write_report(runs, tmp_path / "report.html").read_text()
    parse(text)
    for label in runs:
        assert text.count(f"<figcaption>{label}</figcaption>") == 5
    assert "for comparison" in text


@pytest.mark.parametrize("options", [{"steps": 0, "finish": False, "video": False}, {"guardrails": ()}, {"finish": False}, {"steps": 1}])
def test_whatever_there_is_can_be_reported(tmp_path, options):
    pytest.importorskip("matplotlib")
    text = write_report({"": write_run(tmp_path / "run", **options)}, tmp_path / "report.html").read_text()
    parse(text)
    assert ("stopped before its end" in text) == (not options.get("finish", True))
