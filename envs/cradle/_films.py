"""The concepts, how they are shown, their splits, and their films."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from . import _collision, _constancy, _continuity, _gravity, _inertia, _number, _permanence, _solidity
from ._draw import Draw
from ._quadruplet import Pair, Quadruplet, quadruplet
from ._release import release
from ._scene import Look, view_numbers


class Films(NamedTuple):
    """Quadruplets of films, in memory. The second axis is `CELLS`.

    - `masks`: 0 is scenery, 1 + slot a thing. `states`: `FEATURES` of every slot, also while it is hidden; `seen` says when it is seen.
    - `hidden`: first frame and length of the run in which possible and impossible films look the same, and the length of the shortest, if
      there are several; or, where all is seen, the frame in which they part, 0 and 0.
    - `cameras`: `VIEW` of every quadruplet.
    """

    frames: UInt8[np.ndarray, "quadruplet 4 frame height width 3"]
    masks: UInt8[np.ndarray, "quadruplet 4 frame height width"]
    states: Float32[np.ndarray, "quadruplet 4 frame slot feature"]
    seen: Bool[np.ndarray, "quadruplet 4 frame slot"]
    hidden: Int[np.ndarray, "quadruplet 3"]
    cameras: Float32[np.ndarray, "quadruplet number"]


class Split(NamedTuple):
    """How many quadruplets there are of a concept and mode, and what is different about them."""

    size: int
    far: bool = False  # other shapes, hues, sizes, cameras and floors
    wait: int = 0  # frames for which things are hidden longer
    rare: bool = False  # all four films are possible, and things have hues that are seldom seen
    explained: bool = False  # all four films are possible, though they look like the others but for what explains it


SPLITS = {
    "dev": Split(100),
    "test": Split(200),
    "far": Split(100, far=True),
    "rare": Split(50, rare=True),
    "explained": Split(50, explained=True),
    "train": Split(500),  # of these, only AA and BB are to be learned from
}
RULER = {f"wait-{wait}": Split(50, wait=wait) for wait in (0, 2, 4, 6, 8)}  # the ruler of memory
RULED = ("permanence", "number")  # where something waits to be shown


class Recipe(NamedTuple):
    """What a pair is drawn by; and, for films in which what seems impossible is explained in sight, by what else."""

    pair: Callable[[Draw], Pair]
    explained: Callable[[Draw], Pair] | None = None


def _constant(looks: Callable[[Draw], tuple[Look, Look]]) -> Recipe:
    return Recipe(partial(_constancy.constancy, looks), partial(_constancy.explained, looks))


MADE: dict[str, dict[str, Recipe]] = {
    "permanence": {"O": Recipe(_permanence.permanence, _permanence.explained)},
    "solidity": {"O": Recipe(_solidity.solidity, _solidity.explained)},
    "gravity": {"O": Recipe(_gravity.over_the_gap, _gravity.carried_over), "V": Recipe(_gravity.off_the_table, _gravity.carried_off)},
    "collision": {"O": Recipe(_collision.bounces, _collision.led), "V": Recipe(_collision.launches, _collision.held)},
    "continuity": {"O": Recipe(_continuity.continuity, _continuity.explained)},
    "number": {"O": Recipe(_number.number, _number.explained)},
    "shape": {"O": _constant(_constancy.shapes)},
    "colour": {"O": _constant(_constancy.colours)},
    "size": {"O": _constant(_constancy.sizes)},
    "inertia": {"O": Recipe(_inertia.inertia, _inertia.explained)},
    "release": {"V": Recipe(release)},
}
CONCEPTS = tuple(MADE)


def modes(concept: str) -> tuple[str, ...]:
    """How a concept is shown: with what matters hidden ("O"), or in sight ("V").

    **Raises:** `ValueError` for a concept there is not.
    """
    if concept not in MADE:
        raise ValueError(f"`concept` must be one of {CONCEPTS}, got {concept!r}.")
    return tuple(MADE[concept])


def splits(concept: str) -> dict[str, Split]:
    """The splits of a concept by name."""
    known = SPLITS | (RULER if concept in RULED else {})
    explained = all(recipe.explained for recipe in MADE[concept].values())
    return {name: split for name, split in known.items() if explained or not split.explained}


def find_split(concept: str, mode: str, split: str) -> Split:
    """A split, checked.

    **Raises:** `ValueError` for a concept, mode or split there is not.
    """
    if mode not in modes(concept):
        raise ValueError(f"`mode` of {concept} must be one of {modes(concept)}, got {mode!r}.")
    if split not in splits(concept):
        raise ValueError(f"`split` of {concept} must be one of {tuple(splits(concept))}, got {split!r}.")
    return splits(concept)[split]


def make(concept: str, mode: str, split: str, index: int) -> Quadruplet:
    """One quadruplet. The same names and index give the same bytes in every process.

    **Raises:** `ValueError` for a concept, mode or split there is not.
    """
    found = find_split(concept, mode, split)
    draws, label = _recipe(concept, mode, found), _label(concept, mode, split, index)
    return quadruplet(draws, label, far=found.far, wait=found.wait, rare=found.rare, explained=found.explained)


def first_pair(concept: str, mode: str, split: str, index: int) -> Pair:
    """The first draw of a quadruplet's pair, whether or not it does what its concept says."""
    found = find_split(concept, mode, split)
    return _recipe(concept, mode, found)(Draw(_label(concept, mode, split, index), far=found.far, wait=found.wait, rare=found.rare))


def _recipe(concept: str, mode: str, split: Split) -> Callable[[Draw], Pair]:
    recipe = MADE[concept][mode]
    return recipe.explained if split.explained and recipe.explained else recipe.pair


def _label(*names: str | int) -> str:
    return "/".join(map(str, names))


def quadruplets(concept: str, mode: str, split: str, start: int, count: int) -> Films:
    """Make films here and now, without a cache: quadruplets `start` to `start + count` of a split.

    **Raises:** `ValueError` for a concept, mode or split there is not, or less than one quadruplet.
    """
    if count < 1 or start < 0:
        raise ValueError(f"`start` and `count` must be at least 0 and 1, got {start} and {count}. They count quadruplets.")
    return join([make(concept, mode, split, index) for index in range(start, start + count)])


def join(made: list[Quadruplet]) -> Films:
    """Films of several quadruplets."""
    parts = ([np.stack(part) for part in zip(*one.shots, strict=True)] for one in made)
    frames, masks, states, seen = (np.stack(part) for part in zip(*parts, strict=True))
    hidden, cameras = np.array([one.hidden for one in made]), np.array([view_numbers(one.stage) for one in made], np.float32)
    return Films(frames, masks, states, seen, hidden, cameras)


def digest(films: Films) -> str:
    """SHA-256 of everything in the films."""
    found = hashlib.sha256()
    for part in films:
        found.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()
