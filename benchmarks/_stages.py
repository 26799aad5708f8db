"""Trainings in stages, each of which needs what the one before it found: of one seed, or of several side by side."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Array, Key

import ebm

Report = Callable[[int, str, int, int, dict[str, float]], None]  # which run, stage, step, steps, means over an epoch


class Stage(NamedTuple):
    """One training of several."""

    name: str
    trainer: ebm.Trainer
    module: Any
    key: Key[Array, ""]


Run = Generator[Stage, Any, Any]  # asks for stages, is given what each learned, and returns what came of them


def carry_out(runs: Sequence[Run], folders: Sequence[Path], report: Report) -> list[Any]:
    """Train what they ask for, every run in its folder. One that was stopped goes on from the last checkpoint of each stage.

    Several runs must differ in numbers only. They share one compiled program, and each ends as it would by itself but for rounding.

    **Returns:**

    What each run returned.
    """
    learned: list[Any] = [None] * len(runs)
    while True:
        asked = [_go_on(run, module) for run, module in zip(runs, learned, strict=True)]
        if not all(isinstance(stage, Stage) for stage in asked):
            return asked
        learned = _train(asked, folders, report)


def _go_on(run: Run, module: Any) -> Any:
    try:
        return run.send(module)
    except StopIteration as end:
        return end.value


def _train(stages: Sequence[Stage], folders: Sequence[Path], report: Report) -> list[Any]:
    name, steps = stages[0].name, stages[0].trainer.steps
    paths = [folder / f"{name}.safetensors" for folder in folders]

    def tell(which: int, step: int, parts: dict[str, float]) -> None:
        report(which, name, step, steps, parts)

    if len(stages) == 1:
        _, trainer, module, key = stages[0]
        return [ebm.fit(trainer, module, key=key, checkpoint=paths[0], report=lambda step, parts: tell(0, step, parts))]
    _, trainers, modules, keys = zip(*stages, strict=True)
    return ebm.fit_together(trainers, modules, keys=keys, checkpoints=paths, report=tell)
