"""Suites: budgets that are kept, records that go on where they stopped, plants that are not what was planned with."""

import dataclasses
import json

import gymnasium
import numpy as np
import pytest
from rich.console import Console

from benchmarks import _compute, _latency, _success, _suite
from benchmarks._budget import Cost, fit
from benchmarks._cli import run
from benchmarks._episodes import Stop, start_episode
from benchmarks._errors import UsageError
from benchmarks._goals import Wishes
from benchmarks._plant import Delayed, build
from benchmarks._plots import picture
from benchmarks._record import Record
from benchmarks._riccati import Riccati
from benchmarks._row import Row
from benchmarks._suite import prepare, run_suite
from benchmarks._suite_page import write_page
from benchmarks.suites import SUITES

NOTHING = Wishes((), (), (), ())


@pytest.mark.parametrize("kind", ["model_steps", "ms"])
@pytest.mark.parametrize(("fixed", "each"), [(0.0, 20.0), (300.0, 75.0), (50.0, 3.3)])
def test_a_budget_is_spent_and_kept(kind, fixed, each):
    tried = []

    def measure(options):
        tried.append(options["num_samples"])
        value = fixed + each * options["num_samples"]
        return Cost(**({"model_steps": 0.0, "ms": 0.0} | {kind: value}))

    found = fit(("num_samples", "num_iterations"), {kind: 2000.0}, measure)
    assert found.options is not None
    assert found.options.keys() == {"num_samples"}
    assert 0.85 * 2000 <= getattr(found.cost, kind) <= 2000
    assert len(tried) <= 6  # every try compiles


def test_what_is_too_dear_does_less_of_the_next_thing():
    def measure(options):
        return Cost(500.0 * options["num_starts"] * options.get("num_iterations", 10), 0.0)

    assert fit(("num_starts", "num_iterations"), {"model_steps": 2000.0}, measure).options == {"num_starts": 1, "num_iterations": 4}
    nothing = fit(("num_starts", "num_iterations"), {"model_steps": 100.0}, measure)
    assert nothing.options is None
    assert nothing.cost.model_steps == 500.0


def test_a_planner_that_stops_by_itself_is_given_the_most():
    found = fit(("num_iterations",), {"model_steps": 2000.0}, lambda options: Cost(min(100.0 * options["num_iterations"], 900.0), 0.0))
    assert found.options == {"num_iterations": 50}


def test_actions_come_late():
    seen = []

    class Plant(gymnasium.Env):
        action_space = gymnasium.spaces.Box(1.0, 3.0, (1,), np.float32)
        observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {}

        def step(self, action):
            seen.append(float(action[0]))
            return np.zeros(1, np.float32), 0.0, False, False, {}

    late = Delayed(Plant(), 2)
    for _ in range(2):
        late.reset(seed=0)
        for value in (1.5, 2.0, 2.5):
            late.step(np.array([value], np.float32))
    assert seen == [1.0, 1.0, 1.5] * 2  # at rest is the nearest to zero that there is


def test_the_plant_differs_from_the_plan_model_unless_that_is_known():
    own = build("InvertedPendulum-v5", NOTHING)
    other = build("InvertedPendulum-v5", NOTHING, mass=1.5, friction=0.5)
    told = build("InvertedPendulum-v5", NOTHING, mass=1.5, friction=0.5, known=True)

    def physics(model):
        return model.body_mass.sum(), model.dof_damping.sum()

    mass, damping = physics(own.plant.unwrapped.model)
    for bench, planned in ((other, (mass, damping)), (told, (1.5 * mass, 0.5 * damping))):
        assert physics(bench.plant.unwrapped.model) == pytest.approx((1.5 * mass, 0.5 * damping))
        assert physics(bench.problem.model.mj_model) == pytest.approx(planned)


def test_success_is_what_the_plant_or_a_criterion_says():
    reacher = gymnasium.make("Reacher-v5")
    assert _success.success(reacher, [{"reward_dist": -0.5}, {"reward_dist": -0.01}], 1.0, False)
    assert not _success.success(reacher, [{"reward_dist": -0.01}, {"reward_dist": -0.5}], 1.0, False)
    cheetah = gymnasium.make("HalfCheetah-v5")
    assert _success.success(cheetah, [{"x_position": 20.0}], 10.0, False)
    assert not _success.success(cheetah, [{"x_position": 19.0}], 10.0, False)
    pendulum = gymnasium.make("InvertedDoublePendulum-v5")
    assert [_success.success(pendulum, [{}], 1.0, fell) for fell in (True, False)] == [False, True]
    assert _success.success(gymnasium.make("Swimmer-v5"), [{}], 1.0, False) is None


def test_a_record_keeps_what_was_made_under_the_same_settings(tmp_path):
    path = tmp_path / "suite.json"
    record = Record(path, "suite")
    entry = record.entry("a", {"n": 1}, range(3), ("fitted",))
    entry |= {"fitted": 5, "other": 6}
    entry["episodes"] += [{"seed": 1}, {"seed": 7}]
    record.entry("b", {}, range(3))
    record.save(["b", "a"])
    assert list(json.loads(path.read_text())["rows"]) == ["b", "a"]
    again = Record(path, "suite")
    assert again.entry("a", {"n": 1}, range(3), ("fitted",)) == {"settings": {"n": 1}, "fitted": 5, "episodes": [{"seed": 1}]}
    assert again.entry("a", {"n": 2}, range(3), ("fitted",)) == {"settings": {"n": 2}, "episodes": []}
    for strange in (
        b"{",
        b"[1, 2]",
        b"null",
        b'{"a": 1}',
        b'{"rows": []}',
        b'{"rows": {"zero": 5}}',
        b'{"suite": "other", "rows": {}}',
        b"\xff\xfe\x00",
    ):
        path.write_bytes(strange)
        with pytest.raises(UsageError, match="Move it away"):
            Record(path, "suite")


@pytest.mark.parametrize("suite", ["objectives", "rooms-chance", "rooms-planners", "rooms-tasks"])
def test_no_table_writes_over_a_file_that_is_not_its_own(suite, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{suite}.json"
    for strange in ('{"measured": 5}', '{"suite": "other", "rows": {}}'):
        path.write_text(strange)
        assert run(["bench", suite, "--out", str(tmp_path)]) == 2
        assert "Move it away" in capsys.readouterr().err
        assert path.read_text() == strange
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_settings_that_were_added_later_do_not_outdate_records():
    assert "delay" not in Row("a", "Reacher-v5").settings
    assert Row("a", "Reacher-v5", delay=1, friction=0.8).settings.items() >= {"delay": 1, "friction": 0.8}.items()


def test_every_row_has_a_name_of_its_own_and_can_be_written_down():
    for rows in SUITES.values():
        assert len({row.name for row in rows}) == len(rows)
        json.dumps([row.settings for row in rows])


def test_a_linear_controller_balances_the_double_pendulum():
    bench, policy = prepare(Row("", "InvertedDoublePendulum-v5", policy="riccati", plant_mass=1.2), {})
    assert isinstance(policy, Riccati)
    bench.plant.reset(seed=0)
    assert not any(bench.plant.step(policy.act().action)[2] for _ in range(100))


SMALL = {"plant": "InvertedPendulum-v5", "max_steps": 4, "episodes": 2, "judged": True}
ROWS = (
    Row("pole, zero", policy="zero", **SMALL),
    Row("pole, mppi, 200", planner="mppi", options={"horizon": 5}, budget={"model_steps": 200}, **SMALL),
    Row("pole, beam, 10", planner="beam", options={"horizon": 5}, budget={"model_steps": 10}, **SMALL),
)


def test_a_suite_keeps_budgets_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    path, console = tmp_path / "small.json", Console(quiet=True)
    record, interrupted = run_suite("small", ROWS, path, console, only=(), episodes=1)
    assert not interrupted
    assert [len(entry["episodes"]) for entry in record["rows"].values()] == [1, 1, 0]
    fitted = record["rows"]["pole, mppi, 200"]["fitted"]
    assert 0.8 * 200 <= fitted["model_steps"] <= 200
    assert record["rows"]["pole, mppi, 200"]["episodes"][0]["model_steps"] <= 1.1 * 200
    assert "model steps" in record["rows"]["pole, beam, 10"]["skipped"]
    first = [dict(episode) for entry in record["rows"].values() for episode in entry["episodes"]]
    monkeypatch.setattr(_suite, "fit", None)  # what was measured once is not measured again
    record, _ = run_suite("small", ROWS, path, console, only=("pole, mppi",), episodes=None)
    assert [len(entry["episodes"]) for entry in record["rows"].values()] == [1, 2, 0]
    assert [entry["episodes"][0]["return"] for entry in list(record["rows"].values())[:2]] == [e["return"] for e in first]
    page = write_page(record, tmp_path / "small.html").read_text()
    assert "data:image/png" in page
    assert "num_samples" in page
    assert "at least" in page or "least that it can do" in page


def test_success_over_compute_is_measured_once_and_drawn(tmp_path, monkeypatch):
    task = dataclasses.replace(_compute.TASKS["cart-pole"], shared={"horizon": 10}, steps=60, budgets=(200,))
    monkeypatch.setattr(_compute, "TASKS", {"cart-pole": task})
    path, console, only = tmp_path / "compute.json", Console(quiet=True), ("zero", "mppi")
    record, interrupted = _compute.run_compute(path, console, only=only, episodes=3)
    assert not interrupted
    assert [len(entry["episodes"]) for entry in record["rows"].values()] == [3, 3]
    assert 0.8 * 200 <= record["rows"]["cart-pole, mppi, 200"]["summary"]["model_steps"] <= 200
    assert picture(lambda figure: _compute.draw(figure, record), (6.0, 3.0)).startswith(b"\x89PNG")
    before = json.loads(path.read_text())
    monkeypatch.setattr(_compute, "play", None)  # what is there is not played again
    for episodes in (3, 1):
        _compute.run_compute(path, console, only=only, episodes=episodes)
        assert json.loads(path.read_text()) == before


@pytest.mark.slow
def test_every_episode_side_by_side_is_the_one_alone():
    entry = next(entry for entry in _compute.entries() if entry.name == "cart-pole, mppi, 1000")
    options = {"num_samples": 64, "horizon": 50}
    together, _ = _compute.play(entry, options, range(5, 9), Stop(), lambda: None)
    alone = [_compute.play(entry, options, range(seed, seed + 1), Stop(), lambda: None)[0][0] for seed in (5, 8)]
    assert [together[0], together[3]] == alone


def test_a_loop_in_real_time_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(_latency, "SECONDS", 0.5)
    monkeypatch.setattr(_latency, "DELAYS", (0.02,))
    monkeypatch.setattr(_latency, "OPTIONS", {"horizon": 5, "num_samples": 8})
    monkeypatch.setattr(_latency, "SETTINGS", {})
    path = tmp_path / "realtime.json"
    record, _ = _latency.run_realtime(path, Console(quiet=True), episodes=1)
    assert list(record["rows"]) == ["20 ms, looking ahead", "20 ms, as late as it is"]
    for entry in record["rows"].values():
        (episode,) = entry["episodes"]
        assert episode["steps"] == sum(episode["lateness_ms"].values()) == 50
        assert episode["plans"] > 1
        assert entry["summary"]["lateness_ms"]["p50"] <= entry["summary"]["lateness_ms"]["p999"]
    before = path.read_text()
    _latency.run_realtime(path, Console(quiet=True), episodes=1)
    assert json.loads(path.read_text())["rows"] == json.loads(before)["rows"]


def test_an_unknown_suite_or_row_is_refused(capsys):
    from benchmarks._cli import main

    for arguments, said in (
        (["hierachy"], "hierarchy"),
        (["hierarchy", "--rows", "florp"], "no such row"),
        (["compute", "--rows", "florp"], "no such row"),
    ):
        with pytest.raises(SystemExit):
            main(["bench", *arguments])
        assert said in capsys.readouterr().err


def test_a_row_may_repeat_what_went_wrong_in_others(tmp_path):
    short = {"env": {"seconds": 0.2}, "judged": True, "first_seed": 7}
    floor = Row("arm, random", "DiscReach-v0", policy="random", episodes=3, **short)
    again = Row("arm, again", "DiscReach-v0", policy="zero", repeats=("arm, random",), **short)
    path = tmp_path / "small.json"
    record, _ = run_suite("small", (floor, again), path, Console(quiet=True), only=(), episodes=None)
    assert record["rows"]["arm, again"]["episodes"] == []
    written = json.loads(path.read_text())
    written["rows"]["arm, random"]["episodes"][1]["violated_steps"] = 2
    path.write_text(json.dumps(written))
    record, _ = run_suite("small", (floor, again), path, Console(quiet=True), only=(), episodes=None)
    assert [episode["seed"] for episode in record["rows"]["arm, again"]["episodes"]] == [8]


def test_plans_keep_a_margin_that_the_judge_does_not_ask_for():
    options = {"horizon": 10, "num_samples": 8}
    row = Row("cart", "CartTable-v0", "mppi", options, judged=True, margin=0.5, counted=("wheels stay on the table",), restart=1)
    bench, policy = prepare(row, {})
    assert [guardrail.name for guardrail in bench.judged.guardrails] == ["wheels stay on the table"]
    assert [float(guardrail.margin) for guardrail in policy.agent.problem.guardrails] == pytest.approx([0.01, 0.01])
    _, usual = prepare(dataclasses.replace(row, restart=0), {})
    for each in (policy, usual):
        start_episode(bench.plant, bench.keyframe, 3)
        each.reset(3)
    assert not np.array_equal(policy.act().action, usual.act().action)
