"""Gravity: what goes over the edge of a table falls, and what is carried does not."""

from ._draw import OUTSIDE, Draw, block, carried, enters, rises, screen, sunk, way
from ._quadruplet import Pair
from ._scene import Fixed

BEYOND = OUTSIDE + 0.3  # m from the middle, where tables that leave the picture end
NARROW = 0.14  # m, half of a table that hides nothing of what stands on it


def off_the_table(draw: Draw) -> Pair:
    """A cart goes along a table that is long, or ends: it goes on, or falls, in sight. It may float, or drop through the table."""
    stage, cart = draw.stage(), draw.look("box")
    height, edge = draw.uniform(0.3, 0.38), draw.uniform(-0.4, 0.1)
    near, far = _tables(draw, height, (-BEYOND, edge), (edge, BEYOND))
    guest = enters(cart, draw.uniform(1.5, 2.1), height=2 * height)
    return Pair(stage, (near, far, guest), (near, None, guest), outcome=(2,))


def over_the_gap(draw: Draw) -> Pair:
    """Two tables with a bridge between them, or none; a screen rises before it; a cart goes in. It comes out where there was a bridge."""
    stage, cart = draw.stage(), draw.look("box")
    height, gap = draw.uniform(0.24, 0.3), draw.uniform(0.42, 0.48)
    near, bridge, far = _tables(draw, height, (-BEYOND, -gap), (-gap, gap), (gap, BEYOND))
    plate = draw.plate(draw.uniform(0.7, 0.78), 0.6)
    cover = rises(plate, draw.integer(4, 6))
    guest = enters(cart, draw.uniform(2.2, 2.5), height=2 * height, held=draw.integer(4, 6))
    return Pair(stage, (cover, near, far, guest, bridge), (cover, near, far, guest, None))


def carried_off(draw: Draw) -> Pair:
    """An arm carries the cart past the edge; or it goes over the front of a table that is long."""
    stage, cart = draw.stage(), draw.look("box")
    height, edge, speed = draw.uniform(0.3, 0.38), draw.uniform(-0.4, 0.1), draw.uniform(1.5, 2.1)
    near, far = _tables(draw, height, (-BEYOND, edge), (edge, BEYOND))
    start = (-OUTSIDE, 0.0, 2 * height + cart.size[2])
    falls = enters(cart, speed, height=2 * height)._replace(velocity=(speed, -draw.uniform(0.5, 0.8), 0.0))
    return Pair(stage, (near, None, *carried(cart, draw.arm(), way(start, (speed, 0.0, 0.0)))), (near, far, falls, None))


def carried_over(draw: Draw) -> Pair:
    """An arm, which is seen above the screen, carries the cart over the gap; or it stops before the screen."""
    stage, cart = draw.stage(), draw.look("box")
    height, gap = draw.uniform(0.24, 0.3), draw.uniform(0.42, 0.48)
    near, bridge, far = _tables(draw, height, (-BEYOND, -gap), (-gap, gap), (gap, BEYOND))
    cover = screen(draw.plate(draw.uniform(0.7, 0.78), 0.6), 0.0, -0.5, [(draw.integer(4, 6), 0.0)], height=sunk(draw.plate(0.7, 0.6)))
    start, speed = (-OUTSIDE - 0.8, 0.0, 2 * height + cart.size[2]), draw.uniform(2.2, 2.5)
    guest, arm = carried(cart, draw.arm(), way(start, (speed, 0.0, 0.0)))
    stops = enters(cart, 1.6, height=2 * height, slowing=1.6**2 / 2 / draw.uniform(0.9, 1.1))
    return Pair(stage, (cover, near, far, guest, None, arm), (cover, near, far, stops, bridge, None))


def _tables(draw: Draw, height: float, *spans: tuple[float, float]) -> list[Fixed]:
    """Tables of one colour and height between these places."""
    plate = draw.plate(1.0, height, NARROW)
    return [block(plate._replace(size=((right - left) / 2, NARROW, height)), (left + right) / 2) for left, right in spans]
