"""How `ebm eval` judges models of Two Rooms, in the first geometry; much of it serves the other, too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import gymnasium

import envs

from . import _rooms, _rooms_eval
from ._eval import FLOORS, Search
from ._rooms_diagnosis import LIGHTS as LIGHTS
from ._rooms_diagnosis import diagnose as _diagnose
from ._rooms_plans import compare

TITLE, UNIT, STEPS = "Two Rooms, random wall", "px", _rooms_eval.STEPS
RULE = "within 4.5 px of the goal after the last of 200 steps"
SEARCH = Search("subgoals", 100, 4, 18)


def world_of(env: str) -> envs.TwoRooms:
    """The world of an environment."""
    return cast(Any, gymnasium.make(env).unwrapped).model


def rows(trained: Path, search: Search, env: str = _rooms_eval.ENV) -> tuple[Any, dict[str, Callable[[int], Any]]]:
    """The model with its planner, and whom it is compared with: name -> seed -> episode."""
    world = world_of(env)
    model, region = _rooms.load(trained)
    planner = _rooms_eval.make_planner(search.planner, model, region, search.horizon, search.samples, search.iterations)

    def plan(seed: int) -> _rooms_eval.Episode:
        return _rooms_eval.play(_rooms_eval.planned(model, planner, seed, search.replan), seed, search.replan, env=env)

    def floor(name: str, seed: int) -> _rooms_eval.Episode:
        return _rooms_eval.play(_rooms_eval.floor(name, seed, world), seed, env=env)

    return (model, planner), {search.row: plan} | {name: partial(floor, name) for name in FLOORS}


def diagnose(model: Any, env: str = _rooms_eval.ENV) -> dict[str, float]:
    """Every measure by name; those in `LIGHTS` have a light."""
    learned, planner = model
    return _diagnose(learned, world_of(env)) | compare(learned, planner, env)


def write_page(
    folder: Path, record: dict[str, Any], judged: dict[str, Any], model: Any, search: Search, env: str = _rooms_eval.ENV
) -> Path:
    """`report.html`."""
    from ._rooms_page import Drawn, write_page

    learned, planner = model
    return write_page(folder, record, judged, Drawn(learned, planner, search.replan, env))
