"""How `ebm eval` judges models of Two Rooms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _rooms, _rooms_eval
from ._eval import FLOORS, Search
from ._rooms_diagnosis import LIGHTS as LIGHTS
from ._rooms_diagnosis import diagnose as _diagnose

TITLE, UNIT, STEPS = "Two Rooms, random wall", "px", _rooms_eval.STEPS
RULE = "within 4.5 px of the goal after the last of 200 steps"
SEARCH = Search("subgoals", 100, 4, 18)


def rows(trained: Path, search: Search) -> tuple[Any, dict[str, Callable[[int], Any]]]:
    """The model with its planner, and whom it is compared with: name -> seed -> episode."""
    model, region = _rooms.load(trained)
    planner = _rooms_eval.make_planner(search.planner, model, region, search.horizon, search.samples, search.iterations)
    planned = {search.row: lambda seed: _rooms_eval.play(_rooms_eval.planned(model, planner, seed, search.replan), seed, search.replan)}
    return (model, planner), planned | {
        floor: lambda seed, floor=floor: _rooms_eval.play(_rooms_eval.floor(floor, seed), seed) for floor in FLOORS
    }


def diagnose(model: Any) -> dict[str, float]:
    """Every measure by name; those in `LIGHTS` have a light."""
    return _diagnose(model[0])


def write_page(folder: Path, record: dict[str, Any], judged: dict[str, Any], model: Any, search: Search) -> Path:
    """`report.html`."""
    from ._rooms_page import write_page

    return write_page(folder, record, judged, (*model, search.replan))
