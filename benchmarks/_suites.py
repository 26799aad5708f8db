"""What is measured: a suite is a list of rows, a row a plant, a policy and its seeds. Settings are fixed here before anything is run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ._recommended import OPTIONS, settings

CART_SEEDS = 50
CART_FIRST_SEED = 1000  # nothing was tuned on these: seeds below 200 were


LATER = ("env", "pose", "pose_options", "filtered")  # left out of the settings where they say nothing: older records lack them


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    **Arguments:**

    - `plant`: an environment id. `env`: its options.
    - `planner`: a name and its options; `None` for a floor.
    - `policy`: "planner", "zero" or "random".
    - `plant_mass`: factor on the plant's masses, which the plan model does not know.
    - `pose`, `pose_options`: another way to pose the problem, one of `POSES`, such as under a map.
    - `guarded`: whether the planner knows the guardrails.
    - `filtered`: whether a `planners.BackupFilter` has the last word.
    - `oracle`: whether the planner is given the plant's own physics parameters.
    - `scale`: factor on all energies, which must not matter.
    - `period`: control periods between plans, unless the world leaves the plan earlier (`planners.EventTriggered`).
    - `first_seed`: of the episodes.
    - `asked`: what the row should reach, in words.
    """

    name: str
    plant: str
    planner: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pose: str | None = None
    pose_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    policy: str = "planner"
    episodes: int = 10
    plant_mass: float = 1.0
    guarded: bool = True
    filtered: bool = False
    oracle: bool = False
    scale: float = 1.0
    period: int = 1
    first_seed: int = 0
    asked: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the outcome: a recorded episode counts only under the same settings."""
        said = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("name", "episodes", "asked", "first_seed")}
        return {key: value for key, value in said.items() if key not in LATER or value}


CART = OPTIONS["CartTable-v0"]
ORACLE = CART | {"num_samples": 4096}
QUICK = {"horizon": 20, "num_samples": 48, "num_iterations": 1, "num_knots": 20}  # HalfCheetah within 50 ms a replan


def _cart(name: str, **options: Any) -> Row:
    return Row(name, "CartTable-v0", **({"episodes": CART_SEEDS, "plant_mass": 1.3, "first_seed": CART_FIRST_SEED} | options))


def _gymnasium(plant: str, episodes: int, asked: str) -> tuple[Row, ...]:
    planner = settings(plant)["planner"]
    return (
        Row(plant, plant, planner, OPTIONS[plant], episodes=episodes, asked=asked),
        Row(f"{plant}, random", plant, policy="random", episodes=20),
        Row(f"{plant}, zero", plant, policy="zero", episodes=20),
    )


MAZE_FIRST_SEED = 1000  # mazes below are for training: what is tuned is tuned there
BELOW = {"horizon": 20, "num_samples": 24, "noise": 0.5}  # what goes where the map leads
FLAT = {"horizon": 25, "num_samples": 54, "noise": 0.5}  # as many steps of the physics as the hierarchy takes of physics and map together


def _maze(name: str, band: str, episodes: int, **options: Any) -> Row:
    return Row(
        f"{name}, {band}",
        "PointMaze-v0",
        **({"env": {"band": band}, "episodes": episodes, "plant_mass": 1.3, "first_seed": MAZE_FIRST_SEED} | options),
    )


def _mazes(band: str, episodes: int, asked: str) -> tuple[Row, ...]:
    return (
        _maze("hierarchy", band, episodes, planner="mppi", options=BELOW, pose="on the map", asked=asked),
        _maze("flat", band, episodes, planner="mppi", options=FLAT),
        _maze("flat, given the way left", band, episodes, planner="mppi", options=FLAT, pose="way left"),
        _maze("random", band, episodes, policy="random"),
    )


REACH = OPTIONS["DiscReach-v0"]
CONSTRAINED = {"cart": ("CartTable-v0", CART, 4), "arm": ("DiscReach-v0", REACH, 1)}  # plant, options, control periods between plans
HANDLED = {
    "clip only": {"guarded": False},
    "penalty": {"pose": "penalty"},
    "ranking": {},
    "augmented Lagrangian": {"pose": "multipliers"},
}


def _constrained(task: str, handled: str, filtered: bool) -> Row:
    plant, options, period = CONSTRAINED[task]
    asked = "no violation" if handled == "augmented Lagrangian" else ""
    more = {"plant_mass": 1.3, "first_seed": 1000, "episodes": 200, "period": period, "filtered": filtered, "asked": asked}
    return Row(f"{task}, {handled}{', filter' if filtered else ''}", plant, "mppi", options, **(more | HANDLED[handled]))


SUITES: dict[str, tuple[Row, ...]] = {
    "gymnasium": (
        *_gymnasium("InvertedPendulum-v5", 10, "1,000 steps upright in 10 of 10"),
        *_gymnasium("Reacher-v5", 20, "return at least -5"),
        *_gymnasium("Pusher-v5", 20, "return at least -40 at 600 ms a replan"),
        *_gymnasium("HalfCheetah-v5", 3, "return at least 4,500"),
        Row("HalfCheetah-v5, 50 ms", "HalfCheetah-v5", "icem", OPTIONS["HalfCheetah-v5"] | QUICK, episodes=3, asked="what 50 ms give"),
    ),
    "cart-table": (
        _cart("zero", policy="zero", asked="falls at least 25 times"),
        _cart("guarded", planner="mppi", options=CART, asked="0 falls, 50 of 50 at the goal"),
        _cart("unguarded", planner="mppi", options=CART, guarded=False, asked="falls at least 5 times"),
        _cart(
            "oracle", planner="mppi", options=CART | {"num_samples": 4096}, oracle=True, period=10, asked="50 of 50 safe and at the goal"
        ),
    ),
    "hierarchy": (
        *_mazes("far", 200, "20 points more than the best flat planner"),
        *_mazes("middle", 100, ""),
        *_mazes("near", 100, ""),
        _maze(
            "hierarchy unchecked",
            "far",
            200,
            planner="mppi",
            options=BELOW,
            pose="on the map",
            pose_options={"fallback": False},
            asked="without the check of reachability",
        ),
        _maze("three levels", "far", 50, planner="mppi", options=BELOW, pose="tower", asked="runs"),
    ),
    "constraints": tuple(
        _constrained(task, handled, filtered) for task in CONSTRAINED for handled in HANDLED for filtered in (False, True)
    ),
    "energy-scale": (
        _cart("energies x 0.01", planner="mppi", options=CART, scale=0.01, episodes=10, asked="as with unchanged energies"),
        _cart("energies x 1", planner="mppi", options=CART, episodes=10, asked="0 falls, 10 of 10 at the goal"),
        _cart("energies x 100", planner="mppi", options=CART, scale=100.0, episodes=10, asked="as with unchanged energies"),
    ),
}
