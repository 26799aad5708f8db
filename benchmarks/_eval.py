"""`ebm eval RUN`: pinned episodes in a trained world model, beside those of who knows nothing, and of who knows all."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._errors import UsageError, missing

FLOORS = ("random", "still", "straight", "oracle")
RESULT = "eval.json"
MODELS = Path(__file__).parent / "models"  # trained ones, that come with the package
RULE = "within 4.5 px of the goal after the last of 200 steps"


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
    planner: Annotated[str, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = "subgoals"
    """subgoals, or any that `ebm list` shows."""
    samples: Annotated[int, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = 100
    """Candidates per iteration."""
    iterations: Annotated[int, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = 4
    """Rounds of improvement per plan."""
    horizon: Annotated[int, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")] = 18
    """Steps of the model planned ahead, of 5 steps of the environment each."""
    replan: Annotated[int, tyro.conf.arg(metavar="STEPS", help_behavior_hint="")] = 5
    """Steps of the environment after which a new plan is made."""
    page: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True
    """Write report.html, with a film of plans; needs the extra `report`."""

    @property
    def row(self) -> str:
        """What the planner's episodes are recorded under."""
        often = "" if self.replan == 5 else f", replan every {self.replan}"
        return f"{self.planner}, {self.samples} samples, {self.iterations} iterations, horizon {self.horizon}{often}"

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console

        from . import _rooms, _rooms_diagnosis, _rooms_eval
        from ._cli import keep_compiled
        from ._runs import clean, versions

        del command
        for option, value in (("episodes", self.episodes), ("replan", self.replan)):
            if value < 1:
                raise UsageError(f"--{option} {value}: must be at least 1.")
        if _rooms_eval.STEPS % self.replan:
            raise UsageError(f"--replan {self.replan}: must divide the {_rooms_eval.STEPS} steps of an episode.")
        keep_compiled()
        trained, folder = find(self.folder)
        model, region = _rooms.load(trained)
        planner = _rooms_eval.make_planner(self.planner, model, region, self.horizon, self.samples, self.iterations)
        name = self.row
        path, console = folder / RESULT, Console(stderr=True)
        record = _rooms_eval.recorded(path)
        record |= {
            "diagnosis": clean(_rooms_diagnosis.diagnose(model)),
            "success": RULE,
            "versions": versions(),
        }
        rows = {name: lambda seed: _rooms_eval.play(_rooms_eval.planned(model, planner, seed, self.replan), seed, self.replan)}
        rows |= {floor: lambda seed, floor=floor: _rooms_eval.play(_rooms_eval.floor(floor, seed), seed) for floor in FLOORS}
        seeds = range(self.seed, self.seed + self.episodes)
        _rooms_eval.fill(path, record, rows, seeds)
        _rooms_eval.replace(path, json.dumps(record, separators=(",", ":")) + "\n")
        judged = {row: [record["rows"][row][str(seed)] for seed in seeds] for row in rows}
        console.print(_lights(record["diagnosis"], _rooms_diagnosis.LIGHTS))
        console.print(_table(judged))
        if self.page and not missing("matplotlib", "imageio_ffmpeg"):
            from ._rooms_page import write_page

            page = write_page(folder, record, judged, (model, planner, self.replan))
            console.print(f"page: {page}", markup=False, soft_wrap=True, highlight=False)
        return 0


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


def _table(rows: dict[str, list[dict[str, Any]]]) -> Any:
    import numpy as np
    from rich.table import Table

    from ._statistics import rate, say_rate

    table = Table(title=f"Two Rooms, random wall: {RULE}", title_justify="left")
    for column in ("", "success", "nearest p50", "replan p50 / p99"):
        table.add_column(column, justify="right" if column else "left")
    for name, episodes in rows.items():
        times = np.concatenate([episode["replan_ms"] for episode in episodes])
        nearest = np.median([episode["nearest"] for episode in episodes])
        cells = [name, say_rate(rate([episode["success"] for episode in episodes])), f"{nearest:.1f} px"]
        table.add_row(*cells, "" if name in FLOORS else f"{np.median(times):.0f} / {np.quantile(times, 0.99):.0f} ms")
    return table
