"""`ebm train RECIPE key=value`: train a world model into a run folder. It can be killed, and goes on where it stopped."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._errors import Interrupted, UsageError, check_known, near
from ._stages import Report

RECIPES = {"two-rooms": "_rooms", "reacher": "_reacher"}  # modules, each with `Settings`, `check` and `train`
MAY_BE_NONE = ("seed", "play", "coordinates")
LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a world model from films that are drawn while it learns. Every epoch ends in a checkpoint.

    The same command with the same folder goes on where it was stopped, and ends in the same weights, bit for bit.
    """

    recipe: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RECIPE", help_behavior_hint="")]]
    """What to train: two-rooms, or reacher."""
    settings: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="")]] = ()
    """What is different from the recipe, such as seed=1, rooms=match, objective=sigreg or without="inverse dynamics"; or, of reacher,
    sees=picture."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """The run folder. Default runs/<recipe>-<seed>. Of several seeds it is the beginning of their folders' names."""
    seeds: int = 1
    """How many seeds, from `seed` on. They learn side by side and share one compiled program; each has its folder, and can go on alone."""
    track: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Where metrics go besides: tensorboard, wandb."""

    def run(self, command: str) -> int:
        """The exit code."""
        from . import _trackers
        from ._cli import keep_compiled

        check_known("recipe", self.recipe, RECIPES)
        module = import_module(f".{RECIPES[self.recipe]}", __package__)
        settings = module.Settings(**read_settings(self.settings, module.Settings._field_defaults))
        module.check(settings)
        if self.seeds < 1:
            raise UsageError(f"--seeds must be positive, got {self.seeds}.")
        _trackers.check(self.track)
        every = [settings._replace(seed=settings.seed + number) for number in range(self.seeds)]
        kind = f"{self.recipe}-{settings.sees}" if hasattr(settings, "sees") else self.recipe
        stem = str(self.out or Path("runs") / kind)
        folders = [Path(stem) if self.out and self.seeds == 1 else Path(f"{stem}-{one.seed}") for one in every]
        for folder, one in zip(folders, every, strict=True):
            begin(folder, {"recipe": self.recipe, "settings": one._asdict()}, command)
        keep_compiled()
        clock = time.perf_counter()
        progressing(folders, clock, lambda report: module.train(every, folders, report), "ebm eval", self.track)
        return 0


def progressing(folders: Sequence[Path], clock: float, train: Callable[[Report], None], after: str, track: Sequence[str] = ()) -> None:
    """Train with a bar for every stage, and a line in the metrics of its folder for every epoch.

    **Arguments:**

    - `clock`: when it all began, as `time.perf_counter` has it.
    - `after`: the command that looks at what was trained, given its folder.
    - `track`: the names of trackers that are told the same.
    """
    from rich.console import Console
    from rich.progress import Progress

    from . import _trackers
    from ._runs import METRICS, clean, read_lines

    console = Console(stderr=True)
    with ExitStack() as until, Progress(console=console) as progress:
        for folder in folders:
            alone(folder, until)
        sitting = [1 + max((line.get("sitting", 0) for line in read_lines(folder / METRICS)), default=0) for folder in folders]
        files = [until.enter_context((folder / METRICS).open("a", encoding="utf-8")) for folder in folders]
        trackers = [_trackers.start(track, folder, until) for folder in folders]
        bars: dict[tuple[int, str], Any] = {}

        def report(which: int, stage: str, step: int, steps: int, parts: dict[str, float]) -> None:
            name = f"{folders[which].name}: {stage}" if len(folders) > 1 else stage
            if (which, stage) not in bars:
                bars[which, stage] = progress.add_task(stage, total=steps)
            progress.update(bars[which, stage], completed=step, description=f"{name} {parts['loss']:.4g}")
            line = clean({"stage": stage, "step": step, "sitting": sitting[which], "seconds": time.perf_counter() - clock} | parts)
            files[which].write(json.dumps(line, separators=(",", ":")) + "\n")
            files[which].flush()
            for tracker in trackers[which]:
                tracker.log(line)

        try:
            train(report)
        except KeyboardInterrupt as stop:
            raise Interrupted(f"the same command goes on from here: {', '.join(map(str, folders))}") from stop
    for folder in folders:
        done = f"{folder} after {time.perf_counter() - clock:.0f} s; `{after} {folder}` says what it is worth."
        console.print(done, markup=False, soft_wrap=True, highlight=False)


def alone(folder: Path, until: ExitStack) -> None:
    """See to it that nobody else trains in a folder; where the system has locks, which end with the process, however it ends.

    **Raises:**

    `UsageError` if somebody does.
    """
    try:
        import fcntl
    except ImportError:
        return
    lock = until.enter_context((folder / LOCK).open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(f"another process trains in {str(folder)!r}. Wait for it, or name another folder with --out.") from error


def trained_seconds(folder: Path) -> float:
    """How long a training took, in all its sittings, s."""
    from ._runs import METRICS, read_lines

    longest: dict[Any, float] = {}
    for line in read_lines(folder / METRICS):
        longest[line.get("sitting")] = max(line["seconds"], longest.get(line.get("sitting"), 0.0))
    return sum(longest.values())


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
    from ._runs import CONFIG, make_folder, read_config, versions, write

    path = folder / CONFIG
    if not path.exists():
        make_folder(folder)
        write(path, json.dumps(config | {"command": command, "versions": versions()}, indent=1) + "\n")
        return
    try:
        before = read_config(path)
    except UsageError as error:
        raise UsageError(f"{error} Name another folder with --out.") from error
    changed = [key for key, value in config["settings"].items() if before["settings"].get(key) != value]
    if before.get("recipe") != config["recipe"] or changed:
        what = f"another {changed[0]}" if changed else "another recipe"
        raise UsageError(f"{str(folder)!r} holds a training with {what}. Name another folder with --out, or remove that one.")
