"""Settings that suit a plant: what `ebm control` uses when nothing else is asked for, and what the suites measure."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

GENERAL: dict[str, Any] = {"planner": "mppi", "plant_mass": 1.0, "compare": "no", "episodes": 1, "seed": 0}

PLANTS: dict[str, dict[str, Any]] = {
    "CartTable-v0": {"plant_mass": 1.3, "compare": "yes"},
    "DiscReach-v0": {"plant_mass": 1.3},
    "Reacher-v5": {"planner": "icem"},
    "Pusher-v5": {"planner": "icem"},
    "HalfCheetah-v5": {"planner": "icem"},
}

SAMPLES = ("num_samples", "num_starts", "num_simulations", "width")  # what planners call the number of things that they try

# Options of the recommended planner. `basis` is the name of a class in `planners`, `colour` the exponent of the noise spectrum.
OPTIONS: dict[str, dict[str, Any]] = {
    "CartTable-v0": {"horizon": 30, "num_samples": 48, "noise": 0.5},
    "InvertedPendulum-v5": {"horizon": 20, "num_samples": 32, "noise": 0.05},
    "DiscReach-v0": {"horizon": 25, "num_samples": 48, "noise": 0.5},
    "Reacher-v5": {"horizon": 20, "num_samples": 48, "num_iterations": 3, "num_knots": 10, "noise": 0.2},
    "Pusher-v5": {"horizon": 25, "num_samples": 96, "num_iterations": 3, "num_knots": 6, "noise": 0.15, "colour": 0.5},
    "HalfCheetah-v5": {
        "horizon": 25,
        "num_samples": 96,
        "num_iterations": 2,
        "num_knots": 25,
        "noise": 0.7,
        "colour": 0.25,
        "basis": "ZeroOrder",
    },
}


def settings(plant: str) -> dict[str, Any]:
    """What suits this plant, or else suits most."""
    return GENERAL | PLANTS.get(plant, {})


def planner_options(plant: str, planner: str) -> dict[str, Any]:
    """Options of the planner that is recommended for this plant; none for another planner."""
    return dict(OPTIONS.get(plant, {})) if planner == settings(plant)["planner"] else {}


def make(planner: str, options: dict[str, Any], box: Any = None) -> Any:
    """The planner, from options that can be written down; `box` is the action box, for `choices`."""
    planners = importlib.import_module("planners")
    options = dict(options)
    if options.get("choices") == "axes":
        options["choices"] = axes(box)
    if isinstance(options.get("basis"), str):
        options["basis"] = getattr(planners, options["basis"])()
    if "colour" in options:
        options["proposal"] = planners.Coloured(options.pop("colour"))
    return planners.planner(planner, **options)


LEFT_OUT = ("lagrangian", "event")  # of tables of all planners: without guardrails `gradient`, and `icem` at fewer moments


def accepted(planner: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that this planner has."""
    known = inspect.signature(importlib.import_module("planners").PLANNERS[planner]).parameters
    return {key: value for key, value in options.items() if key in known}


def axes(box: Any) -> Any:
    """Primitives for many actuators, where a grid would have too many: one of them at a limit, the others at the middle; or all there."""
    ebm, np = importlib.import_module("ebm"), importlib.import_module("numpy")
    one = np.eye(box.size)
    steps = np.concatenate([np.zeros((1, box.size)), one, -one])
    return ebm.Discrete(np.asarray(box.center) + steps * np.asarray(box.half_range))
