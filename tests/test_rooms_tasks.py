"""What a frozen world model is asked for: scenes that can be solved and matter, floors that are floors, and six budgets a planner."""

import numpy as np
import pytest

import planners
from benchmarks import _rooms, _rooms_sweep, _rooms_tasks
from benchmarks._eval import MODELS

SEEDS = range(10000, 10006)


def test_a_disc_lies_on_the_way_and_leaves_a_way_around_it():
    scenes = [_rooms_tasks.disc_scene(seed) for seed in SEEDS]
    again = _rooms_tasks.disc_scene(SEEDS[0])
    np.testing.assert_array_equal(scenes[0].place, again.place)
    for scene in scenes:
        door = np.array([scene.info["wall"], scene.info["door"]])
        ends = np.stack([scene.info["position"], scene.info["goal"]])
        way = door - ends
        along = np.sum((scene.place - ends) * way, axis=1) / np.sum(way**2, axis=1)
        off = np.linalg.norm(ends + along[:, None] * way - scene.place, axis=1)
        assert np.min(off) < 1e-3
        assert np.min(np.linalg.norm(ends - scene.place, axis=1)) > _rooms_tasks.RADIUS + _rooms_tasks.MARGIN
        assert _rooms_tasks.passable(scene.info, scene.place)
        wall = np.array([scene.info["wall"], scene.info["door"]])
        assert not _rooms_tasks.passable(scene.info, wall)


def test_between_steps_is_looked_at_too():
    path = np.array([[0.0, 0.0], [8.0, 0.0]])
    assert np.min(np.linalg.norm(_rooms_tasks.between(path) - np.array([4.0, 0.0]), axis=1)) < 1e-9


@pytest.mark.parametrize("task", [_rooms_tasks.keep_away, _rooms_tasks.patrol])
def test_floors_of_other_tasks(task):
    assert not any(task("still", None, None, seed).success for seed in SEEDS)
    assert np.mean([task("straight", None, None, seed).success for seed in SEEDS]) > 0
    if task is _rooms_tasks.patrol:
        assert all(task("oracle", None, None, seed).arrivals >= 5 for seed in SEEDS)


def test_a_model_that_was_trained_for_reaching_keeps_a_guardrail_it_never_met():
    model, region = _rooms.load(MODELS / "two-rooms")
    ranked = _rooms_tasks.lineup(model, region)["disc, ranking"](SEEDS[0])
    assert ranked.success
    assert ranked.depth == 0


def test_every_planner_has_six_budgets():
    rows = _rooms_sweep.lineup()
    kinds = [name.partition(", ")[0] for name in rows]
    assert {kinds.count(kind) for kind in kinds} == {6}
    model, region = _rooms.load(MODELS / "two-rooms")
    assert all(isinstance(make(model, region), planners.AbstractPlanner) for make in rows.values())
