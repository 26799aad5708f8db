"""Films on disk: small pieces, each either whole or not there."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float32, UInt8

from ._films import Films, digest, find_split, first_pair, join, make
from ._freeform import freeform
from ._physics import simulate
from ._picture import Studio, cast_all
from ._scene import MOST_THINGS, Cast, Stage

VERSION = 9  # of the films: to be raised when a concept, the physics or the pictures change, so that old files are not taken for new
PIECE = 10  # quadruplets in a file
FREEFORM, FREE_PIECE = "freeform", 100  # films in a file
GRAVITIES = ("down", "up")
PLAIN = Films._fields[2:]  # of a file: as they are
SIGHTS = "states", "seen"  # of things
REMEDY = "Run `ebm surprise generate {asked}`; it makes only what is missing."


class Piece(NamedTuple):
    """A file of films: where it belongs, and which quadruplets, or films, are in it."""

    concept: str
    mode: str
    split: str
    start: int
    size: int

    def path(self, folder: Path) -> Path:
        """Films of another version, or of another MuJoCo, may differ, and lie elsewhere."""
        name = f"{self.concept}-{self.mode}-{self.split}"
        return folder / f"{VERSION}-mujoco-{mujoco.__version__}" / name / f"{self.start:05d}.npz"


class Made(NamedTuple):
    """What came of a piece: its hash, its different frames, its films' frames, and draws that had to be repeated."""

    sha256: str
    unique: int
    delivered: int
    repeated: int


def pieces(concept: str, mode: str, split: str, count: int | None = None) -> list[Piece]:
    """The files of a split, or of its first `count` quadruplets.

    **Raises:** `ValueError` for a concept, mode or split there is not.
    """
    size = find_split(concept, mode, split).size
    count = size if count is None else min(count, size)
    return [Piece(concept, mode, split, start, min(PIECE, count - start)) for start in range(0, count, PIECE)]


def freeform_pieces(count: int, gravity: str) -> list[Piece]:
    """The files of so many freeform films, or some more: files are always full.

    **Raises:** `ValueError` for a gravity that points neither down nor up.
    """
    if gravity not in GRAVITIES:
        raise ValueError(f"`gravity` must be one of {GRAVITIES}, got {gravity!r}.")
    return [Piece(FREEFORM, gravity, "train", start, FREE_PIECE) for start in range(0, count, FREE_PIECE)]


def make_piece(folder: Path, piece: Piece) -> tuple[Made, float]:
    """Make one file. It appears under its name when it is whole.

    **Returns:** what came of it, and the processor time (s) that its pictures took, without physics and the disk.
    """
    piece.path(folder).parent.mkdir(parents=True, exist_ok=True)  # says at once if it cannot be written
    return (_make_freeform if piece.concept == FREEFORM else _make_quadruplets)(folder, piece)


def raw_picture(piece: Piece) -> Callable[[], None]:
    """What casts all rays of a picture such as are in this piece, and does no more: the measure of how fast films are made."""
    if piece.concept == FREEFORM:
        return cast_all(*_scene(piece, piece.start))
    pair = first_pair(piece.concept, piece.mode, piece.split, piece.start)
    return cast_all(pair.stage, pair.a)


def _scene(piece: Piece, number: int) -> tuple[Stage, Cast]:
    return freeform(f"{FREEFORM}/{number}", up=piece.mode == "up")


def _make_quadruplets(folder: Path, piece: Piece) -> tuple[Made, float]:
    made = [make(piece.concept, piece.mode, piece.split, number) for number in range(piece.start, piece.start + piece.size)]
    films = join(made)
    frames, masks, index = pack(films.frames, films.masks)
    sha256 = digest(films)
    found = Made(sha256, len(frames), index.size, sum(one.attempts - 1 for one in made))
    fields = {"frames": delta(frames), "masks": delta(masks), "index": index, "made": np.array(found[1:])}
    save(piece.path(folder), fields | {name: getattr(films, name) for name in PLAIN}, sha256)
    return found, sum(one.seconds for one in made)


def _make_freeform(folder: Path, piece: Piece) -> tuple[Made, float]:
    made, seconds = [], 0.0
    for number in range(piece.start, piece.start + piece.size):
        stage, cast = _scene(piece, number)
        studio = Studio(stage, (cast,))
        made.append(studio.shoot(cast, simulate(stage, cast)))
        seconds += studio.seconds
    films = np.stack([shot.frames for shot in made])
    frames, _, index = pack(films, np.stack([shot.masks for shot in made]))
    sights = {name: np.stack([_padded(getattr(shot, name)) for shot in made]) for name in SIGHTS}
    found = Made(hashlib.sha256(b"".join(each.tobytes() for each in (films, *sights.values()))).hexdigest(), len(frames), index.size, 0)
    fields = {"frames": delta(frames), "index": index, "made": np.array(found[1:])} | sights
    save(piece.path(folder), fields, found.sha256)
    return found, seconds


def _padded(slots: np.ndarray) -> np.ndarray:
    """With empty slots, so that all films have as many."""
    return np.pad(slots, [(0, 0), (0, MOST_THINGS - slots.shape[1]), *[(0, 0)] * (slots.ndim - 2)])


def read(folder: Path, concept: str, mode: str, split: str) -> Films:
    """The films of a split, from the folder that `ebm surprise generate` filled.

    **Raises:** `ValueError` for a concept, mode or split there is not; `FileNotFoundError` if it was not made, `OSError` if it is damaged.
    """
    folder = Path(folder)
    parts = [read_piece(piece.path(folder)) for piece in pieces(concept, mode, split)]
    return Films(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def read_freeform(folder: Path, count: int, *, gravity: str = "down") -> UInt8[np.ndarray, "film frame height width 3"]:
    """The first freeform films, from the folder that `ebm surprise generate --freeform` filled.

    **Raises:** `ValueError` for a gravity there is not; `FileNotFoundError` if they were not made, `OSError` if they are damaged.
    """
    found = (load(piece.path(Path(folder))) for piece in freeform_pieces(count, gravity))
    return np.concatenate([undelta(one["frames"])[one["index"]] for one in found])[:count]


def read_sights(folder: Path, count: int, *, gravity: str = "down") -> tuple[Float32[np.ndarray, "film frame slot feature"], np.ndarray]:
    """States of things in the first freeform films, and whether each is seen, shape (film, frame, slot).

    **Raises:** as `read_freeform`.
    """
    found = [load(piece.path(Path(folder)), SIGHTS) for piece in freeform_pieces(count, gravity)]
    states, seen = (np.concatenate([one[name] for one in found])[:count] for name in SIGHTS)
    return states, seen


def read_piece(path: Path) -> Films:
    """The films of one file.

    **Raises:** `FileNotFoundError` if there is none, `OSError` if it is damaged.
    """
    found = load(path)
    frames, masks = (undelta(found[name])[found["index"]] for name in ("frames", "masks"))
    return Films(frames, masks, *(found[name] for name in PLAIN))


def recall(folder: Path, piece: Piece) -> Made | None:
    """What came of a piece that is there already; `None` if it is not, or not whole."""
    try:
        found = load(piece.path(folder))
    except OSError:
        return None
    if not set(SIGHTS) <= set(found):  # an older file
        return None
    return Made(str(found["sha256"]), *map(int, found["made"]))


def pack(frames: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames and masks without repetition, and which is where: the impossible films are made of the frames of the possible ones."""
    shape, places = frames.shape[:-3], {}
    frames, masks = frames.reshape(-1, *frames.shape[-3:]), masks.reshape(-1, *masks.shape[-2:])
    index = [places.setdefault(frame.tobytes() + mask.tobytes(), len(places)) for frame, mask in zip(frames, masks, strict=True)]
    first = np.unique(index, return_index=True)[1]
    return frames[first], masks[first], np.array(index, np.int32).reshape(shape)


def delta(pictures: UInt8[np.ndarray, "picture *shape"]) -> UInt8[np.ndarray, "picture *shape"]:
    """What changes from picture to picture, which deflates well."""
    return np.diff(pictures, axis=0, prepend=np.zeros_like(pictures[:1]))


def undelta(changes: UInt8[np.ndarray, "picture *shape"]) -> UInt8[np.ndarray, "picture *shape"]:
    """The pictures again."""
    return np.cumsum(changes, 0, dtype=np.uint8)


def save(path: Path, fields: dict[str, np.ndarray], sha256: str) -> None:
    """Write a file that is either whole or not there."""
    part = path.with_name(f"{path.stem}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, sha256=np.array(sha256), **fields)
    part.replace(path)


def load(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """What is in a file, or only what is named.

    **Raises:** `FileNotFoundError` if there is none, `OSError` if it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names or archive.files}
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There are no films in {str(path)!r}. {_remedy(path)}") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise OSError(f"{str(path)!r} is damaged ({error}). {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    concept, mode, split = (*path.parent.name.split("-", 2), "", "")[:3]
    asked = f"--concepts {concept} --splits {split}"
    if concept == FREEFORM:
        asked = f"--freeform{'-up' if mode == 'up' else ''} {int(path.stem) + FREE_PIECE}"
    return REMEDY.format(asked=asked)
