"""Continuity: what passes two screens is seen between them."""

from ._draw import Draw, enters, screen
from ._quadruplet import Pair
from ._scene import Free

ABOVE = 3.2  # m, out of the picture


def continuity(draw: Draw) -> Pair:
    """Something passes behind two screens, or nothing does. It may skip the gap between them, or be there only."""
    stage, look = draw.stage(), draw.look()
    plate, apart = draw.plate(draw.uniform(0.46, 0.5), draw.uniform(0.4, 0.5)), draw.uniform(0.76, 0.8)
    covers = screen(plate, -apart, -0.5), screen(plate, apart, -0.5)
    guest = enters(look, draw.uniform(1.6, 1.75))
    return Pair(stage, (*covers, guest), (*covers, None), runs=2)


def explained(draw: Draw) -> Pair:
    """A third screen hides what passes between the two; or something falls from above into the gap, and stays."""
    stage, look = draw.stage(), draw.look()
    plate, apart = draw.plate(draw.uniform(0.46, 0.5), draw.uniform(0.4, 0.5)), draw.uniform(0.76, 0.8)
    covers = screen(plate, -apart, -0.5), screen(plate, apart, -0.5)
    falls = Free(look, (0.0, 0.0, ABOVE), slowing=2.0, held=draw.integer(4, 12))
    return Pair(stage, (*covers, enters(look, draw.uniform(1.6, 1.75)), screen(plate, 0.0, -0.6)), (*covers, falls, None))
