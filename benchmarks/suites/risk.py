"""A cart of unknown mass that hurries to the edge, with no guardrail: what is made of the energies in several possible worlds decides."""

from .._recommended import OPTIONS
from .._row import Row

MASSES = (1.0, 3.0)  # what is believed possible, as factors; the plant is as heavy as that
# What a fall costs was chosen on training seeds (below 200): so much that planning for the mean trades it, but not blindly.
PLANT = {"env": {"seconds": 6, "shove_rate": 0}, "plant_mass": MASSES[1], "first_seed": 1000, "episodes": 100, "period": 5}
ASKED = {"Mean": "", "CVaR": "falls less often than with Mean", "WorstCase": "", "Entropic": "", "BestCase": ""}

ROWS = tuple(
    Row(
        risk,
        "CartTable-v0",
        "mppi",
        OPTIONS["CartTable-v0"],
        pose="risk",
        pose_options={"risk": risk, "masses": MASSES},
        asked=asked,
        **PLANT,
    )
    for risk, asked in ASKED.items()
)
