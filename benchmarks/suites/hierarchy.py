"""A ball in mazes that nobody has seen: planned on two levels, and flat with as many steps of the model."""

from typing import Any

from .._row import Row

FIRST_SEED = 1000  # mazes below are for training: what is tuned is tuned there
BELOW = {"horizon": 20, "num_samples": 24, "noise": 0.5}  # what goes where the map leads
FLAT = {"horizon": 25, "num_samples": 54, "noise": 0.5}  # as many steps of the physics as the hierarchy takes of physics and map together


def maze(name: str, band: str, episodes: int, **options: Any) -> Row:
    """A row of mazes with the goal this far away."""
    return Row(
        f"{name}, {band}",
        "PointMaze-v0",
        **({"env": {"band": band}, "episodes": episodes, "plant_mass": 1.3, "first_seed": FIRST_SEED} | options),
    )


def _band(band: str, episodes: int, asked: str) -> tuple[Row, ...]:
    return (
        maze("hierarchy", band, episodes, planner="mppi", options=BELOW, pose="on the map", asked=asked),
        maze("flat", band, episodes, planner="mppi", options=FLAT),
        maze("flat, given the way left", band, episodes, planner="mppi", options=FLAT, pose="way left"),
        maze("random", band, episodes, policy="random"),
    )


UNCHECKED = {"pose": "on the map", "pose_options": {"fallback": False}, "asked": "without the check of reachability"}
ROWS = (
    *_band("far", 200, "20 points more than the best flat planner"),
    *_band("middle", 100, ""),
    *_band("near", 100, ""),
    maze("hierarchy unchecked", "far", 200, planner="mppi", options=BELOW, **UNCHECKED),
    maze("three levels", "far", 50, planner="mppi", options=BELOW, pose="tower", asked="runs"),
)
