"""`ebm surprise foreign RUN PATH`: how surprising films are that were made elsewhere."""

import csv
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from .._errors import Interrupted, UsageError

LOSSES = "losses.csv"


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Watch a film of your own, or a public set as it lies after unpacking: IntPhys, IntPhys 2, GRASP, InfLevel, Physical Concepts.

    The real sets were never run here. A model that learned from our films knows only these, and what it says of others says little.
    """

    run_folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    """A run folder of `ebm surprise train`."""
    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]]
    """A video, an array, a folder of pictures; or the folder of a set."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Which set. Default: found out."""
    fit: bool = False
    """Cut, scale and thin out films of other sizes and lengths."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Where the losses of a set go. Default: `foreign` in the run folder."""

    def run(self, command: str) -> int:
        """The exit code."""
        from .._cli import keep_compiled
        from . import _bring, _layouts, _models

        del command
        keep_compiled()
        settings, learner = _models.load(self.run_folder)
        if settings.sees != "pictures":
            raise UsageError(
                f"{str(self.run_folder)!r} sees objects, and a film from elsewhere has pictures only. Train one with sees=pictures."
            )
        if self.layout is None and not _layouts.is_set(self.path):
            curve = _models.watch(learner, _bring.read_film(self.path, fit=self.fit)[None])[0][_bring.UNKNOWN :]
            for frame, surprise in enumerate(curve, _bring.UNKNOWN):
                print(f"{frame:4d} {surprise:10.5f}")
            print(f"mean {curve.mean():10.5f}")
            return 0
        return self._set(_layouts.read_layout(self.path, self.layout), learner)

    def _set(self, items: Any, learner: Any) -> int:
        import os

        import numpy as np
        from rich.console import Console
        from rich.progress import track

        from . import _bring, _models
        from ._losses import COLUMNS, judge, print_table, read_losses

        folder = self.out or self.run_folder / "foreign"
        folder.mkdir(parents=True, exist_ok=True)
        before, console = folder / f"{LOSSES}.part", Console(stderr=True)
        waiting: list[tuple[Any, Any]] = []

        def watch(lines: Any) -> None:
            curves = _models.watch(learner, np.stack([frames for _, frames in waiting]))
            for (item, _), curve in zip(waiting, curves, strict=True):
                head = item.topic, item.group, item.pair or "", item.possible, item.name
                lines.writerows((*head, frame, f"{surprise:.7g}") for frame, surprise in enumerate(curve[_bring.UNKNOWN :], _bring.UNKNOWN))
            waiting.clear()

        try:
            with before.open("w", encoding="utf-8", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(COLUMNS)
                for item in track(items, "films", console=console):
                    frames = _bring.checked(item.frames(), item.name, fit=self.fit)
                    if waiting and (len(waiting) == _models.CHUNK or len(frames) != len(waiting[0][1])):
                        watch(lines)
                    waiting.append((item, frames))
                watch(lines)
        except KeyboardInterrupt as stop:
            raise Interrupted("nothing was kept of it; start again") from stop
        os.replace(before, folder / LOSSES)
        Console().print(print_table(judge(read_losses(folder / LOSSES))))
        console.print(f"{folder / LOSSES}; `ebm surprise judge` reads it again.", markup=False, soft_wrap=True, highlight=False)
        return 0
