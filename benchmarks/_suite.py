"""Run the rows of a suite into one record, which is on disk after every episode; whoever interrupts it can go on later."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax
from rich.console import Console

import ebm
import planners

from ._budget import KNOBS, Cost, Fit, fit
from ._episodes import Floor, PlannerPolicy, Stop, run_episode, start_episode
from ._goals import Wishes
from ._judge import Judge
from ._plant import Bench, build
from ._poses import POSES, certain, last_word
from ._recommended import accepted, make
from ._record import Record
from ._riccati import Riccati
from ._row import Row
from ._session import bar
from ._statistics import summarise

FITTING_STEPS, FITTING_WARM = 10, 3  # replans that are measured to fit a budget, of which the first do not count

TIMES_KEPT = 40  # replan times of an episode in the record, which would be megabytes otherwise

Options = dict[str, Any]


def run_suite(
    name: str, rows: tuple[Row, ...], path: Path, console: Console, *, only: tuple[str, ...], episodes: int | None
) -> tuple[Options, bool]:
    """Every row that is not finished; the record, and whether it was interrupted.

    **Arguments:**

    - `path`: of the record, which is read first, if there is one.
    - `only`: names of rows, or parts of names; all if empty. `episodes`: at most so many per row.
    """
    record, order = Record(path, name), [row.name for row in rows]
    measured: dict[str, Cost] = {}
    with Stop() as stop, bar(console) as progress:
        for row in rows:
            if stop.asked or (only and not any(part in row.name for part in only)):
                continue
            seeds = _seeds(row, record)
            entry = record.entry(row.name, row.settings, seeds, ("fitted", "skipped", "first_plan_s"))
            entry |= {"asked": row.asked} | ({"summary": _summary(entry["episodes"])} if entry["episodes"] else {})
            done = {episode["seed"] for episode in entry["episodes"]}
            todo = [seed for seed in seeds[:episodes] if seed not in done]
            if not todo or "skipped" in entry:
                continue
            task = progress.add_task(f"{name}: {row.name}", total=None, state="")
            try:
                bench, policy = prepare(row, _fitted(row, entry, measured) if row.budget else {})
            except ValueError as error:
                if not row.budget:
                    raise
                entry["skipped"] = str(error)
                record.save(order)
                progress.remove_task(task)
                continue
            progress.update(task, total=len(todo) * bench.max_steps)
            entry["first_plan_s"] = policy.warm_up() if isinstance(policy, PlannerPolicy) else None
            for seed in todo:
                advance: Callable = lambda total, ms, task=task: progress.update(task, advance=1, state=f"return {total:.4g}")  # noqa: E731
                episode = _episode(row, bench, policy, seed, stop, advance)
                if stop.asked:
                    break
                entry["episodes"].append(episode)
                entry["summary"] = _summary(entry["episodes"])
                record.save(order)
            bench.plant.close()
            jax.clear_caches()  # every row compiles its own programs, and a process can map only so many
    record.save(order)
    return record.data, stop.asked


def _seeds(row: Row, record: Record) -> Sequence[int]:
    """Of the episodes of a row; those of a row that repeats others follow from what is recorded of them."""
    if not row.repeats:
        return range(row.first_seed, row.first_seed + row.episodes)
    episodes = [episode for name in row.repeats for episode in record.rows.get(name, {}).get("episodes", ())]
    return sorted({episode["seed"] for episode in episodes if episode["violated_steps"]})


def prepare(row: Row, more: Options) -> tuple[Bench, Any]:
    """The plant of a row and its policy, whose planner has the options in `more`, too."""
    given: Options = {"mass": row.plant_mass, "friction": row.friction, "delay": row.delay, "env": row.env, "guarded": row.guarded}
    planned = row.planner is not None
    bench = build(row.plant, Wishes((), (), (), ()), planned=planned or row.policy == "riccati", **given)
    drawn: Any = getattr(getattr(bench.problem, "model", None), "engine", None)
    if row.oracle and not drawn.parameters:
        bench.plant.close()
        bench = build(row.plant, Wishes((), (), (), ()), known=True, **given)
    bench = bench._replace(max_steps=row.max_steps or bench.max_steps)
    if row.policy == "riccati":
        return bench, Riccati(bench)
    if row.planner is None:
        return bench, Floor(bench, row.policy)
    problem, judged = cast(Any, bench.problem), cast(Any, bench.judged)
    if row.counted:
        counted = tuple(guardrail for guardrail in judged.guardrails if guardrail.name in row.counted)
        bench = bench._replace(judged=eqx.tree_at(lambda p: p.guardrails, judged, counted))
    if row.oracle and drawn.parameters:
        problem = certain(problem)
    if row.margin and problem.guardrails:
        tightened = tuple(ebm.Tightened(guardrail, row.margin * guardrail.scale) for guardrail in problem.guardrails)
        problem = eqx.tree_at(lambda p: p.guardrails, problem, tightened)
    if row.scale != 1.0:
        problem = eqx.tree_at(lambda p: p.energy, problem, row.scale * problem.energy)
    planner = make(row.planner, dict(row.options) | more, problem.action_space)
    if row.pose is not None:
        problem, planner = POSES[row.pose](problem, planner, **row.pose_options)
    if row.period > 1:
        planner = planners.EventTriggered(planner=planner, period=row.period)  # pyright: ignore[reportCallIssue]
    kind = Oracle if row.oracle and drawn.parameters else PlannerPolicy
    return bench, kind(bench._replace(problem=problem), planner, last_word(judged) if row.filtered else None, row.restart)


class Oracle(PlannerPolicy):
    """A policy whose plan model has the mass and the friction of the plant in this episode."""

    def reset(self, seed: int) -> None:
        """Look at the plant, and begin."""
        inner, problem = self.simulator, cast(Any, self.agent.problem)
        model = problem.model
        plan = model.mj_model
        factors = {
            "mass": inner.model.body_mass.sum() / plan.body_mass.sum(),
            "friction": inner.model.geom_friction.sum() / plan.geom_friction.sum(),
            "damping": inner.model.dof_damping.sum() / max(plan.dof_damping.sum(), 1e-12),
        }
        known = {name: factor for name, factor in factors.items() if name in model.engine.parameters}
        where: Any = lambda agent: agent.problem.model  # noqa: E731
        self.agent = eqx.tree_at(where, self.agent, model.with_parameters(known))
        super().reset(seed)


class Recorder:
    """Takes what a run folder would."""

    def __init__(self):
        self.replans: list[float] = []
        self.model_steps = 0.0
        self.results: dict[str, int] = {}

    def step(self, **line: Any) -> None:
        """Keep what the replan cost and how it ended."""
        if line.get("replan_ms") is not None:
            self.replans.append(line["replan_ms"])
            self.model_steps += line["model_steps"]
            self.results[line["result"]] = self.results.get(line["result"], 0) + 1

    def episode(self, **row: Any) -> None:
        """Nothing: the row is returned as well."""


def _episode(row: Row, bench: Bench, policy: Any, seed: int, stop: Stop, progress: Callable) -> Options:
    recorder = Recorder()
    judge = Judge(bench.judged) if row.judged and bench.judged is not None else None
    quiet: Options = {"stop": stop, "watch": lambda *_: None, "progress": progress}
    result = run_episode(bench, policy, judge, recorder, episode=seed, seed=seed, **quiet)
    del result["interrupted"]
    steps = recorder.model_steps / max(len(recorder.replans), 1)
    times = [round(ms, 2) for ms in _some(recorder.replans)]
    return result | {"replans_ms": times, "results": recorder.results, "model_steps": steps}


def _some(values: list[float]) -> list[float]:
    """No more of them than are kept, spread evenly over the episode."""
    return values if len(values) <= TIMES_KEPT else [values[i * len(values) // TIMES_KEPT] for i in range(TIMES_KEPT)]


def _fitted(row: Row, entry: Options, measured: dict[str, Cost]) -> Options:
    """Options with which a replan stays within the row's budget: found once, and kept in its entry.

    **Raises:**

    `ValueError` if the least that the planner can do is more.
    """
    if "fitted" not in entry:
        found = fitted(row, measured)
        if found.options is None:
            steps, ms = found.cost
            raise ValueError(f"The least that it can do takes {steps:.0f} model steps, {ms:.0f} ms.")
        entry["fitted"] = {"options": found.options, **found.cost._asdict()}
    return entry["fitted"]["options"]


def fitted(row: Row, measured: dict[str, Cost]) -> Fit:
    """How a row's planner spends its budget.

    **Arguments:**

    - `measured`: what is known of the costs of this planner and others, whatever the budget; what is found out comes to it.
    """

    def measure(options: Options) -> Cost:
        asked = json.dumps([row.settings | {"budget": None}, options], sort_keys=True)
        if asked not in measured:
            measured[asked] = cost(row, options)
        return measured[asked]

    return fit(knobs(cast(str, row.planner)), row.budget, measure)


def knobs(planner: str) -> tuple[str, ...]:
    """What this planner can do less of, in the order in which it is given up."""
    return tuple(accepted(planner, KNOBS))


def cost(row: Row, options: Options) -> Cost:
    """What a replan costs with these options, at the beginning of a training episode."""
    bench, policy = prepare(row, options)
    start_episode(bench.plant, bench.keyframe, 0)
    policy.reset(0)
    steps, times = [], []
    for _ in range(FITTING_STEPS):
        decision = policy.act()
        steps.append(decision.model_steps)
        times.append(decision.milliseconds)
        if bench.plant.step(decision.action)[2]:
            start_episode(bench.plant, bench.keyframe, 0)
    bench.plant.close()
    return Cost(statistics.mean(steps[FITTING_WARM:]), statistics.median(times[FITTING_WARM:]))


def _summary(episodes: list[Options]) -> Options:
    summary = summarise([{"replan_ms": ms} for episode in episodes for ms in episode["replans_ms"]], episodes)
    planned = [episode["model_steps"] for episode in episodes if episode["replans_ms"]]
    return summary | ({"model_steps": statistics.mean(planned)} if planned else {})
