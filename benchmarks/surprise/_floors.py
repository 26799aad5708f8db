"""Scores that know nothing of physics: what they find is in the pictures, and no evidence of an expectation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from envs import cradle

Films = UInt8[np.ndarray, "film frame height width 3"]
Curves = Float[np.ndarray, "film frame"]

COARSE = 8  # px of a frame that become one, for what compares many frames
COMPONENTS = 32  # directions of the density of single frames
UNITS = 64  # of a random network
BALANCED = cradle.MIN_HIDDEN + 1  # frames: the longest window over which all films are balanced in which something is hidden


def pixel_change(films: Films) -> Curves:
    """The mean absolute difference from the frame before."""
    curves = np.zeros(films.shape[:2])
    for index, film in enumerate(films):
        whole = film.astype(np.int16)
        curves[index, 1:] = np.abs(whole[1:] - whole[:-1]).mean((1, 2, 3))
    return curves


def self_novelty(films: Films) -> Curves:
    """The distance from the nearest of all earlier frames of the same film."""
    curves = np.zeros(films.shape[:2])
    for index, film in enumerate(_coarse(films)):
        squares = (film**2).sum(1)
        distances = np.sqrt(np.clip(squares[:, None] + squares - 2 * film @ film.T, 0, None))
        for frame in range(1, len(film)):
            curves[index, frame] = distances[frame, :frame].min()
    return curves


def first_last(films: Films) -> Curves:
    """How far the last frame is from the first; 0 before."""
    curves = np.zeros(films.shape[:2])
    curves[:, -1] = np.abs(films[:, -1].astype(np.int16) - films[:, 0]).mean((1, 2, 3))
    return curves


class RandomWindow(NamedTuple):
    """A random network on the last `frames` frames: whatever it says, it is a sum over windows.

    **Arguments:**

    - `frames`: of the window, the present one among them.
    - `seed`: of the weights.
    """

    frames: int
    seed: int = 0

    def __call__(self, films: Films) -> Curves:
        """One number at every frame; 0 where the window is not full."""
        rng = np.random.default_rng((self.frames, self.seed))
        coarse, curves = _coarse(films) / 255.0, np.zeros(films.shape[:2])
        first = rng.normal(size=(self.frames, coarse.shape[-1], UNITS)) / np.sqrt(self.frames * coarse.shape[-1])
        last = rng.normal(size=UNITS)
        length = films.shape[1] - self.frames + 1
        hidden = sum(4.0 * coarse[:, shift : shift + length] @ weights for shift, weights in enumerate(first))
        curves[:, self.frames - 1 :] = np.tanh(hidden) @ last
        return curves


class Density(NamedTuple):
    """How improbable a single frame is: a normal distribution fitted to frames of possible films."""

    mean: Float[np.ndarray, " pixel"]
    directions: Float[np.ndarray, "pixel component"]  # divided by their deviations
    rest: float  # the mean square of what no direction explains

    def __call__(self, films: Films) -> Curves:
        """Half of the squared distance from the mean, in deviations."""
        moved = _coarse(films) - self.mean
        along = moved @ self.directions
        scale = np.linalg.norm(self.directions, axis=0)
        explained = ((along / scale) ** 2).sum(-1)
        return 0.5 * ((along**2).sum(-1) + np.clip((moved**2).sum(-1) - explained, 0, None) / self.rest)


def fit_density(films: Films) -> Density:
    """The density of single frames, of films that are not tested."""
    frames = _coarse(films).reshape(-1, _coarse(films[:1]).shape[-1])
    mean = frames.mean(0)
    values, vectors = np.linalg.eigh(np.cov(frames.T))
    rest = float(np.clip(values[:-COMPONENTS].mean(), 1e-6, None))
    kept = np.clip(values[-COMPONENTS:], rest, None)
    return Density(mean, vectors[:, -COMPONENTS:] / np.sqrt(kept), rest)


def panel(possible: Films) -> dict[str, Callable[[Films], Curves]]:
    """All of them, by name.

    **Arguments:**

    - `possible`: films to fit the density of single frames to.
    """
    return {
        "pixel change": pixel_change,
        "self-novelty": self_novelty,
        "first and last frame": first_last,
        "random network, 1 frame": RandomWindow(1),
        "random network, 2 frames": RandomWindow(2),
        f"random network, {BALANCED} frames": RandomWindow(BALANCED),
        "density of frames": fit_density(possible),
    }


def _coarse(films: Films) -> Float[np.ndarray, "film frame pixel"]:
    """Means over squares of pixels."""
    film, frame, height, width, channel = films.shape
    squares = films.reshape(film, frame, height // COARSE, COARSE, width // COARSE, COARSE, channel)
    return squares.mean((3, 5), dtype=np.float64).reshape(film, frame, -1)
