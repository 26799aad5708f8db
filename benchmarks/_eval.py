"""`ebm eval RUN`: pinned episodes in a trained world model, beside those of who knows nothing, and of who knows all."""

import dataclasses
import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from ._errors import UsageError, missing
from ._record import read
from ._runs import CONFIG, MODEL, read_config, seal

FLOORS = ("random", "still", "straight", "oracle")
RESULT = "eval.json"
MODELS = Path(__file__).parent / "models"  # trained ones, that come with the package
TASKS = {  # modules, which say how models of a recipe are judged
    "two-rooms": "_rooms_judged",
    "two-rooms match": "_rooms_match_judged",
    "reacher": "_reacher_judged",
}


@dataclasses.dataclass(frozen=True)
class Eval:
    """Plan in a trained world model: pinned episodes of the environment, with floors and intervals.

    An episode is written down when it ends, and is not run again: a call that was interrupted goes on where it stopped.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    """A run folder that `ebm train` wrote; or two-rooms, for a model that is part of the package, judged in runs/eval-two-rooms."""
    episodes: Annotated[int, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = 200
    """How many."""
    seed: Annotated[int, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")] = 0
    """Of the first episode; the next ones count on. Seeds from 10000 on are for choosing settings."""
    planner: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """subgoals, in Two Rooms, or any that `ebm list` shows. This and the next four have defaults that go with the recipe."""
    samples: Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = None
    """Candidates per iteration."""
    iterations: Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = None
    """Rounds of improvement per plan."""
    horizon: Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = None
    """Steps of the model planned ahead, of 5 steps of the environment each."""
    replan: Annotated[int | None, tyro.conf.arg(metavar="STEPS", help_behavior_hint="")] = None
    """Steps of the environment after which a new plan is made."""
    page: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True
    """Write report.html, with a film of plans; needs the extra `report`."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console

        from . import _rooms_eval
        from ._cli import keep_compiled
        from ._runs import clean, versions

        del command
        trained, folder = find(self.folder)
        task = import_module(f".{TASKS[recipe(trained)]}", __package__)
        search = settled(self, task)
        for option, value in (("episodes", self.episodes), ("replan", search.replan)):
            if value < 1:
                raise UsageError(f"--{option} {value}: must be at least 1.")
        if task.STEPS % search.replan:
            raise UsageError(f"--replan {search.replan}: must divide the {task.STEPS} steps of an episode.")
        keep_compiled()
        model, rows = task.rows(trained, search)
        path, console = folder / RESULT, Console(stderr=True)
        record, sealed = read(path, "eval"), seal(trained)
        if record.setdefault("model", sealed) != sealed:
            raise UsageError(f"{path} has episodes of another model than {trained / MODEL}. Move it away.")
        record |= {"diagnosis": clean(task.diagnose(model)), "success": task.RULE, "versions": versions()}
        seeds = range(self.seed, self.seed + self.episodes)
        _rooms_eval.fill(path, record, rows, seeds)
        _rooms_eval.replace(path, json.dumps(record, separators=(",", ":")) + "\n")
        judged = {row: [record["rows"][row][str(seed)] for seed in seeds] for row in rows}
        console.print(_lights(record["diagnosis"], task.LIGHTS))
        console.print(_table(f"{task.TITLE}: {task.RULE}", task.UNIT, judged))
        if self.page and not missing("matplotlib", "imageio_ffmpeg") and hasattr(task, "write_page"):
            page = task.write_page(folder, record, judged, model, search)
            console.print(f"page: {page}", markup=False, soft_wrap=True, highlight=False)
        return 0


class Search(NamedTuple):
    """How plans are searched for, as `Eval` says it."""

    planner: str
    samples: int
    iterations: int
    horizon: int
    replan: int = 5

    @property
    def row(self) -> str:
        """What the planner's episodes are recorded under."""
        often = "" if self.replan == 5 else f", replan every {self.replan}"
        return f"{self.planner}, {self.samples} samples, {self.iterations} iterations, horizon {self.horizon}{often}"


def settled(asked: Eval, task: Any) -> Search:
    """What was asked for, and for the rest what goes with the recipe."""
    return task.SEARCH._replace(**{key: value for key in Search._fields if (value := getattr(asked, key)) is not None})


def recipe(trained: Path) -> str:
    """Which recipe a model was trained by, and in which rooms, if not the first.

    **Raises:**

    `UsageError` for one that is not known here.
    """
    config = trained / CONFIG
    known: dict[str, Any] = read_config(config) if config.exists() else {"recipe": "two-rooms", "settings": {}}
    rooms = known["settings"].get("rooms", "random")
    name = f"{known.get('recipe', '')}" + ("" if rooms == "random" else f" {rooms}")
    if name not in TASKS:
        raise UsageError(f"{str(trained)!r} was trained by the recipe {name!r}. `ebm eval` judges {', '.join(TASKS)}.")
    return name


def find(folder: Path) -> tuple[Path, Path]:
    """Where the model is, and where the results go: for models that are part of the package, a folder of their own."""
    shipped = MODELS / folder
    if not folder.exists() and len(folder.parts) == 1 and shipped.is_dir():
        results = Path("runs") / f"eval-{folder}"
        results.mkdir(parents=True, exist_ok=True)
        return shipped, results
    return folder, folder


def _lights(diagnosis: dict[str, float], lights: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title="The model, before anybody plans in it", title_justify="left", show_header=False)
    for name, value in diagnosis.items():
        color = lights[name].color(float("nan") if value is None else value) if name in lights else ""
        knob = "" if color in ("", "green") else lights[name].knob
        shade = {"amber": "yellow", "": "default"}.get(color, color)
        table.add_row(name, "–" if value is None else f"{value:.3g}", f"[{shade}]{color}[/]", knob)
    return table


def _table(title: str, unit: str, rows: dict[str, list[dict[str, Any]]]) -> Any:
    import numpy as np
    from rich.table import Table

    from ._statistics import rate, say_rate

    table = Table(title=title, title_justify="left")
    for column in ("", "success", "nearest p50", "replan p50 / p99"):
        table.add_column(column, justify="right" if column else "left")
    for name, episodes in rows.items():
        times = np.concatenate([episode["replan_ms"] for episode in episodes])
        nearest = np.median([episode["nearest"] for episode in episodes])
        cells = [name, say_rate(rate([episode["success"] for episode in episodes])), f"{nearest:.3g} {unit}"]
        table.add_row(*cells, "" if name in FLOORS else f"{np.median(times):.0f} / {np.quantile(times, 0.99):.0f} ms")
    return table
