"""The report of one run or several: a single HTML file with everything in it."""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._plots import Draw, draw_energy, draw_fan, draw_margins, draw_times, first_episode, limits, png, replan_times
from ._runs import Run, read_run, write
from ._statistics import say, say_mean, summarise

CSS = Path(__file__).with_name("report.css")
SCORES: tuple[tuple[str, str], ...] = (("success", "success"), ("survived", "not terminated"))


def write_report(folders: Mapping[str, Path], path: Path) -> Path:
    """Write a report of labelled run folders into one self-contained HTML file.

    **Arguments:**

    - `folders`: label -> run folder; the first one is the headline. A run that was killed is reported as far as it came.
    - `path`: of the HTML file.

    **Raises:**

    `UsageError` if a folder holds no run, or the file cannot be written.
    """
    runs = {label: read_run(folder) for label, folder in folders.items()}
    write(path, page(runs))
    return path


def page(runs: Mapping[str, Run]) -> str:
    """The HTML of a report."""
    main = next(iter(runs.values()))
    settings = main.config["settings"]
    compared = main.config["problem"]["guarded"] and any(not run.config["problem"]["guarded"] for run in runs.values())
    plant = Path(str(settings.get("plant", "plant"))).name
    parts = [headline(plant, main, compared), *(tiles(label, run) for label, run in runs.items())]
    parts.append(f"<pre>{html.escape(str(main.config.get('command', '')))}</pre>")
    several = list(runs.values())
    if any(run.video for run in several):
        text = "The first episode. Pink lines are the latest plans: where the planner meant to go, drawn over what happened."
        parts.append(section("Video", text, runs, video, lambda run: run.video is not None))
    planned = any(step.get("plan") for step in main.steps)
    text = "Each thin line is one plan, from the moment it was made; the thick line is what then really happened. " if planned else ""
    shared = limits(several, "tracked")
    if any(step.get("tracked") for step in main.steps):
        text += f"Shown is what the goal reads, in the first episode (seed {settings.get('seed', 0)})."
        parts.append(section("Planned and happened", text, runs, picture(draw_fan, shared), has("tracked")))
        text = "What each step cost, by term, measured on the plant's real states. Lower is better."
        parts.append(section("Energy over time", text, runs, picture(draw_energy, None), has("terms")))
    guardrails = main.config["problem"]["guardrails"]
    if guardrails:
        text = (
            "How far the plant's real state was from breaking a guardrail; below the red line it is broken. All episodes, the first bold."
        )
        parts.append(section("Guardrail margins", text, runs, picture(draw_margins, limits(several, "margins")), has("margins")))
    else:
        parts.append(section("Guardrail margins", "No guardrail was named: see <code>--keep</code>.", {}, video, lambda _: False))
    text = "From reading the simulator to having an action. Compiling the first plan is not counted."
    text = text if replan_times(main) else "Nobody planned here."
    parts.append(section("Replan time", text, runs, picture(draw_times, None), has("replan_ms")))
    parts.append(f"<h2>Episodes</h2>{episode_table(runs)}")
    parts.append(f"<h2>Settings</h2>{settings_table(main)}")
    title = html.escape(f"{plant}: control report")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<!doctype html><html lang="en"><head>{head}<title>{title}</title><style>{CSS.read_text(encoding="utf-8")}</style></head>'
    return f"{head}<body><main>{''.join(parts)}</main></body></html>\n"


def headline(plant: str, run: Run, compared: bool) -> str:
    """The title, and in a sentence what was done."""
    settings, problem = run.config["settings"], run.config["problem"]
    policy = settings.get("policy", "planner")
    who = (
        str(settings.get("planner", "a planner")).upper()
        if policy == "planner"
        else {"zero": "No action", "random": "Random actions"}[policy]
    )
    if ":" in who:
        who = str(settings["planner"])
    heavier = settings.get("plant_mass", 1.0)
    notes = [f"{who} on {plant}, a decision every {1e3 * problem['period']:.3g} ms"]
    if heavier != 1.0:
        notes.append(f"the plant is {heavier:g} × as heavy as the plan model believes")
    if problem["guardrails"] and policy == "planner":
        kept = ", ".join(problem["guardrails"])
        notes.append(f"guardrail: {kept}" if problem["guarded"] else f"planned without the guardrail {kept}")
    if compared:
        notes.append("and the same without the guardrail, for comparison")
    stopped = any(episode.get("interrupted") for episode in run.episodes) or not run.episodes
    warning = '<p class="bad">This run was stopped before its end.</p>' if stopped else ""
    return f'<h1>{html.escape(plant)}</h1><p class="soft">{html.escape("; ".join(notes))}.</p>{warning}'


def tiles(label: str, run: Run) -> str:
    """The figures of one run."""
    summary = summarise(run.steps, run.episodes)
    cells = []
    for key, name in SCORES:
        entry = summary.get(key)
        if entry and entry["of"]:
            tone = "good" if entry["count"] == entry["of"] else "bad"
            interval = f"{100 * entry['low']:.0f}–{100 * entry['high']:.0f} % (95 %)" if entry["of"] > 1 else ""
            cells.append(tile(f"{entry['count']} of {entry['of']}", name, tone, interval))
    if summary["episodes"]:
        cells.append(tile(say(summary["return"]["mean"], 4), "return", "", _interval(summary["return"])))
    if "distance" in summary and summary["distance"]["mean"] is not None:
        cells.append(tile(say(summary["distance"]["mean"], 2), "distance to the goal at the end", "", _interval(summary["distance"])))
    for name, kept in summary.get("kept", {}).items():
        tone = "good" if kept["count"] == kept["of"] else "bad"
        cells.append(tile(f"{kept['count']} of {kept['of']}", f"kept: {name}", tone, f"smallest margin {say(summary['margins'][name])}"))
    if "replan_ms" in summary:
        cells.append(tile(f"{summary['replan_ms']['p50']:.1f} ms", "replan, median", "", f"p99 {summary['replan_ms']['p99']:.1f} ms"))
    title = f"<h2>{html.escape(label)}</h2>" if label else "<p></p>"
    return f'{title}<div class="tiles">{"".join(cells)}</div>'


def tile(value: str, name: str, tone: str, small: str = "") -> str:
    """One figure."""
    note = f"<small>{html.escape(small)}</small>" if small else ""
    return f'<div class="card tile"><b class="{tone}">{html.escape(value)}</b><span>{html.escape(name)}</span>{note}</div>'


def section(title: str, text: str, runs: Mapping[str, Run], make: Callable[[Run], str], present: Callable[[Run], bool]) -> str:
    """A heading, a sentence, and one figure for each run that has something to show."""
    figures = [
        f"<figure>{f'<figcaption>{html.escape(label)}</figcaption>' if label else ''}{make(run)}</figure>"
        for label, run in runs.items()
        if present(run)
    ]
    kind = "grid one" if len(figures) == 1 else "grid"
    return f'<h2>{title}</h2><p class="soft">{text}</p>' + (f'<div class="{kind}">{"".join(figures)}</div>' if figures else "")


def video(run: Run) -> str:
    """The film, inside the page."""
    assert run.video is not None
    return embedded_film(run.video)


def embedded_film(path: Path) -> str:
    """An MP4 file, inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<video controls autoplay muted loop playsinline src="data:video/mp4;base64,{data}"></video>'


def picture(draw: Draw, shared: tuple[float, float] | None) -> Callable[[Run], str]:
    """What makes a plot of a run, inside the page."""

    def make(run: Run) -> str:
        return embedded(png(draw, run, limits=shared), (draw.__doc__ or "").strip())

    return make


def embedded(data: bytes, alt: str) -> str:
    """A PNG, inside the page."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def has(field: str) -> Callable[[Run], bool]:
    """Whether the first episode of a run has something in this field."""
    return lambda run: any(step.get(field) for step in first_episode(run))


def episode_table(runs: Mapping[str, Run]) -> str:
    """One row for each episode."""
    rows: list[Sequence[str]] = []
    several = len(runs) > 1
    for label, run in runs.items():
        for episode in run.episodes:
            margins = [value for value in (episode.get("margins") or {}).values() if value is not None]
            ending = "interrupted" if episode.get("interrupted") else "terminated" if episode["terminated"] else "to the end"
            ending = "diverged" if episode.get("diverged") else ending
            success = {None: "–", True: "yes", False: "no"}[episode.get("success")]
            cells = [str(episode["seed"]), say(episode["return"], 4), str(episode["steps"]), ending, success]
            cells += [
                say(min(margins)) if margins else "–",
                str(episode.get("violated_steps", "–")),
                say(episode.get("distance")),
                say(episode.get("energy")),
            ]
            rows.append([label, *cells] if several else cells)
    head = ["seed", "return", "steps", "ended", "success", "least margin", "broken steps", "end distance", "energy per step"]
    return table(["run", *head] if several else head, rows) if rows else "<p>No episode was finished.</p>"


def settings_table(run: Run) -> str:
    """Everything that the figures depend on."""
    rows = [[name.replace("_", "-"), _plain(value)] for name, value in run.config["settings"].items()]
    rows += [[f"version of {name}", str(value)] for name, value in run.config.get("versions", {}).items()]
    return f'<div class="settings">{table(["setting", "value"], rows)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table that scrolls sideways on a phone."""
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{"".join(f"<th>{html.escape(name)}</th>" for name in head)}</tr>{body}</table></div>'


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _interval(entry: dict[str, Any]) -> str:
    return "" if entry["interval"] is None else f"{say_mean(entry, 4)} (95 %)"
