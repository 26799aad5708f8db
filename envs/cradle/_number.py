"""Number: one and one are two."""

from ._draw import OPEN, Draw, screen, stops, sunk
from ._quadruplet import Pair


def number(draw: Draw) -> Pair:
    """One thing, or two, come in and stop behind a screen; the screen goes. There may be one too few, or one too many."""
    stage = draw.stage()
    plate = draw.plate(draw.uniform(0.7, 0.78), draw.uniform(0.4, 0.5))
    away = draw.choice((OPEN, sunk(plate)))
    cover = screen(plate, 0.0, -0.5, [(draw.integer(18, 20) + draw.wait, away)])
    first = stops(draw.look(), draw.uniform(0.26, 0.32), draw.uniform(11, 13))
    second = stops(draw.look(), draw.uniform(-0.32, -0.26), draw.uniform(11, 13), held=4)
    return Pair(stage, (cover, first, second), (cover, first, None))
