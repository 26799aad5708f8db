"""Chance, one stream for every film, and what differs between the splits."""

import colorsys
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ._scene import FRAMES, RATE, Fixed, Free, Look, Moved, Stage, Vector

NEAR_KINDS, FAR_KINDS = ("sphere", "box", "cylinder"), ("capsule", "ellipsoid")
NEAR_SIZES, FAR_SIZES = (0.21, 0.27), (0.165, 0.195)  # m, half extents
NEAR_HUES, FAR_HUES = (0.0, 0.65), (0.75, 0.9)  # parts of every sixth of the circle of hues
HUES = 6
OUTSIDE = 2.3  # m from the middle of the picture: not seen yet, or no longer
BEHIND, FURTHER = 0.75, 2.9  # m behind the others, where more is seen of both sides, and from where on it is not
CLOSED, OPEN = 0.0, 2.9  # m above its place, for a screen; sunk, it is as much below as it is tall
SCREEN_SPEED = 0.3  # m per frame
DEPTH = 0.03  # m, half of a screen


class Draw:
    """Draws what films need. The same label and attempt give the same draws, on any machine."""

    def __init__(self, label: str, attempt: int = 0, *, far: bool = False, wait: int = 0, rare: bool = False):
        """**Arguments:** `label` names the film; `far` draws what the near splits never show; `wait` is for how many frames more something
        is hidden before it is shown; `rare` gives things hues that are seldom seen."""
        seed = hashlib.sha256(f"{label}/{attempt}".encode()).digest()
        self._rng, self.far, self.wait, self.rare = np.random.default_rng(list(seed)), far, wait, rare

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return float(self._rng.uniform(low, high))

    def integer(self, low: int, high: int) -> int:
        """One of low, ..., high."""
        return int(self._rng.integers(low, high + 1))

    def coin(self, probability: float = 0.5) -> bool:
        """True with this probability."""
        return bool(self._rng.random() < probability)

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def hue(self) -> float:
        """Of an object, from 0 to 1."""
        low, high = FAR_HUES if self.far or self.rare else NEAR_HUES
        return (self.integer(0, HUES - 1) + self.uniform(low, high)) / HUES

    def kind(self) -> str:
        """Of an object."""
        return self.choice(FAR_KINDS if self.far else NEAR_KINDS)

    def kinds(self, count: int) -> list[str]:
        """Different kinds of objects."""
        known = FAR_KINDS if self.far else NEAR_KINDS
        return [known[index] for index in self._rng.permutation(len(known))[:count]]

    def size(self) -> float:
        """Of an object, half its extent in m."""
        return self.uniform(*(FAR_SIZES if self.far else NEAR_SIZES))

    def look(self, kind: str | None = None, size: float | None = None, hue: float | None = None) -> Look:
        """An object, in strong colours."""
        kind, size, hue = kind or self.kind(), size or self.size(), self.hue() if hue is None else hue
        flat = {"ellipsoid": 0.7, "box": 0.85, "cylinder": 0.9}.get(kind, 1.0)
        extents = (size, size * (1.5 if kind == "capsule" else 1.0), size * flat)
        return Look(kind, extents, color(hue, self.uniform(0.75, 1.0), self.uniform(0.75, 1.0)))

    def plate(self, half_width: float, half_height: float, half_depth: float = DEPTH) -> Look:
        """A screen, a wall or a table, in mild colours."""
        mild = color(self.uniform(0.0, 1.0), self.uniform(0.15, 0.4), self.uniform(0.4, 0.75))
        return Look("box", (half_width, half_depth, half_height), mild)

    def arm(self) -> Look:
        """What holds something, and comes from above the picture."""
        return self.plate(0.06, 0.9, 0.06)

    def stage(self, *, above: bool = False) -> Stage:
        """A floor, a wall and a camera, which stands in front or looks down from above."""
        floor = self.uniform(0.0, 1.0)
        shades = tuple(color(floor, self.uniform(0.05, 0.2), value + self.uniform(-0.05, 0.05)) for value in (0.6, 0.5))
        tile = self.choice((0.9, 1.3)) if self.far else self.choice((0.0, 0.5))
        wall = color(self.uniform(0.0, 1.0), self.uniform(0.05, 0.15), self.uniform(0.8, 0.95))
        low, high = (18.0, 24.0) if self.far else (8.0, 14.0)  # degrees
        turn = self.uniform(7.0, 11.0) * (-1) ** self.integer(0, 1) if self.far else self.uniform(-6.0, 6.0)
        lookat = (self.uniform(-0.05, 0.05), 0.0, 0.0 if above else self.uniform(0.85, 0.95))
        view = {
            "distance": self.uniform(4.2, 4.5),
            "azimuth": 90.0 + turn,
            "elevation": -90.0 if above else -self.uniform(low, high),
            "lookat": lookat,
        }
        return Stage((shades[0], shades[1]), tile, wall, view)


def color(hue: float, saturation: float, value: float) -> Vector:
    """Red, green and blue, to three digits."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red, 3), round(green, 3), round(blue, 3)


def enters(
    look: Look,
    speed: float,
    *,
    x: float = -OUTSIDE,
    y: float = 0.0,
    height: float = 0.0,
    held: int = 0,
    elastic: bool = False,
    slowing: float = 0.0,
) -> Free:
    """Comes from the left and goes on, on the ground or on a table of this height."""
    return Free(look, (x, y, height + look.size[2]), (speed, 0.0, 0.0), slowing, elastic, held)


def stops(look: Look, at: float, frames: float, *, y: float = 0.0, held: int = 0) -> Free:
    """Comes from the left and slows down until it stands at x = `at`, so many frames after it was let go."""
    seconds = frames / RATE
    speed = 2 * (at + OUTSIDE) / seconds
    return Free(look, (-OUTSIDE, y, look.size[2]), (speed, 0.0, 0.0), slowing=speed / seconds, held=held)


def screen(look: Look, x: float, y: float, moves: Sequence[tuple[int, float]] = (), *, height: float = CLOSED) -> Moved:
    """A screen that stands on the ground at (x, y) or `height` above that, and from the frames in `moves` on goes to the heights there."""
    way, goals = np.empty(FRAMES), dict(moves)
    goal = height
    for frame in range(FRAMES):
        goal = goals.get(frame, goal)
        height += float(np.clip(goal - height, -SCREEN_SPEED, SCREEN_SPEED))
        way[frame] = height
    return Moved(look, np.stack([np.full(FRAMES, x), np.full(FRAMES, y), look.size[2] + way], 1))


def stands(look: Look, x: float, *, y: float = 0.0) -> Free:
    """Rests on the ground."""
    return Free(look, (x, y, look.size[2]), slowing=2.0)


def carried(look: Look, arm: Look, path: Float[np.ndarray, "frame 3"]) -> tuple[Moved, Moved]:
    """Something that goes along a path, and the arm that holds it from above."""
    return Moved(look, path), Moved(arm, path + np.array([0.0, 0.0, look.size[2] + arm.size[2]]))


def way(start: Vector, velocity: Vector, turn: int = FRAMES) -> Float[np.ndarray, "frame 3"]:
    """A straight path; from frame `turn` on it leads back."""
    frames = np.arange(FRAMES)
    return np.array(start) + np.where(frames < turn, frames, 2 * turn - frames)[:, None] / RATE * np.array(velocity)


def rises(look: Look, frame: int) -> Moved:
    """A screen that comes out of the ground in the middle, in front of everything."""
    return screen(look, 0.0, -0.5, [(frame, CLOSED)], height=sunk(look))


def lifted(look: Look, x: float, frame: int) -> Moved:
    """Something that stands at x until it is lifted out of the picture."""
    return screen(look, x, 0.0, [(frame, OPEN)])


def block(look: Look, x: float, *, bottom: float = 0.0, y: float = 0.0) -> Fixed:
    """Something that stands on the ground, or with its bottom at this height."""
    return Fixed(look, (x, y, bottom + look.size[2]))


def sunk(look: Look) -> float:
    """The height of a screen that has gone into the ground."""
    return -2 * look.size[2] - 0.05
