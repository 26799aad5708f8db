"""The tables of `docs/results.md`, from the files in `benchmarks/results/`: `python -m benchmarks._tables`, which `make docs` runs.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, and has a line for every row of `NAME.json` that was played. The one
of `<!-- table: NAME MODE SPLIT -->` has a line for every concept of intuitive physics, and all who watched its films beside each other.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._statistics import mean, say, say_mean, say_rate
from .surprise._curves import Part
from .surprise._table import Row, cells

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results.md"
MARKED = re.compile(r"(<!-- table: ([\w-]+)(?: (\w+) (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)

Summary = Mapping[str, Any]
Column = Callable[[Summary], str]


def fill(text: str, folder: Path = RESULTS) -> str:
    """The page with every table in it as the files have it.

    **Raises:**

    `KeyError` for a table that nobody knows here; `OSError` if its file is missing.
    """

    def filled(found: re.Match[str]) -> str:
        start, name, mode, split, end = found.groups()
        return f"{start}{concepts(name, mode, split, folder) if mode else table(name, folder)}\n{end}"

    return MARKED.sub(filled, text)


def table(name: str, folder: Path = RESULTS) -> str:
    """One suite as Markdown."""
    columns = COLUMNS[name]
    rows: Mapping[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    lines = []
    for label, row in rows.items():
        told = row if name == "peers" else row.get("summary")
        if told:
            lines.append([label, *(column(told) for column in columns.values())])
    return _markdown(columns, lines)


def concepts(name: str, mode: str, split: str, folder: Path = RESULTS) -> str:
    """How often each watcher tells which of two films is impossible, with 95 % intervals, as Markdown: concepts down, watchers across."""
    entries = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    asked = [entry for entry in entries if (entry["mode"], entry["split"]) == (mode, split)]
    who, said = cells([Row(entry["who"], Part(entry["concept"], mode, split), entry) for entry in asked], split)
    return _markdown(who, [[part.concept, *said[part]] for part in sorted(said)])


def _markdown(columns: Iterable[str], lines: Sequence[Sequence[str]]) -> str:
    head = ["", *columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def _rate(key: str) -> Column:
    return lambda summary: say_rate(summary[key]) if key in summary else "–"


def _broken(summary: Summary) -> str:
    if (safe := summary.get("safe")) is None:
        return "–"
    return say_rate({"count": safe["of"] - safe["count"], "of": safe["of"], "low": 1 - safe["high"], "high": 1 - safe["low"]})


def _mean(key: str, digits: int = 3) -> Column:
    return lambda summary: say_mean(summary[key], digits)


def _milliseconds(key: str, *which: str) -> Column:
    return lambda summary: " / ".join(f"{summary[key][part]:.3g}" for part in which) if key in summary else "–"


def _cost(which: str) -> Column:
    def column(row: Summary) -> str:
        costs = [row[who][which] for who in ("peer", "ours")]
        return ", ".join("–" if None in values else say(mean(values)["mean"]) for values in costs)

    return column


GOAL = {"at the goal": _rate("success")}
TIME = {"ms a replan, half / 99 %": _milliseconds("replan_ms", "p50", "p99")}
STEPS = {"model steps a replan": lambda summary: say(summary.get("model_steps"), 4)}
COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "cart-table": GOAL | {"stays on the table": _rate("survived"), "return": _mean("return", 4)} | TIME,
    "gymnasium": {"episodes": lambda summary: say(summary["episodes"]), "return": _mean("return", 4)} | TIME | STEPS,
    "constraints": {"guardrail broken": _broken} | GOAL | TIME | STEPS,
    "risk": {"stays on the table": _rate("survived")} | GOAL | TIME,
    "hierarchy": GOAL | {"actions": _mean("steps")} | TIME | STEPS,
    "realtime": GOAL
    | {
        "stays on the table": _rate("survived"),
        "late by, ms, half / 99 % / 99.9 %": _milliseconds("lateness_ms", "p50", "p99", "p999"),
        "deadlines missed": lambda summary: f"{summary['missed']['count']} of {summary['missed']['of']}",
        "`action()`, ms, half / 99 %": _milliseconds("action_ms", "p50", "p99"),
        "ms a plan": _mean("planning_ms"),
    },
    "peers": {
        "times faster": lambda row: f"{row['times_faster']:.2f} ({row['interval'][0]:.2f}–{row['interval'][1]:.2f})",
        "ms a replan: theirs, ours": lambda row: f"{say(row['peer_ms'])}, {say(row['ours_ms'])}",
        "cost of the plan: theirs, ours": _cost("plan"),
        "in closed loop: theirs, ours": _cost("loop"),
    },
}

if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
