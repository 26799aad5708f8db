"""Tables whose rows are trainings: `ebm bench two-rooms`, and `ebm bench objectives`, which says what each part of the recipe is worth.

A row is trained in a run folder of its own and judged by `ebm eval`, on the same pinned episodes as all others.
"""

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from . import _rooms_judged
from ._errors import UsageError, near
from ._eval import FLOORS, RESULT, Eval, settled
from ._record import Record
from ._rooms_diagnosis import LIGHTS, worst
from ._rooms_objectives import OBJECTIVES, compose
from ._statistics import rate, say_rate
from ._train import Train, trained_seconds

HALF = ("joint_steps=1500", "films=12000", "play=12000", "predictor_steps=4000")  # of the recipe's steps
TWICE = ("joint_steps=6000", "films=48000", "play=48000", "predictor_steps=16000")
FOURFOLD = ("joint_steps=12000", "films=96000", "play=96000", "predictor_steps=32000")
SEEDS = (0, 1, 2)
UNSEEN = (1, 2)  # with which no limit of a light was set


class Row(NamedTuple):
    """What is different from the recipe in a training, and how `ebm eval` looks at it.

    **Arguments:**

    - `run`: the name of the training, by default that of the row.
    """

    changes: tuple[str, ...] = ()
    episodes: int = 200
    options: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    run: str | None = None


def two_rooms() -> dict[str, Row]:
    """The recipe for three seeds, for longer, and planned in as others publish it."""
    rows = {f"seed {seed}": Row((f"seed={seed}",)) for seed in SEEDS}
    published = {"samples": 200, "iterations": 20, "replan": 1}
    rows |= {
        f"seed 0, {name} as published": Row(("seed=0",), 10, {"planner": name} | published, "seed 0")
        for name in ("cem", "mppi", "subgoals")
    }
    return rows | {"seed 0, twice as long": Row(TWICE), "seed 0, four times as long": Row(FOURFOLD)}


def objectives() -> dict[str, Row]:
    """Half of the recipe's steps: without what it stands on, without each term, and with each of the other objectives."""
    import jax

    terms = compose("recipe", "", 4, 4, key=jax.random.key(0)).terms
    search = {"planner": "cem", "samples": 200, "iterations": 6}
    changes = {f"recipe, seed {seed}": (f"seed={seed}",) for seed in SEEDS}
    changes |= {f"without {term}": (f"without={term}",) for term in terms}
    changes |= {f"objective {name}": (f"objective={name}",) for name in OBJECTIVES if name != "recipe"}
    rows = {name: Row((*HALF, *different), 100) for name, different in changes.items()}
    bare, plain = (*HALF, "play=0"), (*HALF, "play=0", "coordinates=0")
    return rows | {
        "search among subgoals, no films of play": Row(bare, 100, {}, "no films of play"),
        "search among actions, no films of play": Row(bare, 100, search, "no films of play"),
        "search among actions in features, no coordinates": Row(plain, 100, search, "no coordinates"),
    }


TABLES = {"two-rooms": two_rooms, "objectives": objectives}


def run_table(name: str, path: Path, folder: Path, console: Any, *, only: tuple[str, ...], episodes: int | None) -> dict[str, Any]:
    """Train and judge what is not there yet, and write `path` after every row.

    **Raises:**

    `UsageError` for a part of a name that no row has. `Interrupted`, with all that was done kept.
    """
    import jax

    from ._runs import versions

    known = TABLES[name]()
    for part in only:
        if not any(part in row for row in known):
            raise UsageError(f"--rows {part}: there is no such row.{near(part, tuple(known))}")
    rows = {row: what for row, what in known.items() if not only or any(part in row for part in only)}
    record = Record(path, name)
    record.data["unseen"] = [f"recipe, seed {seed}" for seed in UNSEEN]
    for number, (row, what) in enumerate(rows.items(), start=1):
        console.print(f"{number} of {len(rows)}: {row}", markup=False, highlight=False)
        count = min(what.episodes, episodes or what.episodes)
        done = record.rows.get(row, {})
        if done.get("changes") == list(what.changes) and len(done.get("outcomes", ())) >= count:
            continue
        try:
            entry = judge(folder / (what.run or row).replace(", ", "-").replace(" ", "-"), what, count)
        except FloatingPointError as error:
            entry = {"failed": str(error), "light": "red"}
        record.rows[row] = {"changes": list(what.changes), "versions": versions()} | entry
        record.save(known)
        jax.clear_caches()  # a process has no room for the programs of twenty trainings
    return record.data


def judge(run: Path, row: Row, episodes: int) -> dict[str, Any]:
    """One row: trained, diagnosed, and its episodes beside those of the floors."""
    Train("two-rooms", row.changes, run).run(shlex.join(["ebm", "train", "two-rooms", *row.changes]))
    asked = Eval(run, episodes=episodes, page=False, **row.options)
    asked.run("")
    planned = settled(asked, _rooms_judged).row
    judged = json.loads((run / RESULT).read_text(encoding="utf-8"))
    seeds = [str(seed) for seed in range(episodes)]
    known = {name: [judged["rows"][name][seed] for seed in seeds] for name in (planned, *FLOORS)}
    return {
        "planner": planned,
        "training_s": trained_seconds(run),
        "replan_ms": [ms for episode in known[planned] for ms in episode["replan_ms"][1:]][:1000],
        "success": rate([episode["success"] for episode in known[planned]]),
        "floors": {floor: rate([episode["success"] for episode in known[floor]]) for floor in FLOORS},
        "outcomes": [episode["success"] for episode in known[planned]],
        "diagnosis": judged["diagnosis"],
        "light": worst(judged["diagnosis"]),
    }


def table(record: dict[str, Any]) -> Any:
    """Rows, with the measures that have lights."""
    from statistics import median

    from rich.table import Table

    shown = Table(title=record["suite"], title_justify="left")
    for column in ("", "success", "straight", "light", *LIGHTS, "replan p50", "trained"):
        shown.add_column(column, justify="right" if column else "left")
    for name, row in record["rows"].items():
        if "failed" in row:
            shown.add_row(name, row["failed"])
            continue
        cells = [name, say_rate(row["success"]), say_rate(row["floors"]["straight"]), row["light"]]
        cells += ["–" if row["diagnosis"][key] is None else f"{row['diagnosis'][key]:.2g}" for key in LIGHTS]
        shown.add_row(*cells, f"{median(row['replan_ms']):.0f} ms", f"{row['training_s']:.0f} s")
    return shown
