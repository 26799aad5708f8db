"""Solidity: what rolls against a wall behind a screen does not come out on the other side."""

from ._draw import Draw, block, enters, lifted, rises, stops
from ._quadruplet import Pair


def solidity(draw: Draw) -> Pair:
    """A wall is seen, or none; a screen rises before it; something goes in. It comes out where there was none."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.6, 0.72), draw.uniform(0.42, 0.5))
    cover = rises(plate, draw.integer(4, 6))
    wall = block(draw.plate(draw.uniform(0.06, 0.1), draw.uniform(0.28, 0.34), 0.3), draw.uniform(0.0, 0.1))
    guest = enters(look, draw.uniform(2.4, 2.9), slowing=0.6, held=draw.integer(5, 7))
    return Pair(stage, (cover, guest, wall), (cover, guest, None))


def explained(draw: Draw) -> Pair:
    """The wall is lifted away in sight, and something comes out; or there was none, and it stops before the screen."""
    stage, look = draw.stage(), draw.look()
    plate = draw.plate(draw.uniform(0.6, 0.72), draw.uniform(0.42, 0.5))
    cover = rises(plate, draw.integer(4, 6))
    plate = draw.plate(draw.uniform(0.06, 0.1), draw.uniform(0.28, 0.34), 0.3)
    wall = lifted(plate, draw.uniform(0.0, 0.1), draw.integer(5, 7))
    guest = enters(look, draw.uniform(2.4, 2.9), slowing=0.6, held=draw.integer(5, 7))
    return Pair(stage, (cover, guest, wall), (cover, stops(look, -1.2, draw.uniform(12.0, 15.0)), None))
