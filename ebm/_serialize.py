"""Arrays in a file, and in words what they are: safetensors with a JSON header. Nothing that is read is ever run."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

FORMAT = "energy-planning 1"


class CheckpointError(ValueError):
    """A file that holds no checkpoint, or that of something else."""


def save(path: str | os.PathLike, tree: PyTree, about: Mapping[str, Any] | None = None) -> None:
    """Write every array of `tree`, and `about` as JSON beside them. The file is replaced as a whole, or not at all.

    Of modules it also says the static numbers and words, such as a time step, which `load` compares. The same arrays and the same words
    make the same bytes.

    **Arguments:**

    - `about`: what else must be known to use the arrays: settings, normalisation, what one action means.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    arrays = {name: np.array(_data(leaf), order="C") for name, leaf in _named(tree)}
    header = {"format": FORMAT, "about": json.dumps(dict(about or {})), "static": json.dumps(dict(_static(tree)), sort_keys=True)}
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        for part in _sealed(to_bytes(arrays, header)):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load(path: str | os.PathLike, like: PyTree) -> PyTree:
    """The tree that was saved, in the structure of `like`, of which the shapes, the dtypes and what is static count.

    **Raises:**

    `CheckpointError` if the file is damaged, of another kind, or does not fit `like`: it names the first array, or setting, that does not.
    """
    arrays, _, static = _read(path)
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
    for name, value in _static(like):
        if name in static and static[name] != value:
            raise CheckpointError(
                f"In {str(path)!r}, {name!r} is {static[name]!r}, where {value!r} was built. Build it with the settings it was saved with."
            )
    leaves = iter([_restore(arrays[name], leaf) for name, leaf in named])
    return jax.tree.map(lambda leaf: next(leaves) if _is_array(leaf) else leaf, like)


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """What was said about the arrays when they were saved.

    **Raises:**

    `CheckpointError` if the file is damaged or of another kind.
    """
    return _read(path)[1]


def _read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{str(path)!r} is no checkpoint of ours: its header does not say {FORMAT!r}.")
            words, built = header.get("about", ""), header.get("static", "")  # the first files do not have the latter
            about, static = json.loads(words), json.loads(built or "{}")
            if not (isinstance(about, dict) and isinstance(static, dict)):
                raise CheckpointError(f"{str(path)!r} is damaged: what is said about its arrays is no JSON object.")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (a file, not a dict)
        if header.get("sha256") not in (None, _sum(words + built, _arrays(path))):  # there was none in the first files
            raise CheckpointError(f"{str(path)!r} is damaged: its arrays are not those that were saved. Take an earlier one.")
        return arrays, about, static
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {str(path)!r}.") from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:  # JSON can be deep, or have numbers of any length
        raise CheckpointError(f"{str(path)!r} is damaged, or no checkpoint: {error}. Take an earlier one.") from error


def _sealed(file: bytes) -> tuple[bytes, bytes, memoryview]:
    """Size, header and arrays of a safetensors file, with a sum in the header, and its names in order: what writes them shuffles some."""
    start = _start(file[:8])
    header, arrays = json.loads(file[8:start]), memoryview(file)[start:]
    said = header["__metadata__"]
    said["sha256"] = _sum(said["about"] + said["static"], arrays)
    words = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)  # arrays begin at a multiple of their largest element
    return len(words).to_bytes(8, "little"), words, arrays


def _arrays(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        file.seek(_start(file.read(8)))
        return file.read()


def _start(size: bytes) -> int:
    """Where the arrays begin, from the first eight bytes of a file."""
    return 8 + int.from_bytes(size, "little")


def _sum(about: str, arrays: bytes | memoryview) -> str:
    """What changes with any bit of what is said and of the arrays."""
    return hashlib.sha256(about.encode() + hashlib.sha256(arrays).digest()).hexdigest()


def _named(tree: PyTree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if _is_array(leaf)]


def _static(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and words in the static fields of modules, as JSON gives them back."""
    if not isinstance(tree, eqx.Module):
        inside = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: isinstance(leaf, eqx.Module))
        for path, leaf in inside:
            if isinstance(leaf, eqx.Module):
                yield from _static(leaf, name + jax.tree_util.keystr(path))
        return
    for field in dataclasses.fields(tree):
        value, place = getattr(tree, field.name, None), f"{name}.{field.name}"
        if not field.metadata.get("static"):
            yield from _static(value, place)
        elif _is_plain(value):
            yield place, json.loads(json.dumps(value))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _data(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _restore(array: np.ndarray, like: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like)) if _is_key(like) else jnp.asarray(array)
