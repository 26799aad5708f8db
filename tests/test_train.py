"""`ebm train` and `ebm eval`, as small as they go: a folder that goes on, floors beside the planner, and clear errors."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners
from benchmarks import (
    _eval,
    _reacher,
    _reacher_judged,
    _rooms,
    _rooms_diagnosis,
    _rooms_eval,
    _rooms_objectives,
    _rooms_plans,
    _rooms_speed,
    _runs,
    _trainings,
)
from benchmarks._cli import run
from benchmarks._eval import MODELS
from benchmarks._train import alone, begin, progressing, read_settings, trained_seconds

SMALL = ["features=8", "context=8", "width=16", "joint_steps=100", "joint_films=4", "joint_frames=3", "head_steps=100"]
SMALL += ["films=500", "frames=5", "play=500", "predictor_steps=100"]


@pytest.mark.slow
def test_a_training_ends_in_a_model_that_plans(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(["train", "two-rooms", *SMALL, "--out", str(folder)]) == 0
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [("joint", 100), ("coordinates", 100), ("predictor", 100)]
    first = (folder / _rooms.MODEL).read_bytes()
    (folder / _rooms.MODEL).unlink()
    (folder / "predictor.safetensors").unlink()
    assert run(["train", "two-rooms", *SMALL, "--out", str(folder)]) == 0
    assert (folder / _rooms.MODEL).read_bytes() == first
    assert run(["train", "two-rooms", *SMALL, "seed=3", "--out", str(folder)]) == 2
    assert "another seed" in capsys.readouterr().err
    options = ["--episodes", "2", "--samples", "8", "--iterations", "1", "--horizon", "4"]
    assert run(["eval", str(folder), *options]) == 0
    record = json.loads((folder / "eval.json").read_text())
    assert set(record["rows"]["oracle"]) == {"0", "1"}
    assert set(_rooms_diagnosis.LIGHTS) < set(record["diagnosis"])
    assert all(episode["success"] for episode in record["rows"]["oracle"].values())
    page = (folder / "report.html").read_text()
    assert all(part in page for part in ("2 of 2", "leak rate", "data:video/mp4", "predictor"))
    before = (folder / "eval.json").read_bytes()
    assert run(["eval", str(folder), *options]) == 0
    assert (folder / "eval.json").read_bytes() == before


@pytest.mark.slow
def test_seeds_side_by_side_learn_as_each_by_itself(tmp_path):
    """Rounding drives the weights apart in time, but not the losses. Also if one of them was finished before, or one is behind."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert run(["train", "two-rooms", *SMALL, "seed=1", "--out", str(alone)]) == 0
    assert run(["train", "two-rooms", *SMALL, "--seeds", "3", "--out", str(together)]) == 0
    folders = [tmp_path / f"together-{seed}" for seed in range(3)]
    assert [json.loads((folder / "config.json").read_text())["settings"]["seed"] for folder in folders] == [0, 1, 2]

    def losses(folder):
        return {line["stage"]: line["loss"] for line in _runs.read_lines(folder / "metrics.jsonl")}

    first = [losses(folder) for folder in folders]
    assert first[1] == pytest.approx(losses(alone), rel=0.05)
    assert first[1] != pytest.approx(first[0], rel=0.05)
    finished = (folders[0] / _rooms.MODEL).read_bytes()
    for folder in folders[1:]:
        (folder / _rooms.MODEL).unlink()
    (folders[2] / "predictor.safetensors").unlink()
    assert run(["train", "two-rooms", *SMALL, "--seeds", "3", "--out", str(together)]) == 0
    assert (folders[0] / _rooms.MODEL).read_bytes() == finished
    assert all((folder / _rooms.MODEL).exists() for folder in folders)
    assert losses(folders[2]) == pytest.approx(first[2], rel=0.05)


@pytest.mark.slow
def test_a_table_of_objectives_trains_judges_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_trainings, "HALF", tuple(SMALL))
    monkeypatch.chdir(tmp_path)
    options = ["bench", "objectives", "--rows", "masked-ema", "--rows", "without door", "--episodes", "1", "--out", str(tmp_path)]
    assert run(options) == 2
    assert "no such row" in capsys.readouterr().err
    options[5] = "without variance"
    assert run(options) == 0
    record = json.loads((tmp_path / "objectives.json").read_text())
    assert set(record["rows"]) == {"objective masked-ema", "without variance"}
    assert record["rows"]["without variance"]["light"] == "red"
    before = (tmp_path / "objectives.json").read_bytes()
    assert run(options) == 0
    assert (tmp_path / "objectives.json").read_bytes() == before


@pytest.mark.parametrize("name", [pytest.param("masked-ema", marks=pytest.mark.slow), "subspace-sigreg"])
def test_an_objective_learns_something(name):
    """One step moves the encoder; the loss is finite, and its pulls add up."""
    settings = _rooms.Settings(features=8, context=8, width=16, joint_films=4, joint_frames=3, objective=name)
    key = jax.random.key(0)
    lower, _ = _rooms.build(settings, key=key)
    learner = _rooms_objectives.join(lower, _rooms_objectives.compose(name, "", 8, 8, key=key))
    batch = _rooms.draw_batch(envs.TwoRooms(), key, films=4, frames=3)
    slope, parts = eqx.filter_jit(eqx.filter_grad(ebm.joint_loss, has_aux=True))(learner, batch, jnp.float32(0.0), key)
    sizes = [float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(slope.model.encoder)]
    assert np.all(np.isfinite(sizes))
    assert max(sizes) > 0
    assert sum(float(value) for part, value in parts.items() if part.endswith("pull")) == pytest.approx(1.0, rel=1e-4)


def test_objectives_and_terms_are_known_before_a_folder_is_made(tmp_path, capsys):
    for word, remedy in (("objective=vicregg", "'vicreg'"), ("without=prediktion", "'prediction'"), ("rooms=round", "match")):
        assert run(["train", "two-rooms", word, "--out", str(tmp_path / "run")]) == 2
        assert remedy in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


FLOORS = {"oracle": (1.0, 1.0), "still": (0.0, 0.0), "random": (0.0, 0.2), "straight": (0.1, 0.8)}


@pytest.mark.parametrize("name", FLOORS)
def test_floors_do_what_they_are_called(name):
    least, most = FLOORS[name]
    outcomes = [_rooms_eval.play(_rooms_eval.floor(name, seed), seed).success for seed in range(8)]
    assert least <= np.mean(outcomes) <= most


def test_lights_are_red_for_what_is_bad_and_for_what_is_no_number():
    lights = _rooms_diagnosis.LIGHTS
    assert [lights["door R²"].color(value) for value in (0.95, 0.8, 0.1, float("nan"))] == ["green", "amber", "red", "red"]
    assert [lights["leak rate"].color(value) for value in (0.01, 0.1, 0.4, float("nan"))] == ["green", "amber", "red", "red"]


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({}, None),
        ({"found": 0.9, "found_came": 0.9, "found_ends": 20.0}, "search gap"),
        ({"found": 0.2, "found_came": 0.9, "found_ends": 20.0}, "model gap"),
        ({"known": 0.8, "known_came": 0.8, "found_ends": 20.0}, "energy gap"),
    ],
)
def test_a_bad_plan_is_blamed_on_search_model_or_energy(changes, blamed):
    good = {"found": 0.4, "known": 0.4, "found_came": 0.4, "known_came": 0.4, "found_ends": 1.0, "known_ends": 1.0}
    plans = _rooms_plans.Plans(**{name: jnp.full(5, value) for name, value in (good | changes).items()})
    gaps = {name: float(gap) for name, gap in _rooms_plans.gaps(plans).items()}
    assert [name for name, gap in gaps.items() if gap > 0.1] == ([blamed] if blamed else [])


@pytest.mark.slow
def test_a_poor_search_is_found_out_in_the_model_that_comes_along():
    model, region = _rooms.load(MODELS / "two-rooms")
    good, poor = (
        _rooms_plans.compare(model, _rooms_eval.make_planner("subgoals", model, region, 18, samples, 1), "TwoRooms-v0")
        for samples in (200, 4)
    )
    assert good["search gap"] < 0.05 < poor["search gap"]
    assert max(good["energy gap"], poor["energy gap"]) < 0.2


def test_steps_that_make_no_whole_epochs_are_refused_before_anything_is_made(tmp_path, capsys):
    for recipe, words, remedy in (
        ("two-rooms", ["predictor_steps=150"], "predictor_steps=200"),
        ("two-rooms", ["joint_frames=2"], "at least 3"),
        ("reacher", ["steps=50"], "steps=100"),
    ):
        assert run(["train", recipe, *words, "--out", str(tmp_path / "run")]) == 2
        assert remedy in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", ["[1]", '{"settings": []}', '{"settings": {"rooms":', "5"])
def test_a_damaged_config_is_one_clear_error(words, tmp_path, capsys):
    (tmp_path / "config.json").write_text(words)
    for command in (["eval", str(tmp_path)], ["train", "two-rooms", "--out", str(tmp_path)]):
        assert run(command) == 2
        assert "config.json' is damaged" in capsys.readouterr().err


def test_a_training_that_has_not_ended_is_not_judged(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"recipe": "two-rooms", "settings": {"seed": 0}}')
    assert run(["eval", str(tmp_path)]) == 2
    assert "has not ended" in capsys.readouterr().err


def test_episodes_of_another_model_are_not_mixed_in(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "eval-two-rooms").mkdir(parents=True)
    (tmp_path / "runs" / "eval-two-rooms" / "eval.json").write_text('{"rows": {}, "model": "another"}')
    assert run(["eval", "two-rooms"]) == 2
    assert "episodes of another model" in capsys.readouterr().err


def test_floors_and_films_are_drawn_from_streams_of_their_own():
    """A random floor that replayed what made the goal would be no floor, and a training must not begin where a test does."""
    env = envs.ReacherMatchEnv()
    env.reset(seed=5)
    made = envs.ReacherMatchEnv().wander(np.random.default_rng(5), 200)
    floor = _reacher_judged.floor("random", 5)
    drawn = np.array([floor(None, None, tick) for tick in range(200)])
    assert max(abs(np.corrcoef(made[:150, 0], drawn[lag : lag + 150, 0])[0, 1]) for lag in range(0, 50, 5)) < 0.9
    films = _reacher._record("state", 3, (5, 0), 1)[0].observations
    assert not np.allclose(films[0], env.observation(), atol=1e-3)


def test_settings_are_checked():
    known = _rooms.Settings._field_defaults
    assert read_settings(("seed=0", "films=7"), known) == {"seed": 0, "films": 7}
    for word, complaint in (("sead=1", "Did you mean 'seed'"), ("films=many", "integer"), ("films=0", "positive")):
        with pytest.raises(Exception, match=complaint):
            read_settings((word,), known)


def test_time_is_that_of_every_sitting_and_two_do_not_train_in_one_folder(tmp_path):
    told = [(20, 30), (35, 60)]  # the second sitting begins later in its own time than the first ended
    for seconds in told:
        clock = time.perf_counter()

        def train(report, seconds=seconds, clock=clock):
            for moment in seconds:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(time, "perf_counter", lambda moment=moment: clock + moment)
                    report(0, "joint", 100, 200, {"loss": 1.0})

        progressing([tmp_path], clock, train, "ebm eval")
    assert trained_seconds(tmp_path) == pytest.approx(90)
    with ExitStack() as until:
        alone(tmp_path, until)
        with pytest.raises(Exception, match="another process trains"):
            progressing([tmp_path], 0.0, lambda report: None, "ebm eval")
    progressing([tmp_path], 0.0, lambda report: None, "ebm eval")


def test_a_folder_of_another_training_is_left_alone(tmp_path):
    begin(tmp_path / "run", {"recipe": "two-rooms", "settings": {"seed": 1}}, "ebm train")
    begin(tmp_path / "run", {"recipe": "two-rooms", "settings": {"seed": 1}}, "ebm train")
    with pytest.raises(Exception, match="another seed"):
        begin(tmp_path / "run", {"recipe": "two-rooms", "settings": {"seed": 2}}, "ebm train")
    with pytest.raises(Exception, match="another recipe"):
        begin(tmp_path / "run", {"recipe": "reacher", "settings": {"seed": 1}}, "ebm train")


def test_a_model_that_comes_along_is_found_by_name_and_judged_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, results = _eval.find(Path("two-rooms"))
    assert (model / _rooms.MODEL).exists()
    assert results == Path("runs") / "eval-two-rooms"
    Path("two-rooms").mkdir()
    assert _eval.find(Path("two-rooms")) == (Path("two-rooms"), Path("two-rooms"))
    shipped, region = _rooms.load(model)
    assert shipped.held == _rooms.HELD
    assert float(region.high[0]) > 1.0


def test_speed_is_work_over_time():
    rows = {name: {"least_ms": 2.0, "work": 4e6} for name in ("product", "replan", "films", "train, ours", "train, ours, with films")}
    rows |= {"replan, one of 16": {"least_ms": 1.0, "work": 1.0}, "replan, 16 at once": {"least_ms": 8.0, "work": 16.0}}
    found = _rooms_speed.figures(rows)
    assert found["peak of matrix products, GFLOP/s"] == pytest.approx(2.0)
    assert found["films, frames a second"] == pytest.approx(2e9)
    assert found["published replan, share of the peak"] == pytest.approx(1.0)
    assert found["16 episodes in one call, times one"] == pytest.approx(8.0)


def test_a_picture_is_encoded_once_a_replan():
    """However many candidates and rounds there are."""

    class Counting(ebm.nets.AbstractEncoder):
        inner: ebm.nets.PatchEncoder
        shape = (2, 65, 65)

        @property
        def size(self):
            return self.inner.size

        def __call__(self, observation):
            jax.debug.callback(lambda: calls.append(1))
            return self.inner(observation)

    calls = []
    model, region = _rooms.load(MODELS / "two-rooms")
    model = eqx.tree_at(lambda m: m.encoder, model, Counting(model.encoder))
    for name in ("subgoals", "cem"):
        agent = planners.Agent(_rooms_eval.pose(model), _rooms_eval.make_planner(name, model, region, 6, 8, 3), ebm.Encoded())
        seen, memory = jnp.zeros((2, 65, 65), jnp.uint8), agent.init(key=jax.random.key(0))
        jax.block_until_ready(agent.act(seen, memory))
        jax.effects_barrier()
        calls.clear()
        jax.block_until_ready(agent.act(seen, memory))
        jax.effects_barrier()
        assert len(calls) == 1


def test_what_is_not_there_is_named(tmp_path, capsys):
    assert run(["train", "two-doors"]) == 2
    assert "two-rooms" in capsys.readouterr().err
    assert run(["train", "two-rooms", "--seeds", "0"]) == 2
    assert "must be positive" in capsys.readouterr().err
    assert run(["eval", str(tmp_path)]) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
