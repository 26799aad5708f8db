"""A ball in mazes that nobody has seen: planned on two levels, and flat with as many steps of the model."""

from typing import Any

from .._row import Row

FIRST_SEED = 1000  # mazes below are for training: what is tuned is tuned there
BELOW = {"horizon": 15, "num_samples": 32, "noise": 0.5}  # what goes where the map leads
# As many steps of the physics as the hierarchy takes of physics and map together. Of horizons of 15, 25 and 50 steps, noise of 0.5 and 1,
# and iCEM, nothing did better on training mazes.
FLAT = {"horizon": 25, "num_samples": 54, "noise": 0.5}


CLOSED = {"band": "far", "loops": 5, "glass": 1, "seconds": 45}  # a passage on the shortest way is closed, and the map does not know


def maze(name: str, band: str, episodes: int, **options: Any) -> Row:
    """A row of mazes with the goal this far away."""
    return Row(
        f"{name}, {band}",
        "PointMaze-v0",
        **({"env": {"band": band}, "episodes": episodes, "plant_mass": 1.3, "first_seed": FIRST_SEED} | options),
    )


def _band(band: str, episodes: int) -> tuple[Row, ...]:
    return (
        maze("hierarchy", band, episodes, planner="mppi", options=BELOW, pose="on the map"),
        maze("flat", band, episodes, planner="mppi", options=FLAT),
        maze("flat, given the way left", band, episodes, planner="mppi", options=FLAT, pose="way left"),
        maze("random", band, episodes, policy="random"),
    )


def _closed() -> tuple[Row, ...]:
    below, closed = {"planner": "mppi", "options": BELOW, "pose": "on the map"}, {"env": CLOSED}
    unchecked = {"pose_options": {"fallback": False, "notes": False}, "asked": "without the check of reachability"}
    return (
        maze("hierarchy", "far, closed", 200, **below, **closed, asked="20 points more than the best flat planner"),
        maze("hierarchy unchecked", "far, closed", 200, **below, **closed, **unchecked),
        maze("flat", "far, closed", 200, planner="mppi", options=FLAT, **closed),
        maze("flat, given the way left", "far, closed", 200, planner="mppi", options=FLAT, pose="way left", **closed),
        maze("random", "far, closed", 200, policy="random", **closed),
    )


ROWS = (
    *_closed(),
    *_band("far", 200),
    *_band("middle", 100),
    *_band("near", 100),
    maze("three levels", "far", 50, planner="mppi", options=BELOW, pose="tower", asked="runs"),
)
