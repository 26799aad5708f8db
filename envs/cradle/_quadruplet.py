"""Two possible films A and B, and the two impossible ones that are made of them."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ._draw import Draw
from ._physics import simulate
from ._picture import Shot, Studio
from ._scene import FRAMES, Cast, Stage, mirrored

CELLS = ("AA", "BB", "AB", "BA")  # whose context, whose outcome
MIN_HIDDEN = 3  # frames
MIN_SHOWN, MIN_PIXELS = 2, 10  # frames in which context and outcome differ at least, and in how many pixels
APART = 0.03  # m: two motions part here, about half a pixel
MAX_ATTEMPTS = 50


class Pair(NamedTuple):
    """Two casts on one stage, slot by slot the same things, what one may turn into, or nothing.

    `runs` counts the times that everything is hidden in between. `outcome` lists the slots whose motion is the outcome, where that is seen.
    `elsewhere` is a stage on which both happen as they never do, where it is that, and no outcome, that makes them impossible.
    """

    stage: Stage
    a: Cast
    b: Cast
    runs: int = 1
    outcome: tuple[int, ...] = ()
    elsewhere: Stage | None = None


class Quadruplet(NamedTuple):
    """Four films in the order of `CELLS`, how often their pair was drawn, and the processor time (s) that its pictures took.

    `hidden` is the first frame and the length of the run in which A and B look the same, and the length of the shortest of such runs, if
    there are several; or the frame in which their motions part, 0 and 0.
    """

    shots: tuple[Shot, ...]
    hidden: tuple[int, int, int]
    stage: Stage
    attempts: int
    seconds: float


def quadruplet(
    concept: Callable[[Draw], Pair], label: str, *, far: bool = False, wait: int = 0, rare: bool = False, explained: bool = False
) -> Quadruplet:
    """Draw until a pair does what its concept says. Of something rare, and of what is explained, all four films are possible.

    **Raises:** `RuntimeError` if none of many does, which only a fault in the concept can bring about.
    """
    seconds = 0.0
    for attempt in range(MAX_ATTEMPTS):
        draw = Draw(label, attempt, far=far, wait=wait, rare=rare)
        pair = concept(draw)
        if draw.coin():
            pair = pair._replace(a=mirrored(pair.a), b=mirrored(pair.b))
        studio = Studio(pair.stage, (pair.a, pair.b))
        mirrors = mirrored(pair.a), mirrored(pair.b)
        if explained:
            found = _film(pair, studio, pair.a, pair.b, *mirrors), (0, 0, 0)
        else:
            found = _elsewhere(pair, studio) if pair.elsewhere else (_replay if pair.outcome else _splice)(pair, studio)
        if found is not None and rare:
            found = (*found[0][:2], *_film(pair, studio, *mirrors)), found[1]
        seconds += studio.seconds
        if found is not None:
            return Quadruplet(*found, pair.stage, attempt + 1, seconds)
    raise RuntimeError(f"None of {MAX_ATTEMPTS} draws of {label!r} shows what it is to show. Loosen the settings of this concept.")


def _film(pair: Pair, studio: Studio, *casts: Cast) -> tuple[Shot, ...]:
    """What happens to each on the pair's stage."""
    return tuple(studio.shoot(cast, simulate(pair.stage, cast)) for cast in casts)


def hidden_runs(differ: Bool[np.ndarray, " frame"]) -> Int[np.ndarray, "run 2"]:
    """First frame and length of every run of equal frames with differing ones on both sides."""
    at = np.flatnonzero(differ)
    gaps = np.diff(at) - 1
    return np.stack([at[:-1] + 1, gaps], 1)[gaps > 0]


def _splice(pair: Pair, studio: Studio) -> tuple[tuple[Shot, Shot, Shot, Shot], tuple[int, int, int]] | None:
    a, b = _film(pair, studio, pair.a, pair.b)
    differ = (a.frames != b.frames).any((1, 2, 3)) | (a.masks != b.masks).any((1, 2))
    differ |= ((a.states != b.states).any(2) & (a.seen | b.seen)).any(1)  # by less than a pixel, for who is told states
    runs = hidden_runs(differ)
    runs = runs[np.sort(np.argsort(-runs[:, 1], kind="stable")[: pair.runs])]
    if len(runs) < pair.runs or runs[:, 1].min() < MIN_HIDDEN:
        return None
    cuts = [0, *(start + length // 2 for start, length in runs.tolist()), FRAMES]
    shown = (a.frames != b.frames).any(3).sum((1, 2)) >= MIN_PIXELS
    if min(shown[first:last].sum() for first, last in pairwise(cuts)) < MIN_SHOWN:
        return None
    outcome = np.searchsorted(cuts[1:-1], np.arange(FRAMES), side="right") % 2 == 1
    ab, ba = (Shot(*(_mix(outcome, *parts) for parts in zip(*order, strict=True))) for order in ((a, b), (b, a)))
    return (a, b, ab, ba), (int(runs[0, 0]), int(runs[0, 1]), int(runs[:, 1].min()))


def _mix(outcome: np.ndarray, context: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(outcome.reshape(-1, *[1] * (context.ndim - 1)), other, context)


def _elsewhere(pair: Pair, studio: Studio) -> tuple[tuple[Shot, Shot, Shot, Shot], tuple[int, int, int]]:
    stages = (pair.stage, pair.elsewhere or pair.stage)
    motions = [[simulate(stage, cast) for cast in (pair.a, pair.b)] for stage in stages]
    shots = [studio.shoot(cast, poses) for both in motions for cast, poses in zip((pair.a, pair.b), both, strict=True)]
    apart = np.linalg.norm(motions[0][0][..., :3] - motions[1][0][..., :3], axis=-1).max(1) > APART
    return (shots[0], shots[1], shots[2], shots[3]), (int(apart.argmax()), 0, 0)


def _replay(pair: Pair, studio: Studio) -> tuple[tuple[Shot, Shot, Shot, Shot], tuple[int, int, int]] | None:
    casts, poses = (pair.a, pair.b), [simulate(pair.stage, cast) for cast in (pair.a, pair.b)]
    follows = np.isin(np.arange(len(pair.a)), pair.outcome)

    def film(context: int, outcome: int) -> Shot:
        cast = tuple(casts[outcome if follow else context][slot] for slot, follow in enumerate(follows))
        return studio.shoot(cast, np.where(follows[:, None], poses[outcome], poses[context]))

    apart = np.linalg.norm(poses[0][..., :3] - poses[1][..., :3], axis=-1)[:, follows].max(1) > APART
    if not apart[:-MIN_SHOWN].any():
        return None
    shots = film(0, 0), film(1, 1), film(0, 1), film(1, 0)
    for other in shots[2:]:  # each differs from AA by its context or its outcome
        if ((shots[0].frames != other.frames).any(3).sum((1, 2)) >= MIN_PIXELS).sum() < MIN_SHOWN:
            return None
    return shots, (int(apart.argmax()), 0, 0)
