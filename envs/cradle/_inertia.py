"""Inertia: what passes under a plate goes straight on."""

import numpy as np

from ._draw import OUTSIDE, SCREEN_SPEED, Draw, block, screen
from ._quadruplet import Pair
from ._scene import FRAMES, Free, Moved

HEIGHT = 0.7  # m of the plate above the ground


def inertia(draw: Draw) -> Pair:
    """Seen from above, something crosses the picture on one diagonal or the other, under a plate in the middle. It may turn there."""
    stage, look = draw.stage(above=True), draw.look()
    half, slope, speed = draw.uniform(0.5, 0.6), draw.uniform(0.65, 0.8), draw.uniform(1.9, 2.2)
    cover = screen(draw.plate(half, 0.02, half), 0.0, 0.0, height=HEIGHT)
    down, up = (Free(look, (-OUTSIDE, side * slope * OUTSIDE, look.size[2]), (speed, -side * slope * speed, 0.0)) for side in (1, -1))
    return Pair(stage, (cover, down), (cover, up))


def explained(draw: Draw) -> Pair:
    """A wall is seen before a plate slides over it: what meets it turns there."""
    stage, look = draw.stage(above=True), draw.look()
    half, slope, speed = draw.uniform(0.55, 0.65), draw.uniform(0.65, 0.8), draw.uniform(1.9, 2.2)
    path = np.full((FRAMES, 3), (0.0, 0.0, HEIGHT))
    path[:, 0] = np.maximum(OUTSIDE + half - SCREEN_SPEED * np.arange(FRAMES), 0.0)
    cover, wall = Moved(draw.plate(half, 0.02, half), path), draw.plate(0.35, 0.3, 0.05)
    a, b = (
        (cover, Free(look, (-OUTSIDE, side * slope * OUTSIDE, look.size[2]), (speed, -side * slope * speed, 0.0), elastic=True), stop)
        for side, stop in ((side, block(wall, 0.0, y=-side * (look.size[1] + wall.size[1]))) for side in (1, -1))
    )
    return Pair(stage, a, b)
