"""`ebm bench rooms-planners`: planners in one frozen world model of Two Rooms, each with six budgets, on the same episodes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

import ebm
import planners

from . import _rooms, _rooms_eval
from ._eval import MODELS
from ._plots import curve
from ._record import Record
from ._rooms_eval import NOISE
from ._statistics import rate, say_rate

HORIZON, EPISODES = 18, 50  # steps of the model
SAMPLING = ((16, 1), (32, 2), (64, 3), (100, 4), (200, 6), (400, 10))  # samples, iterations
STARTS = ((1, 5), (2, 10), (4, 20), (8, 30), (16, 40), (32, 60))  # starts, gradient steps
WHOLE = ((1, 10), (2, 20), (4, 40), (8, 40), (16, 60), (32, 80))  # starts, gradient steps with free states in each of 4 rounds

Make = Callable[[ebm.JEPA, ebm.Box], planners.AbstractPlanner]


def lineup() -> dict[str, Make]:
    """Row -> what makes its planner."""
    rows: dict[str, Make] = {}
    for samples, iterations in SAMPLING:
        budget = f"{samples} samples, {iterations} iterations"
        rows[f"subgoals, {budget}"] = partial(_subgoals, samples, iterations)
        for name in ("cem", "icem", "mppi"):
            rows[f"{name}, {budget}"] = partial(_made, name, num_samples=samples, num_iterations=iterations, noise=NOISE)
        few = max(4, samples // 4)
        rows[f"hybrid, {budget}"] = partial(
            _made, "hybrid", num_samples=few, num_iterations=iterations, noise=NOISE, num_refinements=5 * iterations
        )
    for starts, steps in STARTS:
        rows[f"gradient, {starts} starts, {steps} steps"] = partial(_made, "gradient", num_starts=starts, num_iterations=steps, noise=NOISE)
    for starts, steps in WHOLE:
        rows[f"collocation, {starts} starts, {steps} steps"] = partial(
            _made, "collocation", num_starts=starts, num_iterations=steps, noise=NOISE
        )
    return rows


def run_sweep(path: Path, *, only: tuple[str, ...] = (), episodes: int = EPISODES) -> dict[str, Any]:
    """Play what `path` lacks."""
    model, region = _rooms.load(MODELS / "two-rooms")
    record = Record(path, "rooms-planners").data
    chosen = {name: make for name, make in lineup().items() if not only or any(part in name for part in only)}
    rows: dict[str, Any] = {}
    for name, make in chosen.items():
        rows[name] = partial(_episode, model, make(model, region))
    if not only:
        rows["inverse dynamics"] = lambda seed: _rooms_eval.play(_pursuing(model), seed, _rooms.HELD)
        for floor in ("random", "straight", "oracle"):
            rows[floor] = lambda seed, floor=floor: _rooms_eval.play(_rooms_eval.floor(floor, seed), seed)
    for name, run in rows.items():
        record = _rooms_eval.fill(path, record, {name: run}, range(episodes))
        jax.clear_caches()  # a process has no room for the programs of forty planners
    return record


def table(record: dict[str, Any]) -> Any:
    """Success and time of every row."""
    from rich.table import Table

    shown = Table(title="Planners in one world model of Two Rooms", title_justify="left")
    for column in ("", "success", "replan p50"):
        shown.add_column(column, justify="right" if column else "left")
    for name, episodes in record["rows"].items():
        times = np.concatenate([episode["replan_ms"][1:] for episode in episodes.values()])
        shown.add_row(name, say_rate(rate([episode["success"] for episode in episodes.values()])), f"{np.median(times):.1f} ms")
    return shown


def draw(figure: Any, record: dict[str, Any]) -> None:
    """Success over time, a line for each planner, with intervals."""
    axes = figure.add_subplot()
    kinds = list(dict.fromkeys(name.partition(", ")[0] for name in record["rows"] if ", " in name))
    for i, kind in enumerate(kinds):
        known = [list(episodes.values()) for name, episodes in record["rows"].items() if name.partition(", ")[0] == kind]
        times = np.array([np.median(np.concatenate([episode["replan_ms"][1:] for episode in row])) for row in known])
        rates = [rate([episode["success"] for episode in known[j]]) for j in np.argsort(times)]
        curve(axes, np.sort(times).tolist(), rates, i, kind)
    for floor in ("straight", "oracle", "inverse dynamics"):
        if floor in record["rows"]:
            outcome = rate([episode["success"] for episode in record["rows"][floor].values()])
            axes.axhline(outcome["rate"], color="#6b7785", linestyle=":", linewidth=1.2)
            axes.text(1.0, outcome["rate"], f" {floor}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set(xscale="log", xlabel="a replan, ms", ylabel="episodes that succeed", ylim=(-0.03, 1.03))
    axes.legend(ncols=2)


def _subgoals(samples: int, iterations: int, model: ebm.JEPA, region: ebm.Box) -> planners.AbstractPlanner:
    return _rooms_eval.make_planner("subgoals", model, region, HORIZON, samples, iterations)


def _made(name: str, model: ebm.JEPA, region: ebm.Box, **options: Any) -> planners.AbstractPlanner:
    del model, region
    return planners.planner(name, horizon=HORIZON, **options)


def _episode(model: ebm.JEPA, planner: planners.AbstractPlanner, seed: int) -> _rooms_eval.Episode:
    return _rooms_eval.play(_rooms_eval.planned(model, planner, seed), seed, _rooms.HELD)


def _pursuing(model: ebm.JEPA) -> _rooms_eval.Policy:
    """Planning amortised in an inverse model: what displacement coordinates say leads there, with no search at all."""
    pursue, goal = ebm.Pursuit(model.action_space), np.zeros(0)

    @eqx.filter_jit
    def choose(model: ebm.JEPA, observation: Any, goal: Any) -> Any:
        return pursue(model.encode(observation), goal)

    def policy(observation: Any, info: dict[str, Any], tick: int) -> np.ndarray:
        nonlocal goal
        if tick == 0:
            goal = eqx.filter_jit(model.encode)(info["goal_picture"]).features
        return np.asarray(choose(model, observation, goal))

    return policy
