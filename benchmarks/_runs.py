"""A run folder: settings, one line for every step and every episode. Every line is written out at once, so a killed run stays readable."""

import hashlib
import json
import math
import re
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Self

from ._errors import UsageError

CONFIG, METRICS, EPISODES, VIDEO, REPORT = "config.json", "metrics.jsonl", "episodes.jsonl", "video.mp4", "report.html"
MODEL = "model.safetensors"  # what a training leaves
DISTRIBUTIONS = {"energy-planning": "energy-planning", "jax": "jax", "mujoco": "mujoco", "gymnasium": "gymnasium", "numpy": "numpy"}


class Run(NamedTuple):
    """What a run folder holds."""

    folder: Path
    config: dict[str, Any]
    steps: list[dict[str, Any]]
    episodes: list[dict[str, Any]]
    video: Path | None


class RunWriter:
    """Writes a run folder while the run goes on; use it in a `with` statement."""

    def __init__(self, folder: Path, config: dict[str, Any]):
        self.folder = folder
        make_folder(folder)
        write(folder / CONFIG, json.dumps(clean(config), indent=1) + "\n")
        self._steps = (folder / METRICS).open("w", encoding="utf-8")
        self._episodes = (folder / EPISODES).open("w", encoding="utf-8")

    def step(self, **line: Any) -> None:
        """One control period."""
        self._write(self._steps, line)

    def episode(self, **line: Any) -> None:
        """One episode, at its end."""
        self._write(self._episodes, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._steps.close()
        self._episodes.close()

    def _write(self, file: Any, line: dict[str, Any]) -> None:
        file.write(json.dumps(clean(line), separators=(",", ":")) + "\n")
        file.flush()


def default_folder(plant: str) -> Path:
    """`runs/<time>-<plant>`, and a number behind it if that is taken."""
    stem = re.sub(r"[^\w.-]+", "-", Path(plant).stem if plant.endswith((".xml", ".urdf", ".mjcf")) else plant).strip("-.") or "plant"
    first = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{stem}"
    folder, count = first, 1
    while folder.exists():
        count += 1
        folder = first.with_name(f"{first.name}-{count}")
    return folder


def make_folder(folder: Path) -> None:
    """Make a run folder that holds no run yet.

    **Raises:**

    `UsageError` if it cannot be written, or holds a run.
    """
    if (folder / CONFIG).exists():
        raise UsageError(f"{str(folder)!r} already holds a run. Name another folder with --out, or remove that one.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the run folder {str(folder)!r} cannot be written: {reason}. Name another one with --out.") from error


def write(path: Path, text: str) -> None:
    """Write a file of a run folder, with a clear error."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be written: {(error.strerror or str(error)).lower()}. Name another folder with --out."
        ) from error


def read_run(folder: Path) -> Run:
    """Read a run folder, also one whose run was killed: a half-written last line is left out.

    **Raises:**

    `UsageError` if there is no run.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(folder)!r} holds no run: there is no readable {CONFIG} in it. Give a folder that `ebm control` wrote."
        ) from error
    video = folder / VIDEO
    steps, episodes = read_lines(folder / METRICS), read_lines(folder / EPISODES)
    told = {episode["episode"] for episode in episodes}
    untold = dict.fromkeys(step["episode"] for step in steps if step["episode"] not in told)
    episodes += [_unfinished(config, [step for step in steps if step["episode"] == episode]) for episode in untold]
    return Run(folder, config, steps, episodes, video if video.is_file() and video.stat().st_size else None)


def versions() -> dict[str, str]:
    """What the figures of a run depend on."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def clean(value: Any) -> Any:
    """As JSON has it: plain numbers, six digits, `null` for what is not finite."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return str(value)


def _unfinished(config: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The line that an episode would have had, if its run had not been killed."""
    episode = steps[0]["episode"]
    row = {"episode": episode, "seed": config["settings"].get("seed", 0) + episode, "return": sum(step["reward"] or 0.0 for step in steps)}
    return row | {"steps": len(steps), "terminated": False, "interrupted": True, "success": None}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of a run folder; none if there is no such file, and without what was half written."""
    found = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def seal(folder: Path) -> str:
    """What is different for every model that a training may have left."""
    return hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()


def read_config(path: Path) -> dict[str, Any]:
    """The recipe and the settings of a training, from its `config.json`.

    **Raises:**

    `UsageError` if it is something else.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is damaged: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.setdefault("settings", {}), dict):
        raise UsageError(f"{str(path)!r} is damaged: it says nothing of a training.")
    return config
