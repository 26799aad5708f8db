"""The fair table: every planner on every task, with as many model steps as every other, and once more with as many milliseconds.

The plant is 1.2 times as heavy as the plan model and has 0.8 times its friction; where a control period is short, its actions come one
period late as well (a pole on a cart that is told something every 40 ms cannot be held 40 ms late). Horizon, noise and knots belong to the
task and are shared by all planners; the rest are the planners' defaults. All of them imagine one world, also for the cart on its table.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import planners

from .._recommended import LEFT_OUT, OPTIONS, accepted
from .._row import Row

EPISODES, STEPS, FIRST_SEED = 20, 200, 1000
MILLISECONDS = 20.0
ORACLE_PERIOD = 5  # control periods for which the oracle follows a plan
PLANT = {"plant_mass": 1.2, "friction": 0.8, "max_steps": STEPS, "episodes": EPISODES, "first_seed": FIRST_SEED, "judged": True}


@dataclasses.dataclass(frozen=True)
class Task:
    """A plant, what all its planners share, and the model steps that each of their replans may take."""

    plant: str
    shared: Mapping[str, Any]
    model_steps: int = 2000
    delay: int = 0
    env: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    riccati: bool = False  # whether a linear controller can do it, too
    pose: str | None = None  # for all planners, one of `POSES`

    def row(self, name: str, **options: Any) -> Row:
        """A row of this task."""
        return Row(name, self.plant, **({"env": self.env, "delay": self.delay} | PLANT | options))


TASKS = {
    "cart": Task("CartTable-v0", {"horizon": 30, "noise": 0.5, "hold": 5}, model_steps=3000, delay=1, env={"seconds": 4}, pose="one world"),
    "pendulum": Task("PendulumSwingUp-v0", {"horizon": 40, "noise": 0.5, "hold": 5}, delay=1),
    "cart-pole": Task("CartPoleSwingUp-v0", {"horizon": 40, "noise": 0.5, "hold": 4}, model_steps=4000),
    # Half a second is short-sighted here: with the plant's own model DIAL lets the slow swing of the cart grow until it leaves the rail,
    # and with one that is too light it holds. Its floor is the linear controller, and there is no oracle.
    "double pendulum": Task("InvertedDoublePendulum-v5", {"horizon": 10, "num_knots": 10, "noise": 0.3, "hold": 1}, riccati=True),
    "reacher": Task("Reacher-v5", {"horizon": 20, "num_knots": 10, "noise": 0.2, "hold": 4}, delay=1),
    "pusher": Task("Pusher-v5", {"horizon": 25, "num_knots": 6, "noise": 0.15, "hold": 5, "choices": "axes"}),
    "cheetah": Task("HalfCheetah-v5", {"horizon": 20, "noise": 0.7, "hold": 2, "choices": "axes"}),
    "maze": Task("PointMaze-v0", {"horizon": 25, "noise": 0.5, "hold": 4}, env={"band": "near", "seconds": 20}),
}
BUDGETS = {"model steps": lambda task: {"model_steps": task.model_steps}, "ms": lambda task: {"ms": MILLISECONDS}}


def lineup(name: str) -> dict[str, dict[str, Any]]:
    """Who competes on a task, and with which settings."""
    task = TASKS[name]
    entered = {planner: {"planner": planner, "options": accepted(planner, task.shared), "pose": task.pose} for planner in planners.PLANNERS}
    if name == "maze":
        entered["hierarchy"] = {"planner": "mppi", "options": {"horizon": 20, "noise": 0.5}, "pose": "on the map"}
    return {planner: said for planner, said in entered.items() if planner not in LEFT_OUT}


def _rows(name: str, task: Task) -> list[Row]:
    rows = [task.row(f"{name}, {policy}", policy=policy) for policy in ("random", "zero")]
    if task.riccati:
        rows.append(task.row(f"{name}, riccati", policy="riccati"))
    else:
        known = {"planner": "mppi", "options": OPTIONS.get(task.plant, {}) | accepted("mppi", task.shared) | {"num_samples": 1024}}
        rows.append(task.row(f"{name}, oracle", **known, oracle=True, delay=0, period=ORACLE_PERIOD))
    for kind, budget in BUDGETS.items():
        rows += [task.row(f"{name}, {planner}, {kind}", **said, budget=budget(task)) for planner, said in lineup(name).items()]
    return rows


ROWS = tuple(row for name, task in TASKS.items() for row in _rows(name, task))
