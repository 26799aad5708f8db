"""What a film is made of: things of four roles on a stage, in metres, seconds and colours from 0 to 1."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FRAMES, SIZE, RATE = 32, 64, 12  # frames of a film, pixels along each side, frames per second
VIEW = ("distance", "azimuth", "elevation", "x", "y", "z")  # of a camera, which looks at x, y, z (m, and degrees)
MOST_THINGS = 8  # on any film
KINDS = ("sphere", "box", "cylinder", "capsule", "ellipsoid")

Vector = tuple[float, float, float]


class Look(NamedTuple):
    """What is seen of a thing. `size` holds half extents (m) along x, y and z; a cylinder stands, and a capsule lies along y."""

    kind: str
    size: Vector
    color: Vector


class Fixed(NamedTuple):
    """Stands where it is, and everything free bumps into it. `tilt` (rad) turns it about the y axis."""

    look: Look
    position: Vector
    tilt: float = 0.0


class Moved(NamedTuple):
    """Goes its way through everything, as screens and hands do."""

    look: Look
    path: Float[np.ndarray, "frame 3"]


class Free(NamedTuple):
    """Left to physics, once it has been held for some frames.

    `slowing` (m/s²) is what the ground takes of its speed; at 0 it rolls or slides on for ever. What is elastic loses no energy to other
    elastic things or to fixed ones, and slides without rolling, lest its spin take part.
    """

    look: Look
    position: Vector
    velocity: Vector = (0.0, 0.0, 0.0)  # m/s
    slowing: float = 0.0
    elastic: bool = False
    held: int = 0


Thing = Fixed | Moved | Free
Cast = tuple[Thing | None, ...]  # a slot for every thing that a film, or the one it is compared with, has


class Stage(NamedTuple):
    """Where a film plays, and from where it is seen.

    `view` is what `Camera` takes. `tile` (m) is the side of a square of the floor, which is plain at 0. `ceiling` (m) is the height of
    one that is not seen, and holds whatever falls upwards.
    """

    floor: tuple[Vector, Vector]
    tile: float
    wall: Vector
    view: dict[str, float | Vector]
    gravity: float = -9.81  # m/s²
    ceiling: float | None = None


def view_numbers(stage: Stage) -> tuple[float, ...]:
    """`VIEW` of its camera."""
    return *(stage.view[name] for name in VIEW[:3]), *stage.view["lookat"]  # pyright: ignore[reportReturnType, reportGeneralTypeIssues]


def mirrored(cast: Cast) -> Cast:
    """The same things with left and right exchanged."""

    def flip(vector):
        return (-vector[0], *vector[1:])

    def mirror(thing):
        match thing:
            case Fixed():
                return thing._replace(position=flip(thing.position), tilt=-thing.tilt)
            case Moved():
                return thing._replace(path=thing.path * [-1, 1, 1])
            case Free():
                return thing._replace(position=flip(thing.position), velocity=flip(thing.velocity))

    return tuple(mirror(thing) for thing in cast)


def geom(look: Look) -> str:
    """The attributes of the MJCF geom of a look."""
    x, y, z = look.size
    size = {"sphere": (x,), "cylinder": (x, z), "capsule": (x, y - x)}.get(look.kind, look.size)
    lying = ' zaxis="0 1 0"' if look.kind == "capsule" else ""
    return f'type="{look.kind}" size="{words(size)}"{lying}'


def words(numbers: tuple[float, ...]) -> str:
    """As MJCF has vectors, without loss."""
    return " ".join(map(repr, map(float, numbers)))
