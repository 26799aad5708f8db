"""Permanence: what rolls behind a screen and stops there is there when the screen goes."""

from ._draw import OPEN, Draw, enters, screen, stands, stops, sunk
from ._quadruplet import Pair


def permanence(draw: Draw) -> Pair:
    """Something comes in and stops behind a screen, or nothing does; the screen goes. It may be gone, or come from nowhere."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.55, 0.7), draw.uniform(0.4, 0.5))
    away = draw.choice((OPEN, sunk(plate)))
    cover = screen(plate, 0.0, -0.5, [(draw.integer(18, 20) + draw.wait, away)])
    guest = stops(look, draw.uniform(-0.12, 0.12), draw.uniform(14.0, 17.0))
    return Pair(stage, (cover, guest), (cover, None))


def explained(draw: Draw) -> Pair:
    """What went behind the screen leaves again before it goes; what is found there stood there before the screen came."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.55, 0.7), draw.uniform(0.4, 0.5))
    away = draw.choice((OPEN, sunk(plate)))
    leaves = screen(plate, 0.0, -0.5, [(draw.integer(21, 23), away)]), enters(look, draw.uniform(2.8, 3.2))
    comes = screen(plate, 0.0, -0.5, [(draw.integer(3, 5), 0.0), (draw.integer(18, 20), away)], height=away)
    return Pair(stage, leaves, (comes, stands(look, draw.uniform(-0.12, 0.12))))
