"""Success against inference-time compute: every planner on two tasks, from few model steps a replan to many."""

from .._row import Row
from .planners import TASKS, lineup

BUDGETS = (250, 500, 1000, 2000, 4000, 8000)  # model steps a replan
EPISODES = 12
ON = ("cart-pole", "maze")


def _rows(name: str) -> list[Row]:
    return [
        TASKS[name].row(
            f"{name}, {planner}, {budget}", **settings, budget={"model_steps": budget}, episodes=EPISODES, first_seed=2000, judged=False
        )
        for planner, settings in lineup(name).items()
        for budget in BUDGETS
    ]


ROWS = tuple(row for name in ON for row in _rows(name))
