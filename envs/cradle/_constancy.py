"""Constancy: what passes behind a screen keeps its shape, its colour and its size."""

from ._draw import Draw, enters, screen
from ._quadruplet import Pair
from ._scene import Look

LARGER = 1.35


def shape(draw: Draw) -> Pair:
    """One shape or another passes behind a screen, and may come out as the other."""
    one, other = draw.kinds(2)
    hue, size = draw.hue(), draw.size()
    first = draw.look(one, size, hue)
    return _passes(draw, first, draw.look(other, size, hue)._replace(color=first.color))


def colour(draw: Draw) -> Pair:
    """One colour or another, at least a third of the circle apart."""
    kind, size, hue = draw.kind(), draw.size(), draw.hue()
    return _passes(draw, draw.look(kind, size, hue), draw.look(kind, size, (hue + draw.choice((2, 3, 4)) / 6) % 1))


def size(draw: Draw) -> Pair:
    """Something small or something large."""
    kind, hue, small = draw.kind(), draw.hue(), 0.9 * draw.size()
    first = draw.look(kind, small, hue)
    return _passes(draw, first, draw.look(kind, LARGER * small, hue)._replace(color=first.color))


def _passes(draw: Draw, one: Look, other: Look) -> Pair:
    stage = draw.stage()
    cover = screen(draw.plate(draw.uniform(0.65, 0.75), draw.uniform(0.45, 0.52)), 0.0, -0.5)
    speed = draw.uniform(1.8, 2.2)
    return Pair(stage, (cover, enters(one, speed)), (cover, enters(other, speed)))
