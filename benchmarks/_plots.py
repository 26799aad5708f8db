"""The plots of a report, as PNG."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._runs import Run

INK, GRID, HAPPENED, PLANNED, GOAL, DANGER = "#1f2933", "#e4e8ee", "#2f6fc0", "#e0559b", "#1f9d63", "#d1383d"
COLORS = ("#1d4f91", "#e08a1e", "#1f9d63", "#8e5bb5", "#c2453d", "#3aa6b9", "#8a6d3b", "#6b7785")
MARKERS = "osD^vPX*<>hd"
STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
Draw = Callable[[Axes, Run], None]


def png(draw: Draw, run: Run, *, limits: tuple[float, float] | None = None, height: float = 3.1) -> bytes:
    """One plot, drawn by `draw`; `limits` of the vertical axis make plots of several runs comparable."""

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot()
        draw(axes, run)
        if limits is not None and limits[0] < limits[1]:
            axes.set_ylim(*limits)

    return picture(fill, (6.4, height))


def picture(fill: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    """What `fill` draws into an empty figure, as PNG; `size` in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        fill(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def curve(axes: Axes, places: Sequence[float], rates: Sequence[dict[str, float]], index: int, label: str) -> None:
    """Rates of success with their intervals, the `index`-th of several such lines."""
    known = np.array([[rate[key] for key in ("rate", "low", "high")] for rate in rates]).reshape(-1, 3)
    color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    line = "-" if index < len(COLORS) else "--"
    axes.plot(places, known[:, 0], label=label, color=color, linestyle=line, marker=marker, markersize=5, linewidth=1.5)
    axes.fill_between(places, known[:, 1], known[:, 2], color=color, alpha=0.06, linewidth=0)


def draw_fan(axes: Axes, run: Run) -> None:
    """Successive plans of what the goal reads, and what then really happened: the first episode."""
    steps, period = first_episode(run), run.config["problem"]["period"]
    tracked = run.config["problem"]["tracked"]
    size = max((len(step.get("tracked") or []) for step in steps), default=0)
    names = ("",) if size == 1 else ("x", "y", "z") if size == 3 else tuple(map(str, range(size)))
    plans = [step for step in steps if step.get("plan")]
    for order, step in enumerate(plans):
        future = np.asarray(step["plan"], float)
        times = step["time"] - period + period * np.arange(len(future))
        for column in range(min(size, future.shape[1])):
            color = PLANNED if size == 1 else COLORS[column % len(COLORS)]
            axes.plot(
                times, future[:, column], color=color, alpha=0.75, linewidth=0.9, label="planned" if not order and not column else None
            )
    times = [step["time"] for step in steps]
    happened = np.array([step["tracked"] if step.get("tracked") else [np.nan] * size for step in steps], float).reshape(len(steps), size)
    for column in range(size):
        color = HAPPENED if size == 1 else COLORS[column % len(COLORS)]
        axes.plot(times, happened[:, column], color=color, linewidth=3.5, alpha=0.55, zorder=1.9, label=f"happened {names[column]}".strip())
    goal, tolerance = tracked.get("goal") or [], tracked.get("tolerance")
    for column, value in enumerate(goal):
        color = GOAL if size == 1 else COLORS[column % len(COLORS)]
        if tolerance and size == 1:
            axes.axhspan(value - tolerance, value + tolerance, color=color, alpha=0.15, linewidth=0)
        axes.axhline(value, color=color, linewidth=1.2, linestyle=(0, (5, 3)), label="goal" if not column else None)
    unit = tracked.get("unit")
    axes.set(xlabel="time (s)", ylabel=f"{tracked.get('label', '')}{f' ({unit})' if unit else ''}")
    legend(axes)


def draw_energy(axes: Axes, run: Run) -> None:
    """The terms of the energy, stacked over time: the first episode."""
    steps = first_episode(run)
    names = list(dict.fromkeys(name for step in steps for name in (step.get("terms") or {})))
    times = np.array([step["time"] for step in steps])
    values = {name: np.array([(step.get("terms") or {}).get(name) for step in steps], float) for name in names}
    for name, color in zip(names, COLORS * (1 + len(names) // len(COLORS)), strict=False):
        axes.plot(times, values[name], label=name, color=color, linewidth=1.5)
    together = [value for series in values.values() for value in series[np.isfinite(series)]]
    if together:
        low, high = min(together), max(together)
        positive = [abs(value) for value in together if value]
        if high > 0 and positive and max(positive) > 200 * np.median(positive):
            axes.set_yscale("symlog", linthresh=max(float(np.percentile(positive, 10)), 1e-6 * max(abs(low), high)))
    axes.set(xlabel="time (s)", ylabel="energy of a step")
    legend(axes)


def draw_margins(axes: Axes, run: Run) -> None:
    """How far each guardrail is from being broken: all episodes, the first one dark."""
    names = run.config["problem"]["guardrails"]
    for name, color in zip(names, COLORS * (1 + len(names) // len(COLORS)), strict=False):
        for episode in sorted({step["episode"] for step in run.steps}, reverse=True):
            steps = [step for step in run.steps if step["episode"] == episode]
            margin = np.array([(step.get("margins") or {}).get(name) for step in steps], float)
            label = name if episode == 0 else None
            axes.plot(
                [s["time"] for s in steps],
                margin,
                color=color,
                label=label,
                linewidth=1.8 if not episode else 0.8,
                alpha=1 if not episode else 0.4,
            )
    low, high = axes.get_ylim()
    low, high = min(low, -0.08 * (high - low)), max(high, 0.1 * (high - low))
    axes.axhspan(low, 0, color=DANGER, alpha=0.09, linewidth=0)
    axes.axhline(0, color=DANGER, linewidth=1.3)
    axes.set_ylim(low, high)
    axes.set(xlabel="time (s)", ylabel="margin (SI units)")
    legend(axes)


def draw_times(axes: Axes, run: Run) -> None:
    """How long replans took, with the median and the slow tail."""
    times = replan_times(run)
    if not len(times):
        return
    middle, slow = np.percentile(times, [50, 99])
    edge = max(float(np.percentile(times, 99.5)) * 1.15, 1e-3)
    axes.hist(
        np.minimum(times, edge), bins=np.linspace(min(times) * 0.95, edge, 40).tolist(), color="#8fb0d9", edgecolor="white", linewidth=0.4
    )
    period = 1e3 * run.config["problem"]["period"]
    for value, text, color in ((middle, f"p50 {middle:.1f} ms", HAPPENED), (slow, f"p99 {slow:.1f} ms", PLANNED)):
        axes.axvline(value, color=color, linewidth=1.8, label=text)
    if period <= 1.2 * edge:
        axes.axvline(period, color=INK, linewidth=1.2, linestyle=":", label=f"control period {period:.0f} ms")
    axes.set(xlabel="time of a replan (ms)", ylabel="replans")
    legend(axes)


def limits(runs: Sequence[Run], kind: str) -> tuple[float, float] | None:
    """A vertical range that several runs can share: of what was tracked, or of the margins."""
    values: list[float] = []
    for run in runs:
        for step in first_episode(run) if kind == "tracked" else run.steps:
            found: Any = (step.get("margins") or {}).values() if kind == "margins" else step.get("tracked") or []
            values += [value for value in found if value is not None]
    if not values:
        return None
    low, high = np.percentile(values, [0.5, 100]) if kind == "margins" else (min(values), max(values))
    if kind == "tracked":  # with the plans, but for the wildest ones
        futures = np.array([x for run in runs for step in first_episode(run) for state in step.get("plan") or [] for x in state], float)
        if np.isfinite(futures).any():
            low, high = min(low, np.nanpercentile(futures, 2)), max(high, np.nanpercentile(futures, 98))
    else:  # far from the edge is far from interesting
        low = min(low, 0.0)
        high = min(high, max(5.0 * abs(float(np.median(values))), -3.0 * low))
    pad = 0.06 * (high - low) or 0.1
    return float(low - pad), float(high + pad)


def first_episode(run: Run) -> list[dict[str, Any]]:
    """The steps of the first episode, which is also the one in the video."""
    return [step for step in run.steps if step["episode"] == 0]


def replan_times(run: Run) -> list[float]:
    """ms."""
    return [step["replan_ms"] for step in run.steps if step.get("replan_ms") is not None]


def legend(axes: Axes) -> None:
    """A legend, if there is something to say in it."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", ncols=2 if len(axes.get_legend_handles_labels()[1]) > 3 else 1)
