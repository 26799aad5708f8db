"""Constancy: what passes behind a screen keeps its shape, its colour and its size."""

from collections.abc import Callable

from ._draw import BEHIND, FURTHER, Draw, enters, screen, stops
from ._quadruplet import Pair
from ._scene import Look

LARGER = 1.35


def shapes(draw: Draw) -> tuple[Look, Look]:
    """One shape and another."""
    one, other = draw.kinds(2)
    hue, size = draw.hue(), draw.size()
    first = draw.look(one, size, hue)
    return first, draw.look(other, size, hue)._replace(color=first.color)


def colours(draw: Draw) -> tuple[Look, Look]:
    """One colour and another, at least a third of the circle apart."""
    kind, size, hue = draw.kind(), draw.size(), draw.hue()
    return draw.look(kind, size, hue), draw.look(kind, size, (hue + draw.choice((2, 3, 4)) / 6) % 1)


def sizes(draw: Draw) -> tuple[Look, Look]:
    """Something small and something large."""
    kind, hue, small = draw.kind(), draw.hue(), 0.9 * draw.size()
    first = draw.look(kind, small, hue)
    return first, draw.look(kind, LARGER * small, hue)._replace(color=first.color)


def constancy(looks: Callable[[Draw], tuple[Look, Look]], draw: Draw) -> Pair:
    """One thing or another passes behind a screen, and may come out as the other."""
    one, other = looks(draw)
    stage = draw.stage()
    cover = screen(draw.plate(draw.uniform(0.65, 0.75), draw.uniform(0.45, 0.52)), 0.0, -0.5)
    speed = draw.uniform(1.8, 2.2)
    return Pair(stage, (cover, enters(one, speed)), (cover, enters(other, speed)))


def explained(looks: Callable[[Draw], tuple[Look, Look]], draw: Draw) -> Pair:
    """Both go in, one stops there, and the other comes out."""
    one, other = looks(draw)
    stage = draw.stage()
    cover = screen(draw.plate(draw.uniform(0.65, 0.75), draw.uniform(0.45, 0.52)), 0.0, -0.5)
    frames, speed = draw.uniform(13.0, 16.0), draw.uniform(1.8, 2.2)
    a, b = ((cover, stops(stays, 0.0, frames), enters(goes, speed, x=-FURTHER, y=BEHIND)) for stays, goes in ((one, other), (other, one)))
    return Pair(stage, a, b)
