"""A session of `ebm control`: one run or two to compare, each in its folder, and one report."""

import contextlib
import dataclasses
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import planners

from ._control import Control
from ._episodes import Floor, PlannerPolicy, Stop, run_episode
from ._errors import UsageError, missing
from ._film import Film
from ._goals import Wishes
from ._judge import Judge
from ._plant import Bench, build
from ._recommended import SAMPLES, make, planner_options
from ._runs import REPORT, VIDEO, RunWriter, default_folder, make_folder, read_run, versions, write
from ._statistics import say, say_mean, say_rate, summarise

INSTALL = 'pip install "energy-planning[report]"'


class RunPlace(NamedTuple):
    """Where a run is written, what it is called beside others, and the command line it came from."""

    folder: Path
    label: str
    command: str


def session(settings: Control, command: str) -> tuple[dict[str, Any], bool]:
    """Run what the settings say; the summary, and whether it was interrupted.

    **Arguments:**

    - `command`: the command line, as one would type it.

    **Raises:**

    `UsageError`, `ValueError` or `OSError` in one line, before anything was run.
    """
    console = Console(stderr=True)
    absent = missing("matplotlib", "imageio_ffmpeg") if settings.report or settings.video else []
    if settings.view:
        check_screen()
    folder = settings.out if settings.out is not None else default_folder(settings.plant)
    variants = (
        {"guarded": settings, "unguarded": dataclasses.replace(settings, unguarded=True)} if settings.compare == "yes" else {"": settings}
    )
    benches = {}
    for label, variant in variants.items():
        benches[label] = prepare(variant)
    if settings.compare == "yes" and not benches["guarded"][0].judged.guardrails:
        raise UsageError(f"--compare yes: {settings.plant} has no guardrail to leave out. Name one with --keep.")
    make_folder(folder)
    for label in variants:
        make_folder(folder / label)
    summaries: dict[str, dict[str, Any]] = {}
    with Stop() as stop:
        for label, variant in variants.items():
            if stop.asked:
                break
            bench, policy = benches[label]
            summaries[label] = run(
                variant, bench, policy, RunPlace(folder / label, label, command), stop, console, film=settings.video and not absent
            )
        interrupted = stop.asked
        write_out = settings.report and not absent
        summary = {"folder": str(folder), "plant": settings.plant, "interrupted": interrupted}
        summary |= {"runs": summaries} if settings.compare == "yes" else summaries.get("", {})
        summary["report"] = str(folder / REPORT) if write_out else None
        write(folder / "summary.json", _json(summary))
        console.print(table(summaries, settings))
        if absent:
            console.print(f"No report: {' and '.join(absent)} not installed. Get it with `{INSTALL}`.", markup=False, soft_wrap=True)
        if write_out:
            from ._report import write_report

            write_report({label: folder / label for label in summaries}, folder / REPORT)
            console.print(f"report: {folder / REPORT}", markup=False, soft_wrap=True, highlight=False)
        else:
            console.print(f"run folder: {folder}", markup=False, soft_wrap=True, highlight=False)
    return summary, interrupted


def prepare(settings: Control) -> tuple[Bench, PlannerPolicy | Floor]:
    """The plant, the problem and the policy of one run; whatever is wrong with them is found here."""
    wishes = Wishes(settings.reach, settings.upright, settings.speed, settings.keep)
    planned = settings.policy == "planner"
    planner = make_planner(settings) if planned else None
    bench = build(
        settings.plant,
        wishes,
        seconds=settings.seconds,
        period=settings.period,
        goal=settings.goal,
        mass=settings.plant_mass or 1.0,
        guarded=not settings.unguarded,
        engine=settings.engine,
        keyframe=settings.keyframe,
        planned=planned,
    )
    return bench, Floor(bench, settings.policy) if planner is None else PlannerPolicy(bench, planner)


def make_planner(settings: Control) -> planners.AbstractPlanner:
    """The planner that the options name."""
    name = settings.planner or "mppi"
    options: dict[str, Any] = {"horizon": settings.horizon, "num_iterations": settings.iterations, "noise": settings.noise}
    options[samples_option(planners.PLANNERS.get(name.lower()))] = settings.samples
    if ":" in name and "" not in sys.path:
        sys.path.insert(0, "")  # one's own planner lies in the working directory, more often than not
    try:
        asked = {key: value for key, value in options.items() if value is not None}
        return make(name, planner_options(settings.plant, name.lower()) | asked)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--planner {name}: {error}") from error


def samples_option(kind: Any) -> str:
    """What the planner calls the number of things that it tries."""
    known = inspect.signature(kind).parameters if kind is not None else ()
    return next((name for name in SAMPLES if name in known), SAMPLES[0])


def run(
    settings: Control,
    bench: Bench,
    policy: PlannerPolicy | Floor,
    place: RunPlace,
    stop: Stop,
    console: Console,
    *,
    film: bool,
) -> dict[str, Any]:
    """All episodes of one run; its summary."""
    folder, label = place.folder, place.label
    judge = Judge(bench.judged) if bench.judged is not None else None
    tracked = judge.describe() if judge is not None else {}
    config: dict[str, Any] = {"command": place.command, "label": label, "settings": shown(settings, policy), "versions": versions()}
    config["problem"] = {"period": bench.period, "max_steps": bench.max_steps, "tracked": tracked}
    config["problem"]["guardrails"] = [guardrail.name for guardrail in getattr(bench.judged, "guardrails", ())]
    config["problem"]["guarded"] = not settings.unguarded and bool(config["problem"]["guardrails"])
    episodes = settings.episodes or 1
    with RunWriter(folder, config) as writer, bar(console) as progress, viewer(settings, bench) as show:
        task = progress.add_task(f"{label or settings.plant}: first plan", total=episodes * bench.max_steps, state="")
        first = policy.warm_up() if isinstance(policy, PlannerPolicy) else None
        recorder = Film(bench, tracked.get("name"))

        def watch(episode: int, step: int, decision: Any) -> None:
            show()
            if film:
                recorder.watch(episode, step, decision)

        for episode in range(episodes):
            if stop.asked:
                break
            progress.update(task, description=f"{label or settings.plant}: episode {episode + 1}/{episodes}")

            def advance(total: float, milliseconds: float | None) -> None:
                pace = "" if milliseconds is None else f"{milliseconds:.0f} ms, "
                progress.update(task, advance=1, state=f"{pace}return {total:.4g}")

            run_episode(
                bench, policy, judge, writer, episode=episode, seed=(settings.seed or 0) + episode, stop=stop, watch=watch, progress=advance
            )
            progress.update(task, completed=(episode + 1) * bench.max_steps)
        if film:
            paint = progress.add_task(f"{label or settings.plant}: video", total=100, state="")
            recorder.write(folder / VIDEO, lambda share: progress.update(paint, completed=round(100 * share)))
        progress.stop()
    bench.plant.close()
    finished = read_run(folder)
    summary = summarise(finished.steps, finished.episodes) | {"first_plan_s": first}
    write(folder / "summary.json", _json(summary))
    return summary


def table(summaries: dict[str, dict[str, Any]], settings: Control) -> Table:
    """What is printed at the end."""
    title = f"{settings.plant}, {settings.planner if settings.policy == 'planner' else settings.policy}, seeds from {settings.seed}"
    found = Table(title=title, title_justify="left")
    found.add_column("")
    for label in summaries:
        found.add_column(label or "result", justify="right")
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "episodes": lambda s: str(s["episodes"]),
        "return": lambda s: say_mean(s["return"], 4),
        "steps": lambda s: say_mean(s["steps"], 4),
        "not terminated": lambda s: say_rate(s["survived"]),
        "success": lambda s: say_rate(s["success"]) if "success" in s else "",
        "energy per step": lambda s: say_mean(s["energy"]) if "energy" in s else "",
        "distance at the end": lambda s: say_mean(s["distance"]) if "distance" in s else "",
        "replan p50 / p99": lambda s: f"{s['replan_ms']['p50']:.1f} / {s['replan_ms']['p99']:.1f} ms" if "replan_ms" in s else "",
        "first plan": lambda s: f"{s['first_plan_s']:.1f} s" if s.get("first_plan_s") else "",
        "plans": lambda s: ", ".join(f"{count} {name}" for name, count in s.get("results", {}).items()),
    }
    guardrails = dict.fromkeys(name for summary in summaries.values() for name in summary.get("kept", {}))
    rows |= {name: lambda s, name=name: f"{say_rate(s['kept'][name])}, margin {say(s['margins'][name])}" for name in guardrails}
    for name, cell in rows.items():
        cells = [cell(summary) if summary["episodes"] else "" for summary in summaries.values()]
        if any(cells):
            found.add_row(name, *cells)
    return found


def shown(settings: Control, policy: PlannerPolicy | Floor) -> dict[str, Any]:
    """The settings as they were used: what was left to the planner is asked of it."""
    plain = {name: value for name, value in dataclasses.asdict(settings).items() if value not in (None, (), [])}
    plain["out"] = str(settings.out) if settings.out else None
    if isinstance(policy, PlannerPolicy):
        planner: Any = policy.agent.planner
        for ours, theirs in (
            ("horizon", "horizon"),
            *(("samples", name) for name in SAMPLES),
            ("iterations", "num_iterations"),
            ("noise", "noise"),
            ("knots", "knots"),
        ):
            value = getattr(planner, theirs, None)
            if value is not None:
                plain[ours] = value
        plain["latents"] = getattr(policy.agent.problem, "num_latents", 1)
        plain["risk"] = type(getattr(policy.agent.problem, "risk", None)).__name__
    return {name: value for name, value in plain.items() if value is not None}


def check_screen() -> None:
    """Refuse a viewer where there is none to see it."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("--view needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set. Leave it out: the report has a video.")


@contextlib.contextmanager
def viewer(settings: Control, bench: Bench) -> Iterator[Callable[[], None]]:
    """MuJoCo's viewer, if it was asked for: what to call after every step."""
    if not settings.view:
        yield lambda: None
        return
    import mujoco.viewer

    inner: Any = bench.plant.unwrapped
    try:
        window = mujoco.viewer.launch_passive(inner.model, inner.data)
    except Exception as error:  # whatever the window system says
        raise UsageError(f"--view: the viewer cannot be opened ({error}). Leave it out: the report has a video.") from error
    with window:
        last = time.perf_counter()

        def show() -> None:
            nonlocal last
            window.sync()
            time.sleep(max(0.0, bench.period - (time.perf_counter() - last)))  # not faster than life
            last = time.perf_counter()

        yield show


def bar(console: Console) -> Progress:
    """Episodes and steps, ms per replan, and the return so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _json(value: Any) -> str:
    import json

    from ._runs import clean

    return json.dumps(clean(value), indent=1) + "\n"
