"""Recordings in HDF5: one dataset for every column, in the layout of stable-worldmodel."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from ._recordings import Recordings

SEEN = "observation"  # the column of what was seen, if that is one array
ACTION, REWARD, TERMINATED, TRUNCATED = "action", "reward", "terminated", "truncated"
EPISODE, STEP = "ep_idx", "step_idx"
LENGTHS, OFFSETS = "ep_len", "ep_offset"  # the only ones with a line for every episode
OURS = (ACTION, REWARD, TERMINATED, TRUNCATED, EPISODE, STEP, LENGTHS, OFFSETS)


def write_hdf5(path: str | os.PathLike, recordings: Recordings) -> None:
    """Write recordings to a file, which appears whole or not at all.

    **Arguments:**

    - `recordings`: whose observations are an array, which becomes the column `observation`, or a dictionary of arrays, a column each.

    **Raises:**

    `FileExistsError` if there is something already; `ValueError` for other observations; `ImportError` without h5py.
    """
    h5py, path = _h5py(), Path(path)
    if path.exists():
        raise FileExistsError(f"{str(path)!r} exists. Remove it, or name another file.")
    seen = recordings.observations if isinstance(recordings.observations, dict) else {SEEN: recordings.observations}
    for name, column in seen.items():
        if name in OURS or not isinstance(name, str) or "/" in name or name in ("", "."):
            raise ValueError(f"An observation cannot be called {name!r} in a file: it would be another column, or a group. Rename it.")
        if not hasattr(column, "dtype"):
            raise ValueError(f"The observation {name!r} must be an array; nested dictionaries have no columns.")
    lengths = np.asarray(recordings.lengths, np.int32)
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    columns = seen | {
        ACTION: recordings.actions,
        REWARD: recordings.rewards,
        TERMINATED: recordings.terminated,
        TRUNCATED: recordings.truncated,
        EPISODE: np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        STEP: (np.arange(lengths.sum()) - np.repeat(offsets, lengths)).astype(np.int32),
        LENGTHS: lengths,
        OFFSETS: offsets,
    }
    before = path.with_name(path.name + ".part")
    with h5py.File(before, "w", libver="latest") as file:  # the latest, so that others may read with SWMR
        for name, column in columns.items():
            file.create_dataset(name, data=np.asarray(column))
    os.replace(before, path)


def read_hdf5(path: str | os.PathLike, *, observations: str | Sequence[str] = SEEN, episodes: slice | None = None) -> Recordings:
    """Read recordings, ours or those of stable-worldmodel. Nothing in the file is run.

    **Arguments:**

    - `observations`: the column of what was seen; or several, of which a dictionary is made.
    - `episodes`: only these, such as `slice(100)`; the rest is not read.

    **Raises:**

    `ValueError` if the file is damaged, is something else, or has no such columns; `FileNotFoundError`; `ImportError` without h5py.
    """
    h5py, path = _h5py(), Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        with h5py.File(path, "r") as file:
            return _read(h5py, file, observations, episodes)
    except (OSError, RuntimeError, KeyError) as error:
        hint = " Compressed by a plugin? `import hdf5plugin` first." if "filter" in str(error) else ""
        raise ValueError(f"{str(path)!r} is no HDF5 file, or is damaged: {error}.{hint}") from error
    except (_Unfit, ValueError) as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


class _Unfit(Exception):
    """What a file lacks."""


def _read(h5py: ModuleType, file: Any, observations: str | Sequence[str], episodes: slice | None) -> Recordings:
    here = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]  # and not in another file
    columns = {name: file[name] for name in here if _is_column(h5py, file[name])}
    several = not isinstance(observations, str)
    wanted = list(observations) if several else [observations]
    for name in (*wanted, ACTION, LENGTHS, OFFSETS):
        if name not in columns:
            known = ", ".join(sorted(columns)) or "none"
            raise _Unfit(f"there is no column {name!r} of numbers. Columns are {known}; observations=... says what was seen.")
    kept = [columns[name][()].ravel() for name in (LENGTHS, OFFSETS)]
    lengths, offsets = (np.nan_to_num(column, nan=-1.0).astype(np.int64) for column in kept)
    if any((column != whole).any() for column, whole in zip(kept, (lengths, offsets), strict=True)):
        raise _Unfit(f"{LENGTHS} or {OFFSETS} is damaged: they count rows, and are no whole numbers.")
    rows = len(columns[ACTION])
    if len(lengths) != len(offsets) or (lengths < 1).any() or (offsets < 0).any() or (offsets + lengths > rows).any():
        raise _Unfit(f"its episodes do not lie within its {rows} rows: {LENGTHS} or {OFFSETS} is damaged.")
    chosen = slice(None) if episodes is None else episodes
    lengths, offsets = lengths[chosen], offsets[chosen]
    if not len(lengths):
        raise _Unfit("no episode was asked for, or there is none.")
    taken = wanted + [name for name in (ACTION, REWARD, TERMINATED, TRUNCATED) if name in columns]
    for name in taken:
        if len(columns[name]) != rows:
            raise _Unfit(f"the column {name!r} has {len(columns[name])} rows, and {ACTION!r} {rows}.")
        if name in (REWARD, TERMINATED, TRUNCATED) and columns[name].size != rows:
            raise _Unfit(f"the column {name!r} has {columns[name].size} numbers for {rows} rows: it takes one for each.")
    found = {name: _rows(columns[name], offsets, lengths) for name in taken}
    total = int(lengths.sum())
    seen = {name: found[name] for name in wanted} if several else found[wanted[0]]
    rewards = found[REWARD].reshape(total).astype(np.float32) if REWARD in found else np.full(total, np.nan, np.float32)
    ends = [found[name].reshape(total).astype(bool) if name in found else np.zeros(total, bool) for name in (TERMINATED, TRUNCATED)]
    return Recordings(seen, found[ACTION], rewards, ends[0], ends[1], lengths.astype(np.int32))


def _is_column(h5py: ModuleType, item: Any) -> bool:
    """Whether it is numbers, in this file itself: no text, no objects, nothing that lies elsewhere."""
    try:
        return isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.ndim > 0 and not item.external and not item.is_virtual
    except TypeError:  # of a type that NumPy has not
        return False


def _rows(column: Any, offsets: Int[np.ndarray, " episode"], lengths: Int[np.ndarray, " episode"]) -> Shaped[np.ndarray, "row ..."]:
    """The rows of these episodes, one after another; in one piece if they lie so."""
    if (offsets[1:] == offsets[:-1] + lengths[:-1]).all():
        return column[offsets[0] : offsets[-1] + lengths[-1]]
    return np.concatenate([column[first : first + length] for first, length in zip(offsets, lengths, strict=True)])


def _h5py() -> ModuleType:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError('h5py is not installed. `pip install "energy-planning[recordings]"` brings it.') from error
    return h5py
