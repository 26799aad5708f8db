"""Surprise, film by film, on disk: a file for every concept, mode and split, in the folder of whoever watched."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int, UInt8

import ebm
from envs import cradle

from .._errors import UsageError
from .._runs import MODEL, seal
from . import _floors, _models, _objects, _oracle

FOLDER = "surprise"  # in a run folder
FILMS = f"films of version {cradle.VERSION}, MuJoCo {mujoco.__version__}"
SETTINGS = "watchers.json"
DEV = "dev"  # the split from which units and thresholds are taken
REORDERED = ("shuffled", "reversed")  # development films with their frames in another order
BUILT_IN = ("floors", "untrained", "oracle")
UNTRAINED = 20  # networks that have learned nothing
FITTED = 200  # films that the density of frames is fitted to
Watch = Callable[[cradle.Films], Float[np.ndarray, "quadruplet 4 frame"]]
See = Callable[[UInt8[np.ndarray, "film frame height width 3"]], Float[np.ndarray, "film frame"]]


class Part(NamedTuple):
    """Which films."""

    concept: str
    mode: str
    split: str

    @property
    def stem(self) -> str:
        """The name of its file."""
        return "-".join(self)


class Seen(NamedTuple):
    """What watchers made of some films.

    **Arguments:**

    - `curves`: for each watcher, shape (quadruplet, 4, frame).
    - `hidden`: as of the films.
    - `source`: which films, and who watched.
    """

    curves: dict[str, Float[np.ndarray, "quadruplet 4 frame"]]
    hidden: Int[np.ndarray, "quadruplet 3"]
    source: str = ""


def watchers(name: str, films: Path) -> dict[str, Watch]:
    """Who watches, by name: a trained model, or several that know nothing.

    **Arguments:**

    - `name`: a run folder, "floors", "untrained" or "oracle".
    - `films`: where generated films are.
    """
    if name == "oracle":
        return {"oracle": _oracle.watch}
    if name == "floors":
        return {label: by_frames(see) for label, see in _floors.panel(cradle.read_freeform(films, FITTED)).items()}
    if name == "untrained":
        learners = {f"untrained {seed}": _models.untrained(seed) for seed in range(UNTRAINED)}
    else:
        settings, learner = _models.load(Path(name))
        if settings.sees == "objects":
            return {"model": partial(by_objects, learner)}
        learners = {"model": learner}
    return {label: by_frames(partial(_models.watch, learner)) for label, learner in learners.items()}


def parts(concepts: Iterable[str], splits: Iterable[str], *, in_order: bool) -> list[Part]:
    """Those that there are. Who works with states has no use for frames that are not `in_order`."""
    return [
        Part(concept, mode, split)
        for split in splits
        for concept in concepts
        for mode in cradle.modes(concept)
        if split in cradle.splits(concept) or (split in REORDERED and not in_order)
    ]


def by_frames(see: See) -> Watch:
    """Who looks at pictures alone, film by film."""

    def watch(films: cradle.Films) -> Float[np.ndarray, "quadruplet 4 frame"]:
        count, cells, frames = films.frames.shape[:3]
        return see(films.frames.reshape(count * cells, *films.frames.shape[2:])).reshape(count, cells, frames)

    return watch


def by_objects(learner: ebm.JointRecurrent, films: cradle.Films) -> Float[np.ndarray, "quadruplet 4 frame"]:
    """Who is told what is seen of things, film by film."""
    seen = _objects.sights(films.states, films.seen)
    return _models.watch(learner, seen.reshape(-1, *seen.shape[2:])).reshape(seen.shape[:3])


def score(name: str, parts: list[Part], films: Path, folder: Path) -> Iterator[Part]:
    """Watch what has not been watched yet, and say after every part that it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    # a model that is not there is complained of by who reads it
    known = seal(Path(name)) if name not in BUILT_IN and (Path(name) / MODEL).exists() else name
    source, who = f"{FILMS}, watched by {known}", cache(lambda: watchers(name, films))
    for part in parts:
        path = folder / f"{part.stem}.npz"
        if not path.exists() or read(path).source != source:
            shown = read_films(films, part)
            write(path, Seen({label: watch(shown) for label, watch in who().items()}, shown.hidden, source))
        yield part


def read_films(folder: Path, part: Part) -> cradle.Films:
    """The films of a part, or development films in another order.

    **Raises:** as `cradle.read`.
    """
    if part.split not in REORDERED:
        return cradle.read(folder, *part)
    films = cradle.read(folder, part.concept, part.mode, DEV)
    count, cells, frames = films.frames.shape[:3]
    order = np.broadcast_to(np.arange(frames)[::-1], (count, cells, frames))
    if part.split == "shuffled":
        order = np.random.default_rng(0).permuted(order, axis=-1)
    turned = {name: take(getattr(films, name), order) for name in ("frames", "masks", "states", "seen")}
    return films._replace(**turned)


def take(frames: np.ndarray, order: Int[np.ndarray, "quadruplet film frame"]) -> np.ndarray:
    """Frames of every film in another order."""
    return np.take_along_axis(frames, order.reshape(*order.shape, *[1] * (frames.ndim - 3)), axis=2)


def write(path: Path, seen: Seen) -> None:
    """As a NumPy archive that appears whole or not at all."""
    before = path.with_suffix(".part")
    curves = {f"curves {label}": curve for label, curve in seen.curves.items()}
    with before.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, hidden=seen.hidden, source=np.array(seen.source), **curves)
    os.replace(before, path)


def read(path: Path) -> Seen:
    """What `write` wrote.

    **Raises:**

    `UsageError` if it is damaged, or something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            curves = {key.removeprefix("curves "): archive[key] for key in archive.files if key.startswith("curves ")}
            return Seen(curves, archive["hidden"], str(archive["source"]) if "source" in archive.files else "")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{str(path)!r} is no file of surprise, or is damaged: {error}. Remove it, and score again.") from error


def read_all(folder: Path) -> dict[Part, Seen]:
    """Everything in a folder.

    **Raises:**

    `UsageError` if something in it is of films that have changed since.
    """
    paths = sorted(folder.glob("*.npz"))
    found = {Part(*path.stem.split("-", 2)): read(path) for path in paths}
    for part, seen in found.items():
        if not seen.source.startswith(FILMS):
            raise UsageError(f"{str(folder)!r}: {part.stem} was watched in other films than {FILMS}. Score again.")
    return found
