"""Collision: what meets something heavy returns, and what is hit moves."""

from ._draw import OUTSIDE, Draw, block, enters, screen, stops, sunk
from ._quadruplet import Pair
from ._scene import Free


def bounces(draw: Draw) -> Pair:
    """A heavy block is seen, or none; a screen rises before it; something goes in. It returns from the block, or passes."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.6, 0.72), draw.uniform(0.42, 0.5))
    cover = screen(plate, 0.0, -0.5, [(draw.integer(3, 5), 0.0)], height=sunk(plate))
    heavy = block(draw.plate(draw.uniform(0.15, 0.2), draw.uniform(0.28, 0.34), 0.3), draw.uniform(0.1, 0.2))
    guest = enters(look, draw.uniform(2.6, 3.0), elastic=True, held=draw.integer(3, 5))
    return Pair(stage, (cover, guest, heavy), (cover, guest, None))


def launches(draw: Draw) -> Pair:
    """Something hits another, which moves, or stops short of it, in sight. The other may stay when it is hit, or move when it is not."""
    stage, size = draw.stage(), draw.size()
    mover, target = draw.look(size=size), draw.look(size=size)
    at, gap = draw.uniform(-0.1, 0.3), draw.uniform(0.3, 0.45)
    speed = draw.uniform(2.2, 2.8)
    rests = Free(target, (at, 0.0, target.size[2]), elastic=True)
    touch = at - mover.size[0] - target.size[0]
    short = stops(mover, touch - gap, 2 * 12 * (touch - gap + OUTSIDE) / (speed * 1.2))
    return Pair(stage, (enters(mover, speed, elastic=True), rests), (short, rests), outcome=(1,))
