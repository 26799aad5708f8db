"""Where the films of public sets lie, which of them belong together, and which are possible. Nothing is loaded before it is watched.

The real sets are not part of this project and were not run here; the tests make small files of these layouts.
"""

import csv
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._errors import UsageError, check_known, one_line
from ._bring import PICTURES, read_frames

FRAMES, SIZE = 15, 64  # of the Physical Concepts data


class Item(NamedTuple):
    """A film of a set.

    - `topic`: what its group is about. `group`: films that belong together, half of them possible.
    - `pair`: within that, films with one beginning, where the set says so.
    """

    name: str
    topic: str
    group: str
    pair: str | None
    possible: bool
    frames: Callable[[], np.ndarray]


def read_layout(folder: Path, layout: str | None = None) -> Iterator[Item]:
    """The films of a set, in order.

    **Arguments:** `layout`: its name, or None to find out.

    **Raises:** `UsageError` if there is no such layout, nothing of it is there, or a list of films is damaged.
    """
    if layout is not None:
        check_known("layout", layout, LAYOUTS)
    for name in [layout] if layout else LAYOUTS:
        items = _guarded(folder, name)
        if (first := next(items, None)) is not None:
            return chain([first], items)
    wanted = f"nothing of the layout {layout}" if layout else "no layout that is known"
    raise UsageError(f"{str(folder)!r}: {wanted}. There are {'; '.join(f'{name}: {where}' for name, where in WHERE.items())}.")


def is_set(folder: Path) -> bool:
    """Whether a folder is that of a set, and no film: some sets have a picture beside their films."""
    if not folder.is_dir():
        return False
    pictures = any(file.suffix.lower() in PICTURES for file in folder.iterdir())
    return not pictures or any(next(_guarded(folder, name), None) is not None for name in LAYOUTS)


def _guarded(folder: Path, name: str) -> Iterator[Item]:
    try:
        yield from LAYOUTS[name](folder)
    except (OSError, ValueError, EOFError, KeyError, TypeError, IndexError, struct.error, zlib.error) as error:
        raise UsageError(f"{str(folder)!r} as {name}: {one_line(error)}. Is the set complete?") from error


def intphys(folder: Path) -> Iterator[Item]:
    """IntPhys (Riochet et al. 2018): four films a scene, and a `status.json` that says which are possible."""
    for status in sorted(folder.glob("O*/*/*/status.json")):
        film = status.parent
        possible = json.loads(status.read_text(encoding="utf-8"))["header"]["is_possible"]
        topic, group, number = film.parts[-3:]
        yield Item(f"{topic}/{group}/{number}", topic, f"{topic}/{group}", None, bool(possible), partial(read_frames, film / "scene"))


def intphys2(folder: Path) -> Iterator[Item]:
    """IntPhys 2 (Bordes et al. 2025): `metadata.csv` with `SceneIndex`, `type` (such as 1_Possible), and either `file_name`, a path from
    where the table is, or `filename`, of a film in `Videos`."""
    for path in _tables(folder, "metadata.csv"):
        for line in _lines(path):
            pair, _, label = line["type"].partition("_")
            if label not in ("Possible", "Impossible"):
                raise ValueError(f"`type` {line['type']!r} in {path.name} is not like 1_Possible or 2_Impossible")
            if "file_name" in line:
                film = path.parent / line["file_name"]
            else:
                film = path.parent / "Videos" / f"{line['filename'].removesuffix('.mp4')}.mp4"
            topic, group = line.get("condition") or path.parent.name, f"{path.parent.name}/{line['SceneIndex']}"
            yield Item(film.stem, topic, group, f"{group}/{pair}", label == "Possible", partial(read_frames, film))


def grasp(folder: Path) -> Iterator[Item]:
    """GRASP, level 2 (Jassim et al. 2024): folders `P_<topic>` and `IP_<topic>` with films of the same names."""
    for film in sorted(folder.glob("*P_*/*.mp4")):
        label, _, topic = film.parent.name.partition("_")
        if label in ("P", "IP"):
            group = f"{topic}/{film.stem}"
            yield Item(f"{film.parent.name}/{film.stem}", topic, group, group, label == "P", partial(read_frames, film))


def inflevel(folder: Path) -> Iterator[Item]:
    """InfLevel-Lab (Weihs et al. 2022): a table a topic, with `vid1_path`, `vid1_label`, the same of `vid2`, and where priming ends.

    What follows it is cut to the length of the shorter of the two, from the end.
    """
    for topic in ("continuity", "gravity", "solidity"):
        for path in _tables(folder, f"{topic}.csv"):
            for number, line in enumerate(_lines(path)):
                group = f"{topic}/{number}"
                films = [(folder / line[f"{film}_path"], int(line.get(f"{film}_end_priming_2") or -1) + 1) for film in ("vid1", "vid2")]
                for film, (where, start), other in zip(("vid1", "vid2"), films, films[::-1], strict=True):
                    frames = partial(_after, where, start, other)
                    yield Item(where.stem, topic, group, group, line[f"{film}_label"] == "possible", frames)


def physical_concepts(folder: Path) -> Iterator[Item]:
    """Physical Concepts (Piloto et al. 2022): zipped TFRecords of probes, each with two possible and two impossible films."""
    for path in sorted(folder.rglob("data.tfrecord-*")):
        with gzip.open(path, "rb") as file:
            for number, record in enumerate(_records(file)):
                if "possible_image" in record:
                    topic, group = path.parent.name, f"{path.parent.name}/{path.name}/{number}"
                    for label in ("possible", "impossible"):
                        films = np.frombuffer(record[f"{label}_image"], np.uint8).reshape(2, FRAMES, SIZE, SIZE, 3)
                        for index, film in enumerate(films):
                            yield Item(f"{group}/{label}/{index}", topic, group, None, label == "possible", partial(np.copy, film))


LAYOUTS: dict[str, Callable[[Path], Iterator[Item]]] = {
    "intphys": intphys,
    "intphys2": intphys2,
    "grasp": grasp,
    "inflevel": inflevel,
    "physical-concepts": physical_concepts,
}
WHERE = {
    "intphys": "O1/01/1/status.json",
    "intphys2": "metadata.csv beside Videos/",
    "grasp": "P_<topic>/ and IP_<topic>/",
    "inflevel": "continuity.csv, gravity.csv or solidity.csv",
    "physical-concepts": "data.tfrecord-*",
}


def _tables(folder: Path, name: str) -> list[Path]:
    return sorted([*folder.glob(name), *folder.glob(f"*/{name}")])


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _after(path: Path, start: int, other: tuple[Path, int]) -> np.ndarray:
    """What follows the priming, of no more frames than the other film of the pair has after its own."""
    film = _read_pair(path)[start:]
    return film[max(len(film) - len(_read_pair(other[0])[other[1] :]), 0) :]


_read_pair = lru_cache(2)(read_frames)  # each of a pair is asked how long it is when the other one is watched


def _records(file: gzip.GzipFile) -> Iterator[dict[str, bytes]]:
    """The byte strings in every `tf.train.Example` of a TFRecord file: length, checksum, bytes, checksum."""
    while head := file.read(12):
        (length,) = struct.unpack("<Q", head[:8])
        body = file.read(length + 4)
        if len(head) < 12 or len(body) < length + 4:
            raise EOFError("the file of records is cut off")
        features = _fields(body[:length]).get(1, [b""])[0]
        entries = [_fields(entry) for entry in _fields(features).get(1, [])]
        found = {}
        for entry in entries:
            lists = _fields(entry[2][0])
            if 1 in lists:  # bytes, and not floats or integers
                found[entry[1][0].decode()] = _fields(lists[1][0])[1][0]
        yield found


def _fields(message: bytes) -> dict[int, list[bytes]]:
    """The parts of a protocol buffer that have a length, by number."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind, size = key & 7, 0
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            size, at = _varint(message, at)
            found.setdefault(key >> 3, []).append(message[at : at + size])
        else:
            size = {1: 8, 5: 4}[kind]
        at += size
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at
