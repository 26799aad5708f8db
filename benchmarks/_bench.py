"""`ebm bench SUITE`: run a suite of rows into one JSON file. It can be interrupted, and goes on where it stopped."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._errors import Interrupted, UsageError, missing, near

RESULTS = Path(__file__).parent / "results"
DRAWN = ("planners",)  # suites that also get a page with pictures


@dataclasses.dataclass(frozen=True)
class Bench:
    """Run benchmark suites: every row of a table, with floors beside it, into a JSON file that is written after each episode.

    A suite that was interrupted goes on where it stopped. Episodes that were recorded under other settings are run again.
    """

    suite: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SUITE", help_behavior_hint="")]] = "all"
    """Which one, or `all`; or `compute`, many episodes in one program; `realtime`, in real time; `peers`, other libraries, which are
    installed beside ours; `two-rooms` and `objectives`, a training for every row; `rooms-planners`, `rooms-tasks`, `rooms-chance`
    and `rooms-speed`, in a model that was trained."""
    rows: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Only these rows: names, or parts of names. Repeatable. Not for `peers` and `rooms-speed`."""
    episodes: Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = None
    """At most so many per row, for a quick look."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = RESULTS
    """Where the JSON files are."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console

        from ._cli import keep_compiled
        from .suites import SUITES

        del command
        names = (*SUITES, *SPECIAL)
        if self.suite != "all" and self.suite not in names:
            raise UsageError(f"there is no suite {self.suite!r}.{near(self.suite, names)} There are {', '.join(names)}.")
        if self.episodes is not None and self.episodes < 1:
            raise UsageError(f"--episodes {self.episodes}: must be at least 1.")
        self.out.mkdir(parents=True, exist_ok=True)
        keep_compiled()
        if self.suite in SPECIAL:
            SPECIAL[self.suite](self, Console(stderr=True))
            return 0
        chosen = SUITES if self.suite == "all" else {self.suite: SUITES[self.suite]}
        _check(self.rows, [row.name for rows in chosen.values() for row in rows])
        for name, rows in chosen.items():
            _run(name, rows, self, Console(stderr=True))
        return 0


def _check(parts: tuple[str, ...], known: list[str]) -> None:
    for part in parts:
        if not any(part in name for name in known):
            raise UsageError(f"--rows {part}: there is no such row.{near(part, known)}")


def _run(name: str, rows: Any, options: Bench, console: Any) -> None:
    from ._suite import run_suite

    path = options.out / f"{name}.json"
    record, interrupted = run_suite(name, rows, path, console, only=options.rows, episodes=options.episodes)
    console.print(_table(name, record))
    if name in DRAWN and not missing("matplotlib"):
        from ._suite_page import write_page

        console.print(f"page: {write_page(record, path.with_suffix('.html'))}", markup=False, soft_wrap=True, highlight=False)
    if interrupted:
        raise Interrupted(f"`ebm bench {name}` goes on from here; so far: {path}")


def _table(name: str, record: dict[str, Any]) -> Any:
    from rich.table import Table

    from ._statistics import say, say_mean, say_rate

    table = Table(title=name, title_justify="left")
    columns = ["", "episodes", "return", "not terminated", "success", "guardrails kept", "replan p50 / p99", "model steps", "asked"]
    kept = any("safe" in entry.get("summary", {}) for entry in record["rows"].values())
    for column in columns:
        if column != "guardrails kept" or kept:
            table.add_column(column, justify="left" if column in ("", "asked") else "right")
    for row, entry in record["rows"].items():
        summary = entry.get("summary")
        if summary is None:
            continue
        times = summary.get("replan_ms")
        cells = [row, str(summary["episodes"]), say_mean(summary["return"], 4), say_rate(summary["survived"])]
        cells += [say_rate(summary[key]) if key in summary else "" for key in ("success", "safe")[: 1 + kept]]
        cells += [f"{times['p50']:.1f} / {times['p99']:.1f} ms" if times else "", say(summary.get("model_steps")), entry["asked"]]
        table.add_row(*cells)
    return table


def _peers(options: Bench, console: Any) -> None:
    from statistics import mean

    from rich.table import Table

    from ._peers import run_peers

    with console.status("peers") as status:
        record = run_peers(options.out, lambda text: status.update(f"peers: {text}"))
    table = Table(title=record["problem"], title_justify="left")
    for column in ("peer / ours", "times faster", "peer / ours, ms", "plan: peer / ours", "closed loop: peer / ours"):
        table.add_column(column, justify="left" if column == "peer / ours" else "right")
    for name, row in record["rows"].items():
        low, high = row["interval"]
        costs = [f"{mean(row['peer'][kind]):.4g} / {mean(row['ours'][kind]):.4g}" for kind in ("plan", "loop")]
        table.add_row(name, f"{row['times_faster']:.1f} ({low:.1f}–{high:.1f})", f"{row['peer_ms']:.3g} / {row['ours_ms']:.3g}", *costs)
    console.print(table)


def _realtime(options: Bench, console: Any) -> None:
    from rich.table import Table

    from . import _latency
    from ._statistics import say, say_rate

    path = options.out / "realtime.json"
    _check(options.rows, list(_latency.every_row()))
    record, interrupted = _latency.run_realtime(path, console, only=options.rows, episodes=options.episodes)
    table = Table(title="realtime: 100 Hz, one core busy", title_justify="left")
    columns = ("delay", "success", "not fallen", "lateness p50 / p99 / p99.9, ms", "missed", "action() p99, ms", "plan, ms", "late plans")
    for column in columns:
        table.add_column(column, justify="left" if column == "delay" else "right")
    for name, entry in record["rows"].items():
        if "summary" not in entry:
            continue
        summary, late = entry["summary"], entry["summary"]["lateness_ms"]
        cells = [say_rate(summary["success"]), say_rate(summary["survived"]), " / ".join(say(late[key]) for key in ("p50", "p99", "p999"))]
        cells += [f"{summary['missed']['count']} of {summary['missed']['of']}", say(summary["action_ms"]["p99"])]
        cells += [say(summary["planning_ms"]["mean"]), f"{summary['late_plans']['count']} of {summary['late_plans']['of']}"]
        table.add_row(name, *cells)
    console.print(table)
    if interrupted:
        raise Interrupted(f"`ebm bench realtime` goes on from here; so far: {path}")


def _compute(options: Bench, console: Any) -> None:
    from . import _compute
    from ._plots import picture

    path = options.out / "compute.json"
    _check(options.rows, [entry.name for entry in _compute.entries()])
    record, interrupted = _compute.run_compute(path, console, only=options.rows, episodes=options.episodes)
    path.with_suffix(".png").write_bytes(picture(lambda figure: _compute.draw(figure, record), (10.5, 4.8)))
    console.print(_compute.table(record))
    if interrupted:
        raise Interrupted(f"`ebm bench compute` goes on from here; so far: {path}")


def _trainings(options: Bench, console: Any) -> None:
    from ._trainings import run_table, table

    path, folder = options.out / f"{options.suite}.json", Path("runs") / options.suite
    console.print(table(run_table(options.suite, path, folder, console, only=options.rows, episodes=options.episodes)))


def _rooms_planners(options: Bench, console: Any) -> None:
    from . import _rooms_sweep
    from ._plots import picture

    path = options.out / "rooms-planners.json"
    record = _rooms_sweep.run_sweep(path, only=options.rows, episodes=options.episodes or _rooms_sweep.EPISODES)
    path.with_suffix(".png").write_bytes(picture(lambda figure: _rooms_sweep.draw(figure, record), (7.5, 4.4)))
    console.print(_rooms_sweep.table(record))


def _rooms_tasks(options: Bench, console: Any) -> None:
    from ._rooms_tasks import EPISODES, run_tasks, table

    console.print(table(run_tasks(options.out / "rooms-tasks.json", only=options.rows, episodes=options.episodes or EPISODES)))


def _rooms_chance(options: Bench, console: Any) -> None:
    from ._rooms_chance import EPISODES, run_chance, table

    console.print(table(run_chance(options.out / "rooms-chance.json", only=options.rows, episodes=options.episodes or EPISODES)))


def _rooms_speed(options: Bench, console: Any) -> None:
    from ._rooms_speed import run_speed, table

    with console.status("rooms-speed") as status:
        record = run_speed(options.out / "rooms-speed.json", lambda text: status.update(f"rooms-speed: {text}"))
    console.print(table(record))


SPECIAL = {
    "compute": _compute,
    "rooms-speed": _rooms_speed,
    "rooms-planners": _rooms_planners,
    "rooms-tasks": _rooms_tasks,
    "rooms-chance": _rooms_chance,
    "realtime": _realtime,
    "peers": _peers,
    "two-rooms": _trainings,
    "objectives": _trainings,
}  # suites that are not made of rows
