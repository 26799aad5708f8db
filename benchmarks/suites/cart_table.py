"""The demo task: a cart is shoved about near the edge of a table; and the same with all energies scaled."""

from typing import Any

from .._recommended import OPTIONS
from .._row import Row

CART = OPTIONS["CartTable-v0"]
ORACLE = CART | {"num_samples": 4096}
FIRST_SEED = 1000  # nothing was tuned on these: seeds below 200 were


def cart(name: str, **options: Any) -> Row:
    """A row of 50 episodes."""
    return Row(name, "CartTable-v0", **({"episodes": 50, "plant_mass": 1.3, "first_seed": FIRST_SEED} | options))


ROWS = (
    cart("zero", policy="zero", asked="falls at least 25 times"),
    cart("guarded", planner="mppi", options=CART, asked="0 falls, 50 of 50 at the goal"),
    cart("unguarded", planner="mppi", options=CART, guarded=False, asked="falls at least 5 times"),
    cart("oracle", planner="mppi", options=ORACLE, oracle=True, period=10, asked="50 of 50 safe and at the goal"),
)
SCALED = (
    cart("energies x 0.01", planner="mppi", options=CART, scale=0.01, episodes=10, asked="as with unchanged energies"),
    cart("energies x 1", planner="mppi", options=CART, episodes=10, asked="0 falls, 10 of 10 at the goal"),
    cart("energies x 100", planner="mppi", options=CART, scale=100.0, episodes=10, asked="as with unchanged energies"),
)
