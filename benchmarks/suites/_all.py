"""All suites by name."""

from . import cart_table, constraints, gymnasium, hierarchy, planners, risk

SUITES = {
    "gymnasium": gymnasium.ROWS,
    "cart-table": cart_table.ROWS,
    "energy-scale": cart_table.SCALED,
    "hierarchy": hierarchy.ROWS,
    "constraints": constraints.ROWS,
    "risk": risk.ROWS,
    "planners": planners.ROWS,
}
