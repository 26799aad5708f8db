"""`ebm bench realtime`: a 100 Hz loop in real time, with delays between sending an action and its effect, and one core busy.

The cart of `CartTable-v0` waits for nobody: its physics takes a step every 10 ms, with whatever action has come through. Every delay is
run with and without looking ahead to the moment when a plan takes effect, over the same shoves.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console

import ebm
import envs
import planners

from ._episodes import Stop
from ._plant import Delayed, scale_plant
from ._record import Entry, Record
from ._session import bar
from ._statistics import mean, rate

PERIOD = 0.01  # s
SECONDS, MASS = 6.0, 1.3
DELAYS = (0.0, 0.02, 0.05, 0.1)  # s
EPISODES, FIRST_SEED = 50, 1000
BIN = 0.02  # ms: how finely latenesses are counted
NUM_LATENTS = 2
OPTIONS = {"horizon": 20, "num_samples": 24, "noise": 0.15}  # quick and fine: chosen on seeds 0 … 7
SETTINGS = {"period": PERIOD, "seconds": SECONDS, "plant_mass": MASS, "num_latents": NUM_LATENTS, "planner": "mppi", "options": OPTIONS}


def run_realtime(path: Path, console: Console, *, only: tuple[str, ...] = (), episodes: int | None = None) -> tuple[Entry, bool]:
    """Every row that is not finished; the record, and whether it was interrupted."""
    record = Record(path, "realtime")
    rows = every_row()
    seeds = range(FIRST_SEED, FIRST_SEED + EPISODES)
    entries = {name: record.entry(name, settings, seeds) for name, settings in rows.items()}
    env = envs.CartTableEnv(seconds=SECONDS, period=PERIOD)
    scale_plant(env, MASS)
    agent = planners.Agent(envs.cart_table(num_latents=NUM_LATENTS), planners.planner("mppi", **OPTIONS), ebm.Direct())
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Stop() as stop, bar(console) as progress:
            task = progress.add_task("realtime", total=len(rows) * len(seeds[:episodes]), state="")
            for seed in seeds[:episodes]:  # episodes take turns: what else the machine does falls on all rows alike
                for name, settings in rows.items():
                    episode = next((e for e in entries[name]["episodes"] if e["seed"] == seed), None)
                    asked = not only or any(part in name for part in only)
                    if episode is None and asked and not stop.asked:
                        episode = drive(env, agent, settings["delay"], settings["compensated"], seed, lambda: stop.asked)
                        if not stop.asked:
                            entries[name]["episodes"].append(episode)
                            record.save(rows)
                    progress.update(task, advance=1, state=name)
    finally:
        busy.kill()
        busy.wait()
    for entry in entries.values():
        if entry["episodes"]:
            entry["summary"] = summarise(entry["episodes"])
    record.save(rows)
    return record.data, stop.asked


def every_row() -> dict[str, Entry]:
    """The settings of the rows, by name."""
    known = {True: "looking ahead", False: "as late as it is"}
    return {
        f"{1e3 * delay:.0f} ms, {said}": SETTINGS | {"delay": delay, "compensated": ahead}
        for delay in DELAYS
        for ahead, said in known.items()
    }


def drive(env: Any, agent: planners.Agent, delay: float, ahead: bool, seed: int, stopped: Callable[[], bool]) -> Entry:
    """One episode in real time.

    **Arguments:**

    - `delay`: s from sending an action to its taking effect. `ahead`: whether the controller knows, and looks ahead.
    """
    plant, model = Delayed(env, round(delay / PERIOD)), cast(Any, agent.problem.model)
    plant.reset(seed=seed)
    history, lateness, waits = [], [], []
    missed, terminated = 0, False
    controller = planners.Realtime(agent, latency=delay if ahead else 0.0, compensate=ahead, seed=seed)
    with controller.start(model.state(env.data)):
        due = time.perf_counter()
        while not terminated and len(history) < round(SECONDS / PERIOD) and not stopped():
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            lateness.append(1e3 * (began - due))
            controller.observe(model.state(env.data), at=due)
            asked = time.perf_counter()
            action = controller.action()
            waits.append(1e3 * (time.perf_counter() - asked))
            _, _, terminated, _, info = plant.step(action)
            history.append(info)
            due += PERIOD
            missed += time.perf_counter() > due
        seen = controller.statistics
    if seen.error is not None:
        raise seen.error
    counts = Counter(round(round(ms / BIN) * BIN, 2) for ms in lateness)
    return {
        "seed": seed,
        "success": bool(env.success(history)),
        "fallen": bool(terminated),
        "steps": len(history),
        "missed": missed,
        "lateness_ms": {str(ms): count for ms, count in sorted(counts.items())},
        "action_ms": {"p50": float(np.percentile(waits, 50)), "p99": float(np.percentile(waits, 99)), "max": max(waits)},
        "plans": seen.plans,
        "late_plans": seen.late,
        "stale": seen.stale,
        "planning_ms": {"p50": 1e3 * seen.planning_p50, "p99": 1e3 * seen.planning_p99},
    }


def summarise(episodes: list[Entry]) -> Entry:
    """The figures of a row."""
    counts: Counter[float] = Counter()
    for episode in episodes:
        counts.update({float(ms): count for ms, count in episode["lateness_ms"].items()})
    late = np.repeat(list(counts), list(counts.values()))
    p50, p99, p999 = np.percentile(late, [50, 99, 99.9]).tolist()
    steps = sum(episode["steps"] for episode in episodes)
    return {
        "episodes": len(episodes),
        "success": rate([episode["success"] for episode in episodes]),
        "survived": rate([not episode["fallen"] for episode in episodes]),
        "lateness_ms": {"p50": p50, "p99": p99, "p999": p999},
        "missed": {"count": sum(episode["missed"] for episode in episodes), "of": steps},
        "action_ms": {
            "p50": float(np.median([episode["action_ms"]["p50"] for episode in episodes])),
            "p99": float(np.median([episode["action_ms"]["p99"] for episode in episodes])),
            "max": max(episode["action_ms"]["max"] for episode in episodes),
        },
        "planning_ms": mean([episode["planning_ms"]["p50"] for episode in episodes]),
        "late_plans": rate_of(episodes, "late_plans"),
        "stale": {"count": sum(episode["stale"] for episode in episodes), "of": steps},
    }


def rate_of(episodes: list[Entry], key: str) -> Entry:
    """How many of all plans."""
    return {"count": sum(episode[key] for episode in episodes), "of": sum(episode["plans"] for episode in episodes)}
