"""Four ways to handle what must never happen, each with a filter behind it and without, on plants heavier than the plan model.

Where the last way violates all the same, an oracle tries that episode: the same planner, with the plant's own model, 4,096 samples and
five restarts.
"""

from typing import Any

from .._recommended import OPTIONS
from .._row import Row

# Plant, its options, control periods between plans, and what must never happen: for the cart, not that its room to brake is used up, since
# any shove does that for a moment.
TASKS = {
    "cart": ("CartTable-v0", {"seconds": 6}, 5, "wheels stay on the table"),
    "arm": ("DiscReach-v0", {}, 2, "tip outside the disc"),
}
HANDLED = {
    "clip only": {"guarded": False},
    "penalty": {"pose": "penalty"},
    "ranking": {},
    "augmented Lagrangian": {"pose": "multipliers"},
}
MARGIN = 0.1  # scales of the guardrail that plans keep to spare
LAST = "augmented Lagrangian"
ASKED = "no violation where the oracle has none"
ORACLE = {"num_samples": 4096}
RESTARTS = 5


def _row(task: str, handled: str, name: str, more: dict[str, Any], options: dict[str, Any] | None = None) -> Row:
    plant, env, period, never = TASKS[task]
    posed: dict[str, Any] = {"env": env, "plant_mass": 1.3, "first_seed": 1000, "episodes": 200, "period": period}
    posed |= {"judged": True, "counted": (never,), "margin": MARGIN}
    return Row(f"{task}, {name}", plant, "mppi", OPTIONS[plant] | (options or {}), **(posed | HANDLED[handled] | more))


def _rows(task: str) -> list[Row]:
    rows = [
        _row(task, handled, f"{handled}{end}", {"filtered": bool(end), "asked": ASKED if handled == LAST else ""})
        for handled in HANDLED
        for end in ("", ", filter")
    ]
    questioned = {"oracle": True, "repeats": (f"{task}, {LAST}", f"{task}, {LAST}, filter")}
    return rows + [_row(task, LAST, f"oracle, restart {i}", questioned | {"restart": i}, ORACLE) for i in range(RESTARTS)]


ROWS = tuple(row for task in TASKS for row in _rows(task))
