"""The page of a world model of Two Rooms: what it is worth, what came of planning in it, how it learned, and a film of its plans."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
from matplotlib.figure import Figure

import ebm
import envs
import planners

from ._film import FAN, PLAN, Encoder
from ._plots import legend, picture
from ._report import CSS, embedded, embedded_film, table, tile
from ._rooms_diagnosis import LIGHTS, readout
from ._rooms_eval import ENV, planned, play
from ._runs import METRICS, REPORT, VIDEO, read_lines, write
from ._statistics import rate

ZOOM, COLUMNS, SHOWN, RATE = 4, 3, 6, 25.0  # times as large; films in a row; films; frames a second
PATH, GOAL, FADED, WALL, DOT = (47, 111, 192), (31, 157, 99), (250, 205, 222), (60, 70, 82), (31, 41, 51)  # RGB


class Drawn(NamedTuple):
    """What plays again what is shown; `replan` is the number of steps from plan to plan."""

    model: ebm.JEPA
    planner: planners.AbstractPlanner
    replan: int
    env: str = ENV


def write_page(folder: Path, record: Mapping[str, Any], rows: Mapping[str, Sequence[Mapping[str, Any]]], drawn: Drawn) -> Path:
    """`report.html` in a run folder.

    **Arguments:**

    - `record`: what `ebm eval` wrote. `rows`: the same episodes of the planner, which comes first, and of every floor.
    - `drawn`: to play again what is shown.
    """
    name = next(iter(rows))
    seeds = [episode["seed"] for episode in rows[name]]
    failed = [episode["seed"] for episode in rows[name] if not episode["success"]]
    film = write_film(folder / VIDEO, drawn, seeds[:SHOWN])
    tiles = "".join(_tile(row, episodes, row == name) for row, episodes in rows.items())
    lights = [[key, _say(record["diagnosis"].get(key)), _color(key, record["diagnosis"]), light.knob] for key, light in LIGHTS.items()]
    parts = [
        f'<h1>Two Rooms</h1><p class="soft">{html.escape(name)}; success is being {html.escape(record["success"])}.</p>',
        f'<div class="tiles">{tiles}</div>',
        '<h2>Plans</h2><p class="soft">The first episodes. Blue: where the dot has been. Pink: the latest plans, as imagined. '
        "Green: where to go, as near as counts.</p>",
        f'<div class="grid one"><figure>{embedded_film(film)}</figure></div>',
    ]
    if failed:
        gallery = picture(lambda figure: _draw_ends(figure, drawn, failed[:SHOWN]), (9.0, 3.2 * -(-min(len(failed), SHOWN) // COLUMNS)))
        parts.append(f'<h2>What went wrong</h2><div class="grid one"><figure>{embedded(gallery, "Ends of failed episodes")}</figure></div>')
    parts.append(f"<h2>The model, before anybody plans in it</h2>{table(['measure', '', 'light', 'if not green'], lights)}")
    learned = read_lines(folder / METRICS)
    if learned:
        curves = picture(lambda figure: _draw_curves(figure, learned), (10.5, 3.4))
        parts.append(f'<h2>How it learned</h2><div class="grid one"><figure>{embedded(curves, "Losses over steps")}</figure></div>')
    head = f'<meta charset="utf-8"><title>Two Rooms</title><style>{CSS.read_text(encoding="utf-8")}</style>'
    path = folder / REPORT
    write(path, f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n')
    return path


def write_film(path: Path, drawn: Drawn, seeds: Sequence[int]) -> Path:
    """Episodes side by side, as an MP4 file."""
    films = [_play(drawn, seed) for seed in seeds]
    blank = np.full_like(films[0][0], 255)
    films += [[blank] * len(films[0])] * (-len(films) % min(COLUMNS, len(films)))
    across = min(COLUMNS, len(films))
    height, width = blank.shape[:2]
    with Encoder(path, RATE, (height * len(films) // across, width * across)) as encode:
        for frames in zip(*films, strict=True):
            encode(np.concatenate([np.concatenate(frames[i : i + across], axis=1) for i in range(0, len(frames), across)]))
    return path


def paint(observation: np.ndarray, path: np.ndarray, goal: np.ndarray, near: float, plans: Sequence[np.ndarray]) -> np.ndarray:
    """One picture, uint8 of shape (height, width, 3), where the dot has been, and where it may go, px, each of shape (point, 2)."""
    dot, walls = (channel[1:, 1:, None] / 255.0 for channel in observation)
    image = 255.0 + walls * (np.array(WALL) - 255.0)
    image = (image + dot * (np.array(DOT) - image)).astype(np.uint8)
    image = np.kron(image, np.ones((ZOOM, ZOOM, 1), np.uint8))
    turn = np.linspace(0, 2 * np.pi, 40)
    ring = goal + near * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    image = envs.draw_lines(image, _pixels(ring), GOAL)
    for age, plan in zip(range(len(plans) - 1, -1, -1), plans, strict=True):
        share = 1.0 - age / FAN
        color = [round(share * new + (1 - share) * old) for new, old in zip(PLAN, FADED, strict=True)]
        image = envs.draw_lines(image, _pixels(plan), (color[0], color[1], color[2]))
    return envs.draw_lines(image, _pixels(path), PATH)


def _play(drawn: Drawn, seed: int) -> list[np.ndarray]:
    """The pictures of an episode."""
    env = cast(Any, gymnasium.make(drawn.env).unwrapped)
    weights, frames, plans, path = readout(drawn.model, env.model), [], [], []

    def told(plan: planners.Plan) -> None:
        plans.append(weights[0] + np.asarray(plan.trajectory.states.features) @ weights[1:])

    def watch(observation: np.ndarray, info: Mapping[str, Any]) -> None:
        path.append(info["position"])
        frames.append(paint(observation, np.array(path), info["goal"], env.at_goal, plans[-FAN:]))

    play(planned(drawn.model, drawn.planner, seed, drawn.replan, told), seed, drawn.replan, watch, drawn.env)
    return frames


def _pixels(places: np.ndarray) -> np.ndarray:
    """Columns and rows of a line through places, px, two pixels wide; the large picture begins in the middle of the first pixel."""
    return (np.asarray(places, float) - 0.5) * ZOOM + np.array([[[0, 0]], [[0, 1]], [[1, 0]]])


def _draw_ends(figure: Figure, drawn: Drawn, seeds: Sequence[int]) -> None:
    panels = figure.subplots(-(-len(seeds) // COLUMNS), COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, seed in zip(panels, seeds, strict=False):
        axes.imshow(_play(drawn, seed)[-1])
        axes.set_title(f"seed {seed}", fontsize=10)


def _draw_curves(figure: Figure, lines: Sequence[Mapping[str, Any]]) -> None:
    stages = list(dict.fromkeys(line["stage"] for line in lines))
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        known = [line for line in lines if line["stage"] == stage]
        names = [name for name in known[0] if name not in ("stage", "step", "sitting", "seconds", "gradient", "share")]
        for name in names:
            if not name.endswith((" weighed", " pull")):
                axes.plot([line["step"] for line in known], [abs(line[name] or np.nan) for line in known], label=name)
        axes.set(title=stage, xlabel="step", yscale="log")
        axes.tick_params(labelsize=8)
        legend(axes)


def _tile(row: str, episodes: Sequence[Mapping[str, Any]], main: bool) -> str:
    entry = rate([episode["success"] for episode in episodes])
    interval = f"{100 * entry['low']:.0f}–{100 * entry['high']:.0f} % (95 %)"
    return tile(f"{entry['count']} of {entry['of']}", "success" if main else row, "good" if main else "", interval)


def _color(key: str, diagnosis: Mapping[str, Any]) -> str:
    value = diagnosis.get(key)
    return LIGHTS[key].color(float("nan") if value is None else value)


def _say(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
