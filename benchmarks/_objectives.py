"""`ebm bench objectives`: the same training with every objective, and without every term, and what each is worth.

Every row is a training of its own in a run folder of its own, judged by `ebm eval` on the same pinned episodes. All have the same budget.
"""

import json
import shlex
from pathlib import Path
from typing import Any

from ._errors import UsageError, near
from ._eval import FLOORS, RESULT, Eval
from ._rooms_diagnosis import LIGHTS, worst
from ._rooms_objectives import OBJECTIVES, compose
from ._statistics import rate, say_rate
from ._train import Train

BUDGET = ("joint_steps=1500", "films=12000", "play=12000", "predictor_steps=4000")  # half of the recipe's
EPISODES = 100
SEEDS = (0, 1, 2)  # of the full recipe; others have the first
UNSEEN = (1, 2)  # which of them no limit of a light was set with
# What the recipe stands on, taken away one after another: what is different in the training, and who plans.
SEARCH = ("cem", 200, 6)  # among actions
REMEDIES = {
    "search among subgoals, no films of play": (("play=0",), ("subgoals", 100, 4)),
    "search among actions, no films of play": (("play=0",), SEARCH),
    "search among actions in features, no coordinates": (("play=0", "coordinates=0"), SEARCH),
}


def variants() -> dict[str, tuple[str, ...]]:
    """Row -> what is different from the recipe."""
    import jax

    terms = compose("recipe", "", 4, 4, key=jax.random.key(0)).terms
    rows = {f"recipe, seed {seed}": (f"seed={seed}",) for seed in SEEDS}
    rows |= {name: changes for name, (changes, _) in REMEDIES.items()}
    rows |= {f"without {term}": (f"without={term}",) for term in terms}
    return rows | {f"objective {name}": (f"objective={name}",) for name in OBJECTIVES if name != "recipe"}


def run_objectives(path: Path, folder: Path, console: Any, *, only: tuple[str, ...] = (), episodes: int = EPISODES) -> dict[str, Any]:
    """Train and judge what is not there yet, and write `path` after every row.

    **Raises:**

    `UsageError` for a part of a name that no row has. `Interrupted`, with all that was done kept.
    """
    import jax

    from ._runs import versions

    known = variants()
    for part in only:
        if not any(part in name for name in known):
            raise UsageError(f"--rows {part}: there is no such row.{near(part, tuple(known))}")
    rows = {name: changes for name, changes in known.items() if not only or any(part in name for part in only)}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"suite": "objectives", "rows": {}}
    record |= {"command": "ebm bench objectives", "budget": BUDGET, "unseen": [f"recipe, seed {seed}" for seed in UNSEEN]}
    for number, (name, changes) in enumerate(rows.items(), start=1):
        console.print(f"{number} of {len(rows)}: {name}", markup=False, highlight=False)
        run = folder / name.replace(", ", "-").replace(" ", "-")
        try:
            entry = judge(run, changes, episodes, *REMEDIES.get(name, ((), ("subgoals", 100, 4)))[1]) | {"versions": versions()}
        except FloatingPointError as error:
            entry = {"changes": changes, "failed": str(error), "light": "red"}
        record["rows"][name] = entry
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        jax.clear_caches()  # a process has no room for the programs of twenty trainings
    return record


def judge(run: Path, changes: tuple[str, ...], episodes: int, planner: str, samples: int, iterations: int) -> dict[str, Any]:
    """One row: trained, diagnosed, and its episodes beside the straight line's."""
    settings = (*BUDGET, *changes)
    Train("two-rooms", settings, run).run(shlex.join(["ebm", "train", "two-rooms", *settings]))
    Eval(run, episodes=episodes, planner=planner, samples=samples, iterations=iterations, page=False).run("")
    judged = json.loads((run / RESULT).read_text(encoding="utf-8"))
    name = next(row for row in judged["rows"] if row not in FLOORS)
    seeds = [str(seed) for seed in range(episodes)]
    outcomes = {row: [judged["rows"][row][seed]["success"] for seed in seeds] for row in (name, *FLOORS)}
    seconds = [json.loads(line)["seconds"] for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    trained = sum(last for last, after in zip(seconds, [*seconds[1:], 0.0], strict=True) if after < last)  # of every sitting
    return {
        "changes": changes,
        "planner": name,
        "training_s": trained,
        "success": rate(outcomes[name]),
        "floors": {floor: rate(outcomes[floor]) for floor in FLOORS},
        "outcomes": outcomes[name],
        "diagnosis": judged["diagnosis"],
        "light": worst(judged["diagnosis"]),
    }


def table(record: dict[str, Any]) -> Any:
    """Rows, with the measures that have lights."""
    from rich.table import Table

    shown = Table(title="Two Rooms, half of the recipe's budget", title_justify="left")
    for column in ("", "success", "straight", "light", *LIGHTS, "trained"):
        shown.add_column(column, justify="right" if column else "left")
    for name, row in record["rows"].items():
        if "failed" in row:
            shown.add_row(name, row["failed"])
            continue
        cells = [name, say_rate(row["success"]), say_rate(row["floors"]["straight"]), row["light"]]
        cells += ["–" if row["diagnosis"][key] is None else f"{row['diagnosis'][key]:.2g}" for key in LIGHTS]
        shown.add_row(*cells, f"{row['training_s']:.0f} s")
    return shown
