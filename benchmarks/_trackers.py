"""Where else the metrics of a training go, besides its run folder: TensorBoard, and Weights & Biases."""

import json
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from ._errors import UsageError, check_known, missing
from ._runs import CONFIG

PROJECT = "energy-planning"
AXES = ("stage", "step", "sitting", "seconds")  # of a line of metrics; the rest are values


class Tracker(Protocol):
    """Takes in what is measured while something is trained."""

    def log(self, line: dict[str, Any]) -> None:
        """One line of the metrics."""

    def close(self) -> None:
        """All of it was told."""


class TensorBoard:
    """Event files in the run folder: `tensorboard --logdir runs` shows all runs."""

    needs, extra = "tensorboardX", "tensorboard"

    def __init__(self, folder: Path):
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]

        self._writer = SummaryWriter(str(folder))

    def log(self, line):
        for name, value in values(line).items():
            self._writer.add_scalar(f"{line['stage']}/{name}", value, line["step"])

    def close(self):
        self._writer.close()


class WeightsAndBiases:
    """A run of the project `energy-planning`, which goes on when the training does. `WANDB_MODE=offline` keeps it in the run folder."""

    needs, extra = "wandb", "wandb"

    def __init__(self, folder: Path):
        import wandb  # pyright: ignore[reportMissingImports]

        name = folder / "wandb.id"
        if not name.exists():
            name.write_text(secrets.token_hex(8), encoding="utf-8")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self._stages: set[str] = set()
        self._run = wandb.init(
            project=PROJECT, name=folder.name, id=name.read_text(encoding="utf-8"), dir=str(folder), config=config, resume="allow"
        )

    def log(self, line):
        stage = line["stage"]
        if stage not in self._stages:  # every stage counts its own steps
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        self._run.log({f"{stage}/{name}": value for name, value in {"step": line["step"], **values(line)}.items()})

    def close(self):
        self._run.finish()


TRACKERS: dict[str, type[TensorBoard] | type[WeightsAndBiases]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check(names: Sequence[str]) -> None:
    """Whether there are such trackers, and what they need is installed.

    **Raises:**

    `UsageError` if not.
    """
    for name in names:
        check_known("tracker", name, TRACKERS)
        kind = TRACKERS[name]
        if missing(kind.needs):
            raise UsageError(f"--track {name} needs {kind.needs}. Run `pip install 'energy-planning[{kind.extra}]'`.")


def start(names: Sequence[str], folder: Path, until: ExitStack) -> list[Tracker]:
    """One of each for a run folder, which are closed at the end."""
    trackers: list[Tracker] = [TRACKERS[name](folder) for name in names]
    for tracker in trackers:
        until.callback(tracker.close)
    return trackers


def values(line: dict[str, Any]) -> dict[str, float]:
    """What was measured, without when, and without what is no number."""
    return {name: value for name, value in line.items() if name not in AXES and isinstance(value, int | float)}
