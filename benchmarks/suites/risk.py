"""A cart of unknown mass near the edge, which guardrails do not hold: what is made of the energies in several possible worlds decides."""

from .._recommended import OPTIONS
from .._row import Row

PLANT = {"env": {"seconds": 6}, "plant_mass": 1.6, "first_seed": 1000, "episodes": 200, "period": 5}  # as heavy as is believed possible
ASKED = {"Mean": "", "CVaR": "falls less often than with Mean", "WorstCase": "", "BestCase": "", "Entropic": ""}

ROWS = tuple(
    Row(risk, "CartTable-v0", "mppi", OPTIONS["CartTable-v0"], pose="risk", pose_options={"risk": risk}, asked=asked, **PLANT)
    for risk, asked in ASKED.items()
)
