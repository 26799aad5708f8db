"""`ebm bench compute`: success against inference-time compute, for every planner: a whole closed loop over many episodes is one program."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import ebm
import envs
import planners

from ._budget import Cost
from ._episodes import Stop
from ._plots import curve
from ._poses import POSES
from ._recommended import LEFT_OUT, accepted, make
from ._record import Record
from ._row import Row
from ._session import bar
from ._statistics import rate, say, say_rate
from ._suite import fitted

BUDGETS = (1000, 2000, 4000, 8000, 16000, 32000)  # model steps a replan
CHUNK = 20  # replans that are compiled into one program, and between which one may stop
FLOORS = ("zero", "random")


class Episodes(NamedTuple):
    """Plants side by side: the states from which they begin, the plant's world, and what is wanted of the plan model."""

    problem: Any
    plant: Any
    starts: Any


@dataclasses.dataclass(frozen=True)
class Task:
    """A plant that is not quite the plan model.

    **Arguments:**

    - `begin`: seeds -> `Episodes`.
    - `succeeded`: states with leaves (step, episode, ...) -> which episodes did, shape (episode,).
    - `counted`: a row of a suite on the C engine, with which the model steps of a replan are counted.
    - `shared`: what all planners are told; each takes the options that it has.
    - `steps`: control periods of an episode; `every`: those between replans; `delay`: those that actions come late.
    - `episodes`: of every point. `said`: what the record says of plant and plan model.
    - `budgets`: model steps a replan. `posed`: what competes besides, by name: planner, options and pose.
    """

    begin: Callable[[range], Episodes]
    succeeded: Callable[[Any], Any]
    counted: Row
    shared: Mapping[str, Any]
    steps: int
    every: int
    delay: int
    episodes: int
    said: Mapping[str, Any]
    budgets: tuple[int, ...] = BUDGETS
    posed: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


def _cart_poles(seeds: range) -> Episodes:
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    starts = jax.vmap(lambda key: 0.1 * jax.random.uniform(key, (4,), minval=-1.0))(keys) + jnp.array([0.0, 0.0, jnp.pi, 0.0])
    plan = envs.CartPole()
    plant = envs.CartPole(cart_mass=1.2 * plan.cart_mass, pole_mass=1.2 * plan.pole_mass)
    return Episodes(envs.cart_pole(), plant, envs.CartPoleState(*starts.T))


def _stands(states: Any) -> Any:
    """The pole is within 0.2 rad of the top during the whole last second, and the cart never left its track."""
    up = jnp.cos(states.angle[-50:]) >= jnp.cos(0.2)
    return up.all(0) & (jnp.abs(states.position) <= 2.4).all(0)


def _mazes(seeds: range) -> Episodes:
    env: Any = gymnasium.make("PointMaze-v0", **MAZE)
    plan = envs.load(env, parameters={"mass": 1.0, "friction": 1.0})
    starts = []
    for seed in seeds:
        env.reset(seed=seed)
        starts.append(jax.tree.map(jnp.float32, plan.state(env.unwrapped.data)))
    return Episodes(
        ebm.Problem(plan, envs.maze_energy()),
        plan.with_parameters({"mass": 1.2, "friction": 0.8}),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts),
    )


def _arrives(states: Any) -> Any:
    """The ball came within 0.3 m of the goal."""
    away = jnp.stack([states.read("joint:x")[..., 0], states.read("joint:y")[..., 0]], -1) - states.read("mocap:goal")[..., :2]
    return (jnp.linalg.norm(away, axis=-1) <= 0.3).any(0)


MAZE = {"band": "near", "seconds": 20}
TASKS = {
    "cart-pole": Task(
        _cart_poles,
        _stands,
        Row("", "CartPoleSwingUp-v0"),
        {"horizon": 75, "noise": 0.5, "hold": 5},
        steps=400,
        every=1,
        delay=1,
        episodes=64,
        said={"world": "envs.CartPole", "mass": 1.2},
    ),
    "maze": Task(
        _mazes,
        _arrives,
        Row("", "PointMaze-v0", env=MAZE),
        {"horizon": 25, "noise": 0.5, "hold": 5},
        steps=200,
        every=4,
        delay=0,
        episodes=12,
        said={"world": "PointMaze-v0", "env": MAZE, "mass": 1.2, "friction": 0.8},
        budgets=(300, 600, 1200, 2400, 4800, 9600),
        posed={"hierarchy": {"planner": "mppi", "options": {"horizon": 15, "noise": 0.5}, "pose": "on the map"}},
    ),
}
FIRST_SEED = 2000


class Entry(NamedTuple):
    """One point of a curve."""

    task: str
    planner: str
    options: Mapping[str, Any]
    pose: str | None
    budget: int | None

    @property
    def name(self) -> str:
        """Task, planner and budget."""
        return f"{self.task}, {self.planner}" + (f", {self.budget}" if self.budget else "")


def entries() -> list[Entry]:
    """Every point: floors first, then planners by name."""
    every = []
    for name, task in TASKS.items():
        every += [Entry(name, floor, {}, None, None) for floor in FLOORS]
        known = {planner: {"planner": planner, "options": task.shared} for planner in planners.PLANNERS if planner not in LEFT_OUT}
        for called, said in (known | dict(task.posed)).items():
            options = {"planner": said["planner"]} | accepted(said["planner"], said["options"])
            every += [Entry(name, called, options, said.get("pose"), budget) for budget in task.budgets]
    return every


def run_compute(path: Path, console: Any, *, only: tuple[str, ...] = (), episodes: int | None = None) -> tuple[dict[str, Any], bool]:
    """Every point that is not in the file yet; the record, and whether it was interrupted.

    **Arguments:**

    - `path`: of the record, which is read first, if there is one. `only`: names of points, or parts of names; all if empty.
    - `episodes`: at most so many of each, for a quick look; a point that has more keeps them.
    """
    record, every = Record(path, "compute"), entries()
    measured: dict[str, Cost] = {}
    with Stop() as stop, bar(console) as progress:
        for entry in every:
            if stop.asked or (only and not any(part in entry.name for part in only)):
                continue
            task = TASKS[entry.task]
            every_seed = range(FIRST_SEED, FIRST_SEED + task.episodes)
            kept = record.entry(entry.name, _settings(entry), every_seed, ("fitted", "skipped", "summary"))
            seeds = every_seed[:episodes]
            if "skipped" in kept or len(kept["episodes"]) >= len(seeds):
                continue
            shown = progress.add_task(f"compute: {entry.name}", total=task.steps, state="")
            options: Mapping[str, Any] = {}
            if entry.budget:
                kept |= _fitted(entry, measured)
                options = kept.get("fitted", {}).get("options", {})
            if "skipped" not in kept:
                outcome = play(entry, options, seeds, stop, partial(progress.update, shown, advance=CHUNK * task.every))
                if outcome is None:
                    break
                kept |= _told(kept, seeds, *outcome)
            record.save([each.name for each in every])
            jax.clear_caches()  # every point compiles its own programs, and a process can map only so many
    record.save([each.name for each in every])
    return record.data, stop.asked


def play(entry: Entry, options: Mapping[str, Any], seeds: range, stop: Stop, tell: Callable[[], None]) -> tuple[Any, float] | None:
    """All episodes of a point side by side: which succeeded, and the ms of a replan of one of them; `None` if it was interrupted."""
    task = TASKS[entry.task]
    world = task.begin(seeds)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    policy = _policy(entry, options, world.problem)
    memory = eqx.filter_jit(eqx.filter_vmap(policy.init))(keys)
    late = jnp.zeros((len(seeds), task.delay, world.problem.action_space.size))
    carry, passed, began = (world.starts, memory, late), [], 0.0
    replans = task.steps // task.every
    for k in range(0, replans, CHUNK):
        carry, states = _advance(policy, world.plant, carry, task.every, min(CHUNK, replans - k))
        passed.append(jax.block_until_ready(states))
        began = began or time.perf_counter()  # the first chunk compiles
        tell()
        if stop.asked:
            return None
    spent = (time.perf_counter() - began) / max(replans - CHUNK, 1) / len(seeds)
    return np.asarray(task.succeeded(jax.tree.map(lambda *chunks: jnp.concatenate(chunks), *passed))), 1e3 * spent


class Planned(eqx.Module):
    """Episodes of an agent: `init(key)` is what it remembers, and `plan` gives the actions until the next replan."""

    agent: planners.Agent

    def init(self, key: Any) -> Any:
        """At the start of an episode."""
        return self.agent.init(key=key)

    def plan(self, state: Any, memory: Any, count: int) -> tuple[Any, Any]:
        """`count` actions, and the memory."""
        _, plan, memory = self.agent.decide(state, memory, elapsed=count * self.agent.problem.dt)
        return plan.actions[:count], eqx.tree_at(lambda memory: memory.action, memory, plan.actions[count - 1])


class Blind(eqx.Module):
    """A floor: no action, or random ones."""

    box: ebm.Box
    random: bool = eqx.field(static=True)

    def init(self, key: Any) -> Any:
        """The random numbers of an episode."""
        return key

    def plan(self, state: Any, memory: Any, count: int) -> tuple[Any, Any]:
        """`count` actions, and the random numbers that are left."""
        del state
        key, following = jax.random.split(memory)
        drawn = self.box.sample((count,), key=key)
        return drawn if self.random else jnp.broadcast_to(self.box.rest, drawn.shape), following


@eqx.filter_jit
def _advance(policy: Any, plant: Any, carry: Any, every: int, replans: int) -> tuple[Any, Any]:
    """So many replans of all episodes, with `every` control periods each; and all states that were passed, (step, episode, ...)."""

    def replan(carry, _):
        states, memory, late = carry
        actions, memory = jax.vmap(partial(policy.plan, count=every))(states, memory)

        def period(carry, action):
            states, late = carry
            late = jnp.concatenate([late, action[:, None]], axis=1)
            states = jax.tree.map(lambda old, new: new.astype(old.dtype), states, jax.vmap(plant.step)(states, late[:, 0]))
            return (states, late[:, 1:]), states

        (states, late), passed = jax.lax.scan(period, (states, late), jnp.swapaxes(actions, 0, 1))
        return (states, memory, late), passed

    carry, passed = jax.lax.scan(replan, carry, length=replans)
    return carry, jax.tree.map(lambda leaf: leaf.reshape(replans * every, *leaf.shape[2:]), passed)


def _policy(entry: Entry, options: Mapping[str, Any], problem: Any) -> Any:
    if entry.budget is None:
        return Blind(problem.action_space, entry.planner == "random")
    said = dict(entry.options) | dict(options)
    planner = make(said.pop("planner"), said, problem.action_space)
    if entry.pose is not None:
        problem, planner = POSES[entry.pose](problem, planner, period=1)
    return Planned(planners.Agent(problem, planner))


def _fitted(entry: Entry, measured: dict[str, Cost]) -> dict[str, Any]:
    """Options with which a replan takes no more than its budget; or why there are none."""
    said = dict(entry.options)
    planner = said.pop("planner")
    row = dataclasses.replace(TASKS[entry.task].counted, planner=planner, options=said, budget={"model_steps": entry.budget})
    if entry.pose is not None:
        row = dataclasses.replace(row, pose=entry.pose, pose_options={"period": 1})
    found = fitted(row, measured)
    if found.options is None:
        return {"skipped": f"The least that it can do takes {found.cost.model_steps:.0f} model steps."}
    return {"fitted": {"options": found.options, "model_steps": found.cost.model_steps}}


def _told(kept: Mapping[str, Any], seeds: range, success: Any, ms: float) -> dict[str, Any]:
    episodes = [{"seed": seed, "success": bool(good)} for seed, good in zip(seeds, success, strict=True)]
    summary = {"success": rate([episode["success"] for episode in episodes]), "ms": round(ms, 4)}
    if "fitted" in kept:
        summary["model_steps"] = kept["fitted"]["model_steps"]
    return {"episodes": episodes, "summary": summary}


def _settings(entry: Entry) -> dict[str, Any]:
    task = TASKS[entry.task]
    said = {"options": dict(entry.options), **task.said, "steps": task.steps, "every": task.every, "delay": task.delay}
    return said | ({"pose": entry.pose} if entry.pose else {}) | ({"budget": {"model_steps": entry.budget}} if entry.budget else {})


def table(record: Mapping[str, Any]) -> Any:
    """Success of every planner with every budget."""
    from rich.table import Table

    shown = Table(title="Success against compute", title_justify="left")
    for column in ("", "success", "model steps a replan", "ms"):
        shown.add_column(column, justify="right" if column else "left")
    for name, entry in record["rows"].items():
        if "summary" in entry:
            summary = entry["summary"]
            shown.add_row(name, say_rate(summary["success"]), say(summary.get("model_steps")), say(summary["ms"]))
        elif "skipped" in entry:
            shown.add_row(name, "–", "", "")
    return shown


def draw(figure: Any, record: Mapping[str, Any]) -> None:
    """The rate of success with its interval over model steps a replan, a line for each planner, a panel for each task."""
    points = {entry.name: entry for entry in entries()}
    known = {name: entry for name, entry in record["rows"].items() if "summary" in entry and name in points}
    everyone = list(dict.fromkeys(point.planner for point in points.values() if point.budget))
    panels = figure.subplots(1, len(TASKS), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, TASKS, strict=True):
        for i, planner in enumerate(everyone):
            measured = [entry["summary"] for name, entry in known.items() if points[name][:2] == (task, planner)]
            curve(axes, [point["model_steps"] for point in measured], [point["success"] for point in measured], i, planner)
        floors = [known[f"{task}, {floor}"]["summary"]["success"]["rate"] for floor in FLOORS if f"{task}, {floor}" in known]
        if floors:
            axes.axhline(max(floors), color="#6b7785", linestyle=":", linewidth=1.2, label="zero, random")
        axes.set(xscale="log", title=task, xlabel="model steps a replan", ylim=(-0.03, 1.03))
    panels[0].set_ylabel("episodes that succeed")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right center")
