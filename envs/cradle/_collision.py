"""Collision: what meets something heavy returns, and what is hit moves."""

import numpy as np

from ._draw import OUTSIDE, Draw, block, carried, enters, lifted, rises, stops, way
from ._quadruplet import Pair
from ._scene import Fixed, Free


def bounces(draw: Draw) -> Pair:
    """A heavy block is seen, or none; a screen rises before it; something goes in. It returns from the block, or passes."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.6, 0.72), draw.uniform(0.42, 0.5))
    cover = rises(plate, draw.integer(3, 5))
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


def led(draw: Draw) -> Pair:
    """The block is lifted away in sight, and something passes; or an arm, which is seen above the screen, leads it there and back."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.6, 0.72), draw.uniform(0.42, 0.5))
    cover = rises(plate, draw.integer(3, 5))
    plate = draw.plate(draw.uniform(0.15, 0.2), draw.uniform(0.28, 0.34), 0.3)
    heavy = lifted(plate, draw.uniform(0.1, 0.2), draw.integer(4, 6))
    speed = draw.uniform(2.6, 3.0)
    passes = enters(look, speed, elastic=True, held=draw.integer(3, 5))
    led, arm = carried(look, draw.arm(), way((-OUTSIDE - 0.8, 0.0, look.size[2]), (speed, 0.0, 0.0), turn=draw.integer(12, 13)))
    return Pair(stage, (cover, passes, heavy, None), (cover, led, None, arm))


def held(draw: Draw) -> Pair:
    """An arm holds what is hit, which stays; or it takes it away before it is hit."""
    stage, size = draw.stage(), draw.size()
    mover, target, arm = draw.look(size=size), draw.look(size=size), draw.arm()
    at, speed = draw.uniform(-0.1, 0.3), draw.uniform(2.2, 2.8)
    place, touch = (at, 0.0, target.size[2]), at - mover.size[0] - target.size[0]
    _, holds = carried(target, arm, way(place, (0.0, 0.0, 0.0)))
    path = way(place, (speed, 0.0, 0.0))
    rest = draw.integer(8, 10)
    goes = carried(target, arm, np.concatenate([np.repeat(path[:1], rest, 0), path[:-rest]]))
    short = stops(mover, touch - draw.uniform(0.3, 0.45), draw.uniform(12.0, 14.0))
    return Pair(stage, (enters(mover, speed, elastic=True), Fixed(target, place), holds), (short, *goes))
