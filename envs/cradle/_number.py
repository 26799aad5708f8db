"""Number: one and one are two."""

from ._draw import OPEN, Draw, screen, stops, sunk
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
