"""`ebm train RECIPE key=value`: train a world model into a run folder. It can be killed, and goes on where it stopped."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._errors import Interrupted, UsageError, near

RECIPES = ("two-rooms",)
Report = Callable[[str, int, int, dict[str, float]], None]  # stage, step, steps, means over an epoch
MAY_BE_NONE = ("seed", "play", "coordinates")


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a world model from films that are drawn while it learns. Every epoch ends in a checkpoint.

    The same command with the same folder goes on where it was stopped, and ends in the same weights, bit for bit.
    """

    recipe: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RECIPE", help_behavior_hint="")]]
    """What to train: two-rooms."""
    settings: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="")]] = ()
    """What is different from the recipe, such as seed=1, joint_steps=500, objective=sigreg or without="inverse dynamics"."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """The run folder. Default runs/<recipe>-<seed>."""

    def run(self, command: str) -> int:
        """The exit code."""
        from . import _rooms
        from ._cli import keep_compiled

        if self.recipe not in RECIPES:
            raise UsageError(f"there is no recipe {self.recipe!r}.{near(self.recipe, RECIPES)} There are {', '.join(RECIPES)}.")
        settings = _rooms.Settings(**read_settings(self.settings, _rooms.Settings._field_defaults))
        _rooms.check(settings)
        folder = self.out or Path("runs") / f"{self.recipe}-{settings.seed}"
        begin(folder, {"recipe": self.recipe, "settings": settings._asdict()}, command)
        keep_compiled()
        clock = time.perf_counter()
        progressing(folder, clock, lambda report: _rooms.train(settings, folder, report), f"ebm eval {folder}")
        return 0


def progressing(folder: Path, clock: float, train: Callable[[Report], None], after: str) -> None:
    """Train with a bar for every stage, and a line in the metrics for every epoch.

    **Arguments:**

    - `clock`: when it all began, as `time.perf_counter` has it.
    - `after`: the command that looks at what was trained.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ._runs import METRICS, clean

    console = Console(stderr=True)
    with (folder / METRICS).open("a", encoding="utf-8") as file, Progress(console=console) as progress:
        bars: dict[str, Any] = {}

        def report(stage: str, step: int, steps: int, parts: dict[str, float]) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps)
            progress.update(bars[stage], completed=step, description=f"{stage} {parts['loss']:.4g}")
            line = {"stage": stage, "step": step, "seconds": time.perf_counter() - clock} | parts
            file.write(json.dumps(clean(line), separators=(",", ":")) + "\n")
            file.flush()

        try:
            train(report)
        except KeyboardInterrupt as stop:
            raise Interrupted(f"the same command goes on from here: {folder}") from stop
    done = f"{folder} after {time.perf_counter() - clock:.0f} s; `{after}` says what it is worth."
    console.print(done, markup=False, soft_wrap=True, highlight=False)


def read_settings(words: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """`key=value`, checked.

    **Raises:**

    `UsageError` for a key there is not, or a value that does not fit.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise UsageError(f"{word!r}: there is no setting {key!r}.{near(key, known)} There are {', '.join(known)}.")
        if isinstance(known[key], str):
            found[key] = value
            continue
        try:
            found[key] = int(value)
        except ValueError as error:
            raise UsageError(f"{word!r}: {key} takes an integer, such as {key}={known[key]}.") from error
        if found[key] < (0 if key in MAY_BE_NONE else 1):
            raise UsageError(f"{word!r}: {key} must be positive.")
    return found


def begin(folder: Path, config: dict[str, Any], command: str) -> None:
    """Make the run folder, or see that it is one of the same training.

    **Raises:**

    `UsageError` if it holds another run.
    """
    from ._runs import CONFIG, make_folder, versions, write

    path = folder / CONFIG
    if not path.exists():
        make_folder(folder)
        write(path, json.dumps(config | {"command": command, "versions": versions()}, indent=1) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}. Name another folder with --out.") from error
    changed = [key for key, value in config["settings"].items() if before.get("settings", {}).get(key) != value]
    if before.get("recipe") != config["recipe"] or changed:
        what = f"another {changed[0]}" if changed else "another recipe"
        raise UsageError(f"{str(folder)!r} holds a training with {what}. Name another folder with --out, or remove that one.")
