"""Number: one and one are two."""

from ._draw import BEHIND, FURTHER, OPEN, Draw, enters, screen, stands, stops, sunk
from ._quadruplet import Pair
from ._scene import mirrored


def number(draw: Draw) -> Pair:
    """One thing, or one from each side, come in and stop behind a screen; the screen goes. There may be one too few, or one too many."""
    stage = draw.stage()
    plate = draw.plate(draw.uniform(0.7, 0.78), draw.uniform(0.4, 0.5))
    away = draw.choice((OPEN, sunk(plate)))
    cover = screen(plate, 0.0, -0.5, [(draw.integer(18, 20) + draw.wait, away)])
    guests = [stops(draw.look(), draw.uniform(-0.34, -0.28), draw.uniform(12.0, 15.0)) for _ in range(2)]
    first, second = guests[0], *mirrored((guests[1],))
    return Pair(stage, (cover, first, second), (cover, first, None))


def explained(draw: Draw) -> Pair:
    """One of two leaves again before the screen goes; or one stood there before the screen came, and another joins it."""
    stage, one, other = draw.stage(), draw.look(), draw.look()
    plate = draw.plate(draw.uniform(0.7, 0.78), draw.uniform(0.4, 0.5))
    away, gone = draw.choice((OPEN, sunk(plate))), draw.integer(21, 23)
    first = stops(one, draw.uniform(-0.34, -0.28), draw.uniform(12.0, 15.0))
    leaves = screen(plate, 0.0, -0.5, [(gone, away)]), first, *mirrored((enters(other, draw.uniform(2.8, 3.2), x=-FURTHER, y=BEHIND),))
    comes = screen(plate, 0.0, -0.5, [(draw.integer(1, 2), 0.0), (gone, away)], height=away)
    return Pair(stage, leaves, (comes, first, stands(other, draw.uniform(0.28, 0.34))))
