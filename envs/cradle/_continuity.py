"""Continuity: what passes two screens is seen between them."""

from ._draw import Draw, enters, screen
from ._quadruplet import Pair


def continuity(draw: Draw) -> Pair:
    """Something passes behind two screens, or nothing does. It may skip the gap between them, or be there only."""
    stage, look = draw.stage(), draw.look()
    plate, apart = draw.plate(draw.uniform(0.46, 0.5), draw.uniform(0.4, 0.5)), draw.uniform(0.76, 0.8)
    covers = screen(plate, -apart, -0.5), screen(plate, apart, -0.5)
    guest = enters(look, draw.uniform(1.6, 1.75))
    return Pair(stage, (*covers, guest), (*covers, None), runs=2)
