"""Success against inference-time compute: every planner on two tasks, from few model steps a replan to many."""

import planners as library

from .._row import Row
from .planners import LEFT_OUT, TASKS

BUDGETS = (250, 500, 1000, 2000, 4000, 8000)  # model steps a replan
EPISODES = 12
ON = ("cart-pole", "maze")


def _rows(name: str) -> list[Row]:
    task = TASKS[name]
    lineup = {planner: {"planner": planner, "options": task.options(planner)} for planner in library.PLANNERS if planner not in LEFT_OUT}
    if name == "maze":
        lineup["hierarchy"] = {"planner": "mppi", "options": {"horizon": 20, "noise": 0.5}, "pose": "on the map"}
    return [
        task.row(
            f"{name}, {planner}, {budget}", **settings, budget={"model_steps": budget}, episodes=EPISODES, first_seed=2000, judged=False
        )
        for planner, settings in lineup.items()
        for budget in BUDGETS
    ]


ROWS = tuple(row for name in ON for row in _rows(name))
