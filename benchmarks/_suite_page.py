"""One HTML page for a suite of many rows: success of every planner on every task, as pictures and tables."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure, FigureBase

from ._plots import INK, picture
from ._report import CSS, embedded, table
from ._runs import write
from ._statistics import say, say_mean, say_rate

Rows = Mapping[str, Any]


def write_page(record: Mapping[str, Any], path: Path) -> Path:
    """Write the page of a record of `run_suite` beside it, and its first picture beside that."""
    rows = {name: entry for name, entry in record["rows"].items() if "summary" in entry or "skipped" in entry}
    parts = [f"<h1>{html.escape(record['suite'])}</h1>", f"<pre>{html.escape(record['command'])}</pre>"]
    drawn = picture(lambda figure: draw_matrices(figure, rows), (13.5, 5.4))
    path.with_suffix(".png").write_bytes(drawn)
    parts.append(f'<h2>Success</h2><div class="grid one"><figure>{embedded(drawn, "")}</figure></div>')
    for each in tasks(rows):
        parts.append(f"<h2>{html.escape(each)}</h2>{figures({name: entry for name, entry in rows.items() if task(name) == each})}")
    head = f'<meta charset="utf-8"><title>{html.escape(record["suite"])}</title><style>{CSS.read_text(encoding="utf-8")}</style>'
    write(path, f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n')
    return path


def task(name: str) -> str:
    """What a row is about: the part of its name before the first comma."""
    return name.split(", ")[0]


def who(name: str) -> str:
    """The planner or the floor of a row: the second part of its name."""
    return name.split(", ")[1]


def tasks(rows: Rows) -> list[str]:
    """In the order of the rows."""
    return list(dict.fromkeys(map(task, rows)))


def budget(entry: Mapping[str, Any]) -> dict[str, float]:
    """What a replan may take."""
    return entry["settings"].get("budget", {})


def figures(rows: Rows) -> str:
    """A table of one task."""
    head = ["", "success", "energy per step", "guardrails kept", "return", "replan p50 / p99, ms", "model steps", "settings"]
    lines = []
    for name, entry in rows.items():
        label = ", ".join(name.split(", ")[1:])
        if "summary" not in entry:
            lines.append([label, *["–"] * 6, entry["skipped"]])
            continue
        summary, fitted = entry["summary"], entry.get("fitted", {}).get("options", {})
        times, options = summary.get("replan_ms"), entry["settings"]["options"] | fitted
        cells = [say_rate(summary[key]) if key in summary else "–" for key in ("success", "safe")]
        cells.insert(1, say_mean(summary["energy"]) if "energy" in summary else "–")
        cells += [
            say_mean(summary["return"], 4),
            f"{times['p50']:.1f} / {times['p99']:.1f}" if times else "–",
            say(summary.get("model_steps")),
        ]
        lines.append([label, *cells, ", ".join(f"{key} {value}" for key, value in options.items())])
    return table(head, lines)


def draw_matrices(figure: Figure, rows: Rows) -> None:
    """Success with equal model steps, and beside it with equal time."""
    panels = (("model_steps", "an equal number of model steps a replan"), ("ms", "equal time a replan"))
    for part, (kind, title) in zip(figure.subfigures(1, 2, squeeze=False)[0], panels, strict=True):
        draw_matrix(part, {name: entry for name, entry in rows.items() if kind in budget(entry) or not budget(entry)})
        part.suptitle(title, fontsize=11)


def draw_matrix(figure: FigureBase, rows: Rows) -> None:
    """Planners down, tasks across, the rate of success in each cell."""
    across, down = tasks(rows), list(dict.fromkeys(map(who, rows)))
    rates = np.full((len(down), len(across)), np.nan)
    for name, entry in rows.items():
        if "summary" in entry:
            rates[down.index(who(name)), across.index(task(name))] = entry["summary"]["success"]["rate"]
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_invalid(rates), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(rates):
        text = "–" if np.isnan(value) else f"{100 * value:.0f}"
        axes.text(j, i, text, ha="center", va="center", color="white" if value > 0.6 else INK)
    axes.set_xticks(range(len(across)), [name.replace(" ", "\n") for name in across])
    axes.set_yticks(range(len(down)), down)
    axes.grid(False)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("episodes that succeed, %; –: at its least over budget, or not entered")
