"""Films that somebody brings: read from files as they are, and refused in one line if they cannot be watched."""

import re
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from envs import cradle

from .._errors import UsageError, missing, one_line
from ._models import TUBELET

PICTURES = (".png", ".jpg", ".jpeg")
VIDEOS = (".mp4", ".avi", ".mov", ".webm", ".gif")
ARRAYS = (".npy", ".npz")
UNKNOWN = 2 * TUBELET - 1  # first frames of a film, at which models can be surprised by nothing yet
FRAMES = (UNKNOWN + 1, 32)  # least and most of a film
SIZE = cradle.SIZE  # px
FIT = f"`--fit` cuts films to a square, scales them to {SIZE} × {SIZE} pixels and takes at most {FRAMES[1]} frames, evenly spread."

Frames = UInt8[np.ndarray, "frame height width 3"]
BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, SyntaxError)  # as readers say it


def read_film(path: Path, *, fit: bool = False) -> Frames:
    """A film as a model takes it, from a video, an array `frames` of shape (frame, height, width, 3), or a folder of pictures in order.

    **Arguments:** `fit`: whether to scale and thin out what has another size or length.

    **Raises:** `UsageError` if there is none, it is damaged, or it is nothing that can be watched.
    """
    return checked(read_frames(path), str(path), fit=fit)


def read_frames(path: Path) -> np.ndarray:
    """Whatever is in there, unchecked.

    **Raises:** `UsageError` if there is no film, or it is damaged.
    """
    kind = path.suffix.lower()
    try:
        if path.is_dir():
            return _pictures(path)
        if not path.exists():
            raise UsageError(f"there is no film {str(path)!r}.")
        if kind in ARRAYS:
            return _array(path)
        if kind in VIDEOS:
            return _video(path)
    except BROKEN as error:
        raise UsageError(f"{str(path)!r} is damaged, or no film: {one_line(error)}. Bring a whole one.") from error
    raise UsageError(f"{str(path)!r}: films are {', '.join((*VIDEOS, *ARRAYS))}, or folders of {', '.join(PICTURES)}.")


def checked(frames: np.ndarray, name: str, *, fit: bool = False) -> Frames:
    """The same, if it can be watched.

    **Raises:** `UsageError` for another shape, size, length or range, for what is not a number, and where nothing is to be seen.
    """
    if frames.ndim != 4 or frames.shape[-1] not in (3, 4) or 0 in frames.shape:
        raise UsageError(f"{name}: a film has shape (frame, height, width, 3), this one {frames.shape}. Turn its axes, or add colours.")
    frames = frames[..., :3]
    if frames.dtype != np.uint8:
        if not np.isfinite(frames).all():
            raise UsageError(f"{name}: some pixels are not numbers (NaN or infinite). Repair the film.")
        if frames.min() < 0 or frames.max() > 255:
            raise UsageError(f"{name}: pixels go from 0 to 255, or from 0 to 1; here from {frames.min():.4g} to {frames.max():.4g}.")
        fraction = np.issubdtype(frames.dtype, np.floating) and frames.max() <= 1
        frames = np.rint(frames * (255.0 if fraction else 1.0)).astype(np.uint8)
    least, most = FRAMES
    if len(frames) < least:
        raise UsageError(f"{name}: a film has at least {least} frames, this one {len(frames)}. Before that nothing can surprise.")
    if fit:
        frames = fitted(frames)
    if len(frames) > most:
        raise UsageError(f"{name}: a film has at most {most} frames, as in training; this one {len(frames)}. {FIT}")
    if frames.shape[1:3] != (SIZE, SIZE):
        raise UsageError(f"{name}: frames have {SIZE} × {SIZE} pixels, here {frames.shape[1]} × {frames.shape[2]}. {FIT}")
    if frames.min() == frames.max():
        raise UsageError(
            f"{name}: every pixel of every frame is {frames.min()}. There is nothing to be seen; look at how the film was read."
        )
    return np.ascontiguousarray(frames)


def fitted(frames: Frames) -> Frames:
    """The square in the middle, scaled by means over areas, and at most as many frames as a film has."""
    length = min(len(frames), FRAMES[1])
    frames = frames[np.linspace(0, len(frames) - 1, length).round().astype(int)]
    side = min(frames.shape[1:3])
    top, left = ((size - side) // 2 for size in frames.shape[1:3])
    square = frames[:, top : top + side, left : left + side].astype(np.float32)
    weights = overlap(side)
    return np.rint(np.einsum("ij,tjkc,lk->tilc", weights, square, weights, optimize=True)).clip(0, 255).astype(np.uint8)


def overlap(side: int) -> Float[np.ndarray, "to side"]:
    """How much of every old pixel is in each of `SIZE` new ones; rows sum to 1."""
    edges = np.linspace(0, side, SIZE + 1)
    old = np.arange(side)
    share = np.clip(np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old), 0, None)
    return (share / share.sum(1, keepdims=True)).astype(np.float32)


def _array(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return np.load(path, allow_pickle=False)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # which is closed also if it is no archive
        names = archive.files
        if "frames" not in names and len(names) != 1:
            raise UsageError(f"{str(path)!r}: there is no array `frames`, only {', '.join(names) or 'nothing'}. Rename the film's.")
        return archive["frames" if "frames" in names else names[0]]


def _video(path: Path) -> np.ndarray:
    if missing("imageio_ffmpeg"):
        raise UsageError("videos need the extra `report`. Install it with `pip install 'energy-planning[report]'`.")
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-f", "image2pipe", "-vcodec", "ppm", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, process_group=0)  # its own reader forks
    if done.returncode or done.stderr or not done.stdout:  # of a file that is cut off, it gives what there is, and complains
        raise ValueError(done.stderr.decode(errors="replace") or "it has no frames")
    frames, at = [], 0
    while at < len(done.stdout):
        kind, width, height, most = done.stdout[at : at + 64].split(maxsplit=4)[:4]
        at += len(b" ".join((kind, width, height, most))) + 1
        size = 3 * int(width) * int(height)
        frames.append(np.frombuffer(done.stdout, np.uint8, size, at).reshape(int(height), int(width), 3))
        at += size
    return np.stack(frames)


def _by_number(file: Path) -> list[Any]:
    """The name, its numbers as numbers: 2 comes before 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]


def _pictures(path: Path) -> np.ndarray:
    if missing("PIL"):
        raise UsageError("pictures need the extra `report`. Install it with `pip install 'energy-planning[report]'`.")
    from PIL import Image

    files = sorted((file for file in path.iterdir() if file.suffix.lower() in PICTURES), key=_by_number)
    if not files:
        raise UsageError(f"{str(path)!r}: there are no pictures in this folder. Films are folders of {', '.join(PICTURES)}, in order.")
    frames = []
    for file in files:
        with Image.open(file) as picture:
            frames.append(np.asarray(picture.convert("RGB")))
    if len({frame.shape for frame in frames}) > 1:
        raise UsageError(f"{str(path)!r}: its pictures differ in size. A film has one.")
    return np.stack(frames)
