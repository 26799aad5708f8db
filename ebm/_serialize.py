"""Arrays in a file, and in words what they are: safetensors with a JSON header. Nothing that is read is ever run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

FORMAT = "energy-planning 1"


class CheckpointError(ValueError):
    """A file that holds no checkpoint, or that of something else."""


def save(path: str | os.PathLike, tree: PyTree, about: Mapping[str, Any] | None = None) -> None:
    """Write every array of `tree`, and `about` as JSON beside them. The file is replaced as a whole, or not at all.

    The same arrays and the same words make the same bytes.

    **Arguments:**

    - `about`: what else must be known to use the arrays: settings, normalisation, what one action means.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    arrays = {name: np.array(_data(leaf), order="C") for name, leaf in _named(tree)}
    header = {"format": FORMAT, "about": json.dumps(dict(about or {}))}
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        for part in _sorted(to_bytes(arrays, header)):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load(path: str | os.PathLike, like: PyTree) -> PyTree:
    """The tree that was saved, in the structure of `like`, of which only the shapes and dtypes count.

    **Raises:**

    `CheckpointError` if the file is damaged, of another kind, or does not fit `like`: it names the first array that does not.
    """
    arrays, _ = _read(path)
    named = _named(like)
    for name, leaf in named:
        wanted = _data(leaf)
        if name not in arrays:
            raise CheckpointError(f"{str(path)!r} has no array {name!r}: it was saved from something else. Build what it was saved from.")
        if arrays[name].shape != wanted.shape or arrays[name].dtype != wanted.dtype:
            raise CheckpointError(
                f"In {str(path)!r}, {name!r} is {arrays[name].dtype} of shape {arrays[name].shape}, "
                f"where {wanted.dtype} of shape {wanted.shape} fits. Build it with the settings it was saved with."
            )
    unknown = sorted(set(arrays) - {name for name, _ in named})
    if unknown:
        raise CheckpointError(f"{str(path)!r} also has {unknown[0]!r}, which does not fit: it was saved from something else.")
    leaves = iter([_restore(arrays[name], leaf) for name, leaf in named])
    return jax.tree.map(lambda leaf: next(leaves) if _is_array(leaf) else leaf, like)


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """What was said about the arrays when they were saved.

    **Raises:**

    `CheckpointError` if the file is damaged or of another kind.
    """
    return _read(path)[1]


def _read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{str(path)!r} is no checkpoint of ours: its header does not say {FORMAT!r}.")
            about = json.loads(header.get("about", ""))
            if not isinstance(about, dict):
                raise CheckpointError(f"{str(path)!r} is damaged: what is said about its arrays is no JSON object.")
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118  (a file, not a dict)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {str(path)!r}.") from error
    except (SafetensorError, OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{str(path)!r} is damaged, or no checkpoint: {error}. Take an earlier one.") from error


def _sorted(file: bytes) -> tuple[bytes, bytes, memoryview]:
    """Size, header and arrays of a safetensors file, with the names in the header in order: what writes them shuffles some."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # arrays begin at a multiple of their largest element
    return len(header).to_bytes(8, "little"), header, memoryview(file)[start:]


def _named(tree: PyTree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if _is_array(leaf)]


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _data(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _restore(array: np.ndarray, like: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like)) if _is_key(like) else jnp.asarray(array)
