"""Inertia: what passes under a plate goes straight on."""

from ._draw import OUTSIDE, Draw, screen
from ._quadruplet import Pair
from ._scene import Free

HEIGHT = 0.7  # m of the plate above the ground


def inertia(draw: Draw) -> Pair:
    """Seen from above, something crosses the picture on one diagonal or the other, under a plate in the middle. It may turn there."""
    stage, look = draw.stage(above=True), draw.look()
    half, slope, speed = draw.uniform(0.5, 0.6), draw.uniform(0.65, 0.8), draw.uniform(1.9, 2.2)
    cover = screen(draw.plate(half, 0.02, half), 0.0, 0.0, height=HEIGHT)
    down, up = (Free(look, (-OUTSIDE, side * slope * OUTSIDE, look.size[2]), (speed, -side * slope * speed, 0.0)) for side in (1, -1))
    return Pair(stage, (cover, down), (cover, up))
