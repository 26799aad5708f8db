"""Trainings in stages, each of which needs what the one before it found: of one seed, or of several side by side."""

from collections.abc import Callable, Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import optax
from jaxtyping import Array, Key

import ebm

from ._errors import UsageError
from ._runs import CONFIG, MODEL

EPOCH = 100  # steps, which are compiled whole
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


def complete(stages: Callable[[Any], Run], settings: Sequence[Any], folders: Sequence[Path], name: str, report: Report) -> None:
    """Carry out the trainings that lack a file of this name, and save there what each returns: a model, and what else to say of it.

    **Arguments:**

    - `stages`: from settings to a run. `settings`: tuples with names, one for each of `folders`.
    """
    left = [which for which, folder in enumerate(folders) if not (folder / name).exists()]
    if left:
        runs, places = [stages(settings[which]) for which in left], [folders[which] for which in left]
        found = carry_out(runs, places, lambda which, *line: report(left[which], *line))
        for which, (model, about) in zip(left, found, strict=True):
            ebm.save(folders[which] / name, model, {"settings": settings[which]._asdict()} | about)


def read_finished(folder: Path) -> dict[str, Any]:
    """What is said about the model that a training left.

    **Raises:**

    `UsageError` if it has not ended yet; `ebm.CheckpointError` if there is none.
    """
    if not (folder / MODEL).exists() and (folder / CONFIG).exists():
        raise UsageError(f"the training in {str(folder)!r} has not ended. Go on with the command in its {CONFIG}.")
    return ebm.read_about(folder / MODEL)


def check_counts(settings: Any, **least: int) -> None:
    """Whether settings whose names end in `steps` make whole epochs, and others are large enough.

    **Arguments:**

    - `settings`: a tuple with names. `least`: what a setting must be, if it is not 0.

    **Raises:**

    `UsageError` if not.
    """
    for key, value in settings._asdict().items():
        if key.endswith("steps") and value % EPOCH:
            raise UsageError(f"{key}={value}: must be a multiple of {EPOCH}, such as {key}={max(round(value / EPOCH), 1) * EPOCH}.")
        if key in least and 0 < value < least[key]:
            raise UsageError(f"{key}={value}: must be at least {least[key]}.")


@cache  # trainings side by side share it
def optimiser(steps: int, peak: float, warm: float = 0.05) -> optax.GradientTransformation:
    """AdamW, warmed up and cooled down to nothing, with its gradient clipped."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, max(int(warm * steps), 1), steps)
    return optax.chain(optax.clip_by_global_norm(2.0), optax.adamw(schedule, weight_decay=1e-5))


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
