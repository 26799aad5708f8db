"""`ebm bench SUITE`: run a suite of rows into one JSON file. It can be interrupted, and goes on where it stopped."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from ._errors import Interrupted, UsageError, near

RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Bench:
    """Run benchmark suites: every row of a table, with floors beside it, into a JSON file that is written after each episode.

    A suite that was interrupted goes on where it stopped. Episodes that were recorded under other settings are run again.
    """

    suite: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SUITE", help_behavior_hint="")]] = "all"
    """Which one, or `all`; or `peers`, for other libraries, which are installed beside ours."""
    rows: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Only these rows. Repeatable."""
    episodes: Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = None
    """At most so many per row, for a quick look."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = RESULTS
    """Where the JSON files are."""

    def run(self, command: str) -> int:
        """The exit code."""
        from ._cli import keep_compiled
        from ._suites import SUITES

        if self.suite == "peers":
            return _peers(self)
        if self.suite != "all" and self.suite not in SUITES:
            raise UsageError(
                f"there is no suite {self.suite!r}.{near(self.suite, (*SUITES, 'peers'))} There are {', '.join(SUITES)}, peers, and all."
            )
        if self.episodes is not None and self.episodes < 1:
            raise UsageError(f"--episodes {self.episodes}: must be at least 1.")
        known = [row.name for suite in SUITES.values() for row in suite]
        for name in self.rows:
            if name not in known:
                raise UsageError(f"--rows {name}: there is no such row.{near(name, known)}")
        keep_compiled()
        for name in SUITES if self.suite == "all" else (self.suite,):
            run_suite(name, self, command)
        return 0


def _peers(options: Bench) -> int:
    from rich.console import Console
    from rich.table import Table

    from ._peers import run_peers

    console = Console(stderr=True)
    with console.status("peers") as status:
        record = run_peers(options.out, lambda text: status.update(f"peers: {text}"))
    table = Table(title=record["problem"], title_justify="left")
    for column in ("peer / ours", "times faster", "peer ms", "our ms", "peer cost", "our cost"):
        table.add_column(column, justify="left" if column.startswith("peer /") else "right")
    for name, row in record["rows"].items():
        low, high = row["interval"]
        faster = f"{row['times_faster']:.1f} ({low:.1f}–{high:.1f})"
        table.add_row(name, faster, *(f"{row[key]:.4g}" for key in ("peer_ms", "ours_ms", "peer_cost", "ours_cost")))
    console.print(table)
    return 0


def run_suite(name: str, options: Bench, command: str) -> None:
    """Every row that is not finished, and then the table."""
    from rich.console import Console

    from ._episodes import Stop
    from ._runs import clean, versions
    from ._session import bar
    from ._suites import SUITES

    console, path = Console(stderr=True), options.out / f"{name}.json"
    options.out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = _read(path) or {"suite": name, "rows": {}}
    record |= {"command": f"ebm bench {name}", "versions": versions()}

    def save() -> None:
        record["rows"] = {row.name: record["rows"][row.name] for row in SUITES[name] if row.name in record["rows"]}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(clean(record), indent=1) + "\n")
        partial.replace(path)

    with Stop() as stop, bar(console) as progress:
        for row in SUITES[name]:
            if stop.asked or (options.rows and row.name not in options.rows):
                continue
            seeds = range(row.first_seed, row.first_seed + row.episodes)
            old = record["rows"].get(row.name, {})
            settings = json.loads(json.dumps(row.settings))
            kept = [episode for episode in old.get("episodes", []) if old.get("settings") == settings and episode["seed"] in seeds]
            entry: dict[str, Any] = {"asked": row.asked, "settings": settings, "episodes": kept}
            todo = [seed for seed in seeds[: options.episodes] if seed not in {episode["seed"] for episode in kept}]
            if kept:
                entry |= {"first_plan_s": old.get("first_plan_s"), "summary": _summary(kept)}
            record["rows"][row.name] = entry
            if todo:
                bench, policy = _prepare(row)
                task = progress.add_task(f"{name}: {row.name}", total=len(todo) * bench.max_steps, state="")
                entry["first_plan_s"] = policy.warm_up() if hasattr(policy, "warm_up") else None
                for seed in todo:
                    if stop.asked:
                        break
                    advance: Callable = lambda total, ms, task=task: progress.update(task, advance=1, state=f"return {total:.4g}")  # noqa: E731
                    kept.append(_episode(bench, policy, row, seed, stop, advance))
                    if kept[-1].pop("interrupted"):
                        kept.pop()
                    entry["summary"] = _summary(kept)
                    save()
                bench.plant.close()
    save()
    console.print(_table(name, record))
    if stop.asked:
        raise Interrupted(f"`ebm bench {name}` goes on from here; so far: {path}")


def _summary(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    from ._statistics import summarise

    return summarise([{"replan_ms": ms} for episode in episodes for ms in episode["replans_ms"]], episodes)


def _episode(bench: Any, policy: Any, row: Any, seed: int, stop: Any, progress: Callable) -> dict[str, Any]:
    from ._episodes import run_episode

    recorder = _Recorder()
    if row.oracle:
        policy = _Oracle(policy, bench)
    result = run_episode(
        bench,
        policy,
        None,
        recorder,
        episode=seed,
        seed=seed,
        stop=stop,
        watch=lambda *_: None,
        progress=progress,
    )
    steps = recorder.model_steps / max(len(recorder.replans), 1)
    return result | {"replans_ms": [round(ms, 2) for ms in recorder.replans], "results": recorder.results, "model_steps": steps}


def _prepare(row: Any) -> tuple[Any, Any]:
    import equinox as eqx

    import ebm
    import planners

    from ._episodes import Floor, PlannerPolicy
    from ._goals import Wishes
    from ._plant import build
    from ._poses import POSES, last_word
    from ._recommended import make

    nothing = Wishes((), (), (), ())
    bench = build(row.plant, nothing, mass=row.plant_mass, guarded=row.guarded, planned=row.planner is not None, env=row.env)
    if row.planner is None:
        return bench, Floor(bench, row.policy)
    problem, judged = cast(Any, bench.problem), cast(Any, bench.judged)
    if row.oracle:
        certain = problem.model.randomise(dict.fromkeys(problem.model.engine.parameters, (1.0, 1.0)))
        problem = ebm.Problem(certain, problem.energy, problem.guardrails)
    if row.scale != 1.0:
        problem = eqx.tree_at(lambda p: p.energy, problem, row.scale * problem.energy)
    planner = make(row.planner, dict(row.options))
    if row.pose is not None:
        problem, planner = POSES[row.pose](problem, planner, **row.pose_options)
    if row.period > 1:
        planner = planners.EventTriggered(planner, row.period)
    return bench, PlannerPolicy(bench._replace(problem=problem), planner, last_word(judged) if row.filtered else None)


class _Recorder:
    """Takes what a run folder would."""

    def __init__(self):
        self.replans: list[float] = []
        self.model_steps = 0.0
        self.results: dict[str, int] = {}

    def step(self, **line: Any) -> None:
        if line.get("replan_ms") is not None:
            self.replans.append(line["replan_ms"])
            self.model_steps += line["model_steps"]
            self.results[line["result"]] = self.results.get(line["result"], 0) + 1

    def episode(self, **row: Any) -> None:
        del row


class _Oracle:
    """A policy whose plan model has the mass and the friction of the plant in this episode."""

    def __init__(self, policy: Any, bench: Any):
        self.policy, self.bench = policy, bench

    def reset(self, seed: int) -> None:
        import equinox as eqx

        inner: Any = self.bench.plant.unwrapped
        model = self.policy.agent.problem.model
        plan = model.mj_model
        factors = {
            "mass": inner.model.body_mass.sum() / plan.body_mass.sum(),
            "friction": inner.model.geom_friction.sum() / plan.geom_friction.sum(),
            "damping": inner.model.dof_damping.sum() / max(plan.dof_damping.sum(), 1e-12),
        }
        known = {name: factor for name, factor in factors.items() if name in model.engine.parameters}
        self.policy.agent = eqx.tree_at(lambda agent: agent.problem.model, self.policy.agent, model.with_parameters(known))
        self.policy.reset(seed)

    def act(self) -> Any:
        return self.policy.act()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not a record of results ({error}). Move it away.") from error


def _table(name: str, record: dict[str, Any]) -> Any:
    from rich.table import Table

    from ._statistics import say_mean, say_rate

    table = Table(title=name, title_justify="left")
    for column in ("", "episodes", "return", "not terminated", "success", "replan p50 / p99", "asked"):
        table.add_column(column, justify="left" if column in ("", "asked") else "right")
    for row, entry in record["rows"].items():
        summary = entry.get("summary")
        if summary is None:
            continue
        times = summary.get("replan_ms")
        table.add_row(
            row,
            str(summary["episodes"]),
            say_mean(summary["return"], 4),
            say_rate(summary["survived"]),
            say_rate(summary["success"]) if "success" in summary else "",
            f"{times['p50']:.1f} / {times['p99']:.1f} ms" if times else "",
            entry["asked"],
        )
    return table
