"""Four ways to handle what must never happen, each with a filter behind it and without, on plants heavier than the plan model."""

from typing import Any

from .._recommended import OPTIONS
from .._row import Row

TASKS = {"cart": ("CartTable-v0", {"seconds": 6}, 5), "arm": ("DiscReach-v0", {}, 2)}  # plant, its options, control periods between plans
HANDLED = {
    "clip only": {"guarded": False},
    "penalty": {"pose": "penalty"},
    "ranking": {},
    "augmented Lagrangian": {"pose": "multipliers"},
}


def _row(task: str, handled: str, filtered: bool) -> Row:
    plant, env, period = TASKS[task]
    asked = "no violation" if handled == "augmented Lagrangian" else ""
    more: dict[str, Any] = {"env": env, "plant_mass": 1.3, "first_seed": 1000, "episodes": 200, "period": period, "filtered": filtered}
    more |= {"judged": True, "asked": asked}
    return Row(f"{task}, {handled}{', filter' if filtered else ''}", plant, "mppi", OPTIONS[plant], **(more | HANDLED[handled]))


ROWS = tuple(_row(task, handled, filtered) for task in TASKS for handled in HANDLED for filtered in (False, True))
