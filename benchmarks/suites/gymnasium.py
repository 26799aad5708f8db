"""Gymnasium's own environments, by Gymnasium's own score."""

from .._recommended import OPTIONS, settings
from .._row import Row

QUICK = {"horizon": 20, "num_samples": 48, "num_iterations": 1, "num_knots": 20}  # HalfCheetah within 50 ms a replan


def _rows(plant: str, episodes: int, asked: str) -> tuple[Row, ...]:
    planner = settings(plant)["planner"]
    return (
        Row(plant, plant, planner, OPTIONS[plant], episodes=episodes, asked=asked),
        Row(f"{plant}, random", plant, policy="random", episodes=20),
        Row(f"{plant}, zero", plant, policy="zero", episodes=20),
    )


ROWS = (
    *_rows("InvertedPendulum-v5", 10, "1,000 steps upright in 10 of 10"),
    *_rows("Reacher-v5", 20, "return at least -5"),
    *_rows("Pusher-v5", 20, "return at least -40 at 600 ms a replan"),
    *_rows("HalfCheetah-v5", 3, "return at least 4,500"),
    Row("HalfCheetah-v5, 50 ms", "HalfCheetah-v5", "icem", OPTIONS["HalfCheetah-v5"] | QUICK, episodes=3, asked="what 50 ms give"),
)
