"""Release: what is held in the air, and let go, falls. Where gravity points upwards it rises, and no outcome is exchanged."""

from ._draw import Draw
from ._freeform import CEILING
from ._quadruplet import Pair
from ._scene import Free


def release(draw: Draw) -> Pair:
    """Something is let go, sooner or later: it falls to the ground, or rises as fast, to a ceiling that is not seen."""
    stage, look, x = draw.stage()._replace(ceiling=CEILING), draw.look(), draw.uniform(-0.8, 0.8)
    first, second = (Free(look, (x, 0.0, CEILING / 2), held=draw.integer(*when), slowing=1.0) for when in ((8, 12), (15, 19)))
    return Pair(stage, (first,), (second,), elsewhere=stage._replace(gravity=-stage.gravity))
