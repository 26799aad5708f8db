"""`ebm surprise train key=value`: a model of freeform films, in a run folder. It can be killed, and goes on where it stopped."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from .._train import begin, progressing, read_settings

RECIPE = "surprise"


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a recurrent JEPA, or the same networks to predict pictures, on possible films that show no experiment.

    The same command with the same folder goes on where it was stopped, and ends in the same weights, bit for bit.
    """

    settings: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="")]] = ()
    """What is different, such as seed=1, predicts=pictures, memory=grid, steps=20000, gravity=up; or track=family, which
    learns from possible films of the experiments themselves, split train: an easier question."""
    films: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Where `ebm surprise generate` left the films, if not in the usual place."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """The run folder. Default runs/surprise-<what it predicts>-<memory>-<seed>."""
    track: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Where metrics go besides: tensorboard, wandb."""

    def run(self, command: str) -> int:
        """The exit code."""
        from .. import _trackers
        from .._cli import cache_folder
        from . import _models

        _trackers.check(self.track)
        settings = _models.check(_models.Settings(**read_settings(self.settings, _models.Settings._field_defaults)))
        _models.check_sizes(settings)
        track = "" if settings.track == "freeform" else f"{settings.track}-"
        folder = self.out or Path("runs") / f"surprise-{track}{settings.predicts}-{settings.memory}-{settings.seed}"
        clock = time.perf_counter()
        films = _models.read_films(self.films or cache_folder("films"), settings)
        begin(folder, {"recipe": RECIPE, "settings": settings._asdict()}, command)
        learn = partial(_models.train, settings, films, folder)
        progressing([folder], clock, lambda report: learn(partial(report, 0)), "ebm surprise score", self.track)
        return 0
