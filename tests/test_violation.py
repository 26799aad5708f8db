"""From surprise to a table: contrasts, ties, intervals, chances, thresholds; and what is written is read again, or refused."""

import csv
import gzip
import json

import numpy as np
import pytest

from benchmarks._errors import UsageError
from benchmarks.surprise import _curves, _floors, _models, _page, _report, _table, _watch
from benchmarks.surprise import _statistics as statistics
from envs import cradle

RNG = np.random.default_rng(0)


def test_what_a_context_or_an_outcome_adds_by_itself_cancels():
    context, outcome = RNG.normal(size=(2, 30, 2))
    scores = np.stack([context[:, a] + outcome[:, b] for a, b in ((0, 0), (1, 1), (0, 1), (1, 0))], 1)
    np.testing.assert_allclose(statistics.contrast(scores), 0.0, atol=1e-12)
    assert (statistics.interaction_wins(scores) == 0.5).all()
    odd = scores + np.array([0.0, 0.0, 0.1, 0.1])
    assert (statistics.interaction_wins(odd) == 1.0).all()
    assert 0.0 < statistics.pair_wins(odd).mean() < 1.0  # a large main effect hides it in pairs


@pytest.mark.parametrize(("kind", "noise", "won"), [("float64", 1e-12, 0.5), ("float32", 1e-7, 0.5), ("float64", 1e-3, 1.0)])
def test_sums_in_another_order_are_ties(kind, noise, won):
    scores = np.array([[1.0, 2.0, 1.0, 2.0 + noise]], kind)
    assert statistics.interaction_wins(scores).tolist() == [won]


def test_intervals_cover_and_chances_are_even():
    covered, chances = [], []
    for seed in range(100):
        drawn = np.random.default_rng(seed).normal(size=40)
        low, high = statistics.bootstrap(drawn, seed=seed)
        covered.append(low <= 0.0 <= high)
        chances.append(statistics.sign_flip(drawn, seed=seed))
    assert 0.86 <= np.mean(covered) <= 1.0
    assert 0.0 <= np.mean(np.array(chances) < 0.1) <= 0.2
    assert statistics.sign_flip(np.full(20, 0.3)) < 0.001
    assert statistics.sign_flip(np.zeros(20)) == 1.0


def test_many_questions_make_chances_larger():
    assert statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert statistics.holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_auroc_and_threshold():
    assert statistics.auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert statistics.auroc(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5
    assert 1.0 < statistics.threshold(np.array([0.0, 1.0]), np.array([2.0, 3.0])) < 2.0


def test_a_peak_is_found_where_it_can_first_be_seen():
    curves = np.zeros((2, 4, 32))
    curves[0, 2:, 20] = 1.0  # both contexts, in the window
    curves[1, 2, 20], curves[1, 3, 5] = 1.0, 1.0  # one of them elsewhere
    found, chance = statistics.localised(curves, [18, 18], 6)
    np.testing.assert_array_equal(found, [1.0, 0.5])
    assert chance == pytest.approx(6 / 32)


@pytest.mark.parametrize(("concept", "mode"), [(c, m) for c in cradle.CONCEPTS for m in cradle.modes(c) if m == "O"])
def test_whoever_forgets_within_the_run_is_at_chance_exactly(concept, mode):
    films = cradle.quadruplets(concept, mode, "dev", 2, 2)
    length = int(films.hidden[:, 2].min())
    panel = {
        "pixel change": _floors.pixel_change,
        "one frame": _floors.RandomWindow(1),
        "longest": _floors.RandomWindow(length + 1),
        "density": _floors.fit_density(films.frames[:, 0]),
    }
    for name, see in panel.items():
        curves = _curves.by_frames(see)(films)
        units = statistics.standard(curves)
        for each in (curves, units(curves)):
            assert (statistics.interaction_wins(each.mean(-1)) == 0.5).all(), name


def seen(shift=0.2, count=6, label="model", seed=0):
    curves = np.random.default_rng(seed).normal(1.0, 0.1, (count, 4, 32))
    curves[:, 2:, 20:24] += shift * 8
    return _curves.Seen({label: curves}, np.tile([12, 7, 7], (count, 1)), _curves.FILMS)


def test_what_was_watched_is_read_again(tmp_path):
    path = tmp_path / "permanence-O-wait-2.npz"
    _curves.write(path, seen())
    (part, found), *_ = _curves.read_all(tmp_path).items()
    assert part == _curves.Part("permanence", "O", "wait-2")
    np.testing.assert_array_equal(found.curves["model"], seen().curves["model"])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match="score again"):
        _curves.read(path)


def test_the_contrast_of_every_seed_is_told():
    part = _curves.Part("release", "V", "test")  # here half of it is S(rises) - S(falls), the main effect of the outcome
    (row,) = _table.rows("model", "model", {part: [seen(seed=0), seen(seed=1, shift=-1.0)]})
    first, second = row.figures["contrast"]["seeds"]
    assert 0 < first["interval"][0] < first["mean"] < first["interval"][1]
    assert second["interval"][1] < 0
    np.testing.assert_allclose(row.figures["contrast"]["mean"], (first["mean"] + second["mean"]) / 2)


def test_units_and_thresholds_come_from_development_films():
    parts = {_curves.Part("permanence", "O", split): [seen(seed=index)] for index, split in enumerate(("dev", "test", "rare"))}
    rows = {row.part.split: row.figures for row in _table.rows("model", "model", parts)}
    assert rows["test"]["interaction"]["rate"] == 1.0
    assert rows["test"]["at threshold"] > 0.9
    assert rows["test"]["localised"] == 1.0
    assert 0.4 < rows["rare"]["flagged"] < 0.6  # the curves of the impossible ones, for once
    louder = {part: [_curves.Seen({"model": one.curves["model"] * (100.0 if part.split == "test" else 1.0)}, one.hidden)]
              for part, (one,) in parts.items()}  # fmt: skip
    assert {row.part.split: row.figures for row in _table.rows("model", "model", louder)}["test"]["at threshold"] == 0.5


def test_without_development_films_nothing_is_said_that_needs_them():
    parts = {_curves.Part("permanence", "O", split): [seen(shift=0.0)] for split in ("test", "rare", "shuffled")}
    (row,) = _table.rows("model", "model", parts)
    assert row.part.split == "test"
    assert "interaction" in row.figures
    assert not {"at threshold", "localised"} & set(row.figures)


def test_the_rounding_of_sums_is_no_effect():
    """The same numbers in another order: their sums differ in the last bits, always to the same side or not."""
    rng = np.random.default_rng(0)
    possible = rng.normal(1.0, 0.1, (50, 2, 32))
    curves = np.concatenate([possible, possible[..., ::-1]], axis=1)
    judged = statistics.judge(curves.sum(-1))
    assert judged["interaction"]["rate"] == 0.5
    assert judged["effect"] == 0.0
    assert judged["chance"] == 1.0
    assert _table._above(curves[:, 2:].sum(-1), curves[:, :2].sum(-1)) == 0.5


def test_what_was_watched_in_other_films_is_watched_again_and_not_reported(tmp_path, monkeypatch):
    part = _curves.Part("permanence", "O", "dev")
    given = cradle.quadruplets("permanence", "O", "dev", 0, 2)
    monkeypatch.setattr(cradle, "read", lambda *names: given)
    monkeypatch.setattr(_curves, "watchers", lambda *names: {"model": lambda films: np.zeros(films.frames.shape[:3])})
    _curves.write(tmp_path / f"{part.stem}.npz", seen()._replace(source="films of version 1"))
    with pytest.raises(UsageError, match="other films"):
        _curves.read_all(tmp_path)
    assert list(_curves.score("oracle", [part], tmp_path, tmp_path)) == [part]
    assert not _curves.read_all(tmp_path)[part].curves["model"].any()
    assert list(_curves.score("floors", [part], tmp_path, tmp_path)) == [part]
    assert "floors" in _curves.read_all(tmp_path)[part].source


def test_a_frame_at_which_nothing_ever_happens_does_not_outweigh_the_others():
    curves = np.random.default_rng(0).normal(1.0, 0.1, (40, 4, 32))
    curves[:, :, 5] = 1.0 + 1e-6 * curves[:, :, 5]
    unit = statistics.standard(curves)
    small = curves[0, 0] + 1e-3 * (np.arange(32) == 5)
    assert abs(unit(small)[5]) < 0.1
    assert statistics.standard(np.ones((4, 4, 32))).deviation.tolist() == [1.0] * 32


def test_other_orders_are_made_of_development_films(tmp_path, monkeypatch):
    parts = {split: _curves.Part("permanence", "O", split) for split in ("dev", "shuffled", "reversed")}
    given = cradle.quadruplets("permanence", "O", "dev", 0, 10)
    read = []
    monkeypatch.setattr(cradle, "read", lambda *names: read.append(names) or given)
    found = {split: _curves.read_films(tmp_path, part) for split, part in parts.items()}
    assert [names[-1] for names in read] == ["dev"] * 3
    np.testing.assert_array_equal(found["reversed"].frames, given.frames[:, :, ::-1])
    np.testing.assert_array_equal(found["reversed"].seen, given.seen[:, :, ::-1])
    shuffled, ordered = (np.sort(films.frames.astype(int).sum((3, 4, 5)), axis=-1) for films in (found["shuffled"], given))
    np.testing.assert_array_equal(shuffled, ordered)
    assert (found["shuffled"].frames != given.frames).any()
    assert [part.split for part in _curves.parts(["permanence"], parts, in_order=True)] == ["dev"]
    loud = seen()._replace(curves={"model": seen().curves["model"] + 1.0})
    rows = {row.part.split: row.figures for row in _table.rows("model", "model", {parts["dev"]: [seen()], parts["shuffled"]: [loud]})}
    assert rows["shuffled"]["above"] == 1.0
    assert _table.say(rows["shuffled"]) == "100.0 % above"


def test_who_learned_from_the_experiments_is_called_so(tmp_path, monkeypatch):
    given = cradle.quadruplets("permanence", "O", "dev", 0, 2)
    monkeypatch.setattr(cradle, "read", lambda folder, concept, mode, split: given if split == "train" else None)
    films = _models.read_films(tmp_path, _models.Settings(track="family", films=39))
    np.testing.assert_array_equal(films[:3], given.frames[:, :2].reshape(-1, *given.frames.shape[2:])[:3])
    assert len(films) == 39
    assert _report.title(tmp_path, _models.check(_models.Settings(track="family"))._asdict()) == "JEPA, transformer, track family"
    with pytest.raises(UsageError, match="Leave one"):
        _models.read_films(tmp_path, _models.Settings(track="family", gravity="up"))


def test_a_report_of_three_seeds_is_one_row(tmp_path):
    runs = []
    for seed in range(3, 6):
        run = tmp_path / f"run-{seed}"
        (run / _curves.FOLDER).mkdir(parents=True)
        settings = {"seed": seed, "predicts": "features", "memory": "gru"}
        (run / "config.json").write_text(json.dumps({"settings": settings}))
        for split in ("dev", "test"):
            _curves.write(run / _curves.FOLDER / f"permanence-O-{split}.npz", seen(seed=seed))
        runs.append(run)
    assert _report.Report(tuple(runs), out=tmp_path / "out").run("ebm surprise report") == 0
    record = json.loads((tmp_path / "out" / "surprise.json").read_text())
    (row,) = [row for row in record["rows"] if row["split"] == "test"]
    assert len(row["seeds"]) == 3
    assert row["quadruplets"] == 6
    with gzip.open(tmp_path / "out" / "surprise.csv.gz", "rt") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 2 * 6 * 4 * 32
    assert {line["seed"] for line in lines} == {"3", "4", "5"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "permanence" in page
    assert "1.00" in page


def test_a_run_that_is_named_twice_is_not_two_seeds(tmp_path):
    (tmp_path / _curves.FOLDER).mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"seed": 1, "predicts": "features", "memory": "gru"}}))
    _curves.write(tmp_path / _curves.FOLDER / "permanence-O-test.npz", seen())
    with pytest.raises(UsageError, match="named twice"):
        _report.gather([tmp_path, tmp_path])


def test_a_run_that_scored_nothing_is_named(tmp_path):
    with pytest.raises(UsageError, match="ebm surprise score"):
        _report.gather([tmp_path])


def test_a_strip_has_a_row_for_every_film():
    film = np.zeros((4, 32, 64, 64, 3), np.uint8)
    height, width, _ = _page.strip(film).shape
    assert height == 4 * (64 + _page.GAP)
    assert width == len(_page.SHOWN) * (64 + _page.GAP)


def test_four_films_are_shown_side_by_side(tmp_path):
    path = tmp_path / "made" / "cart.mp4"
    assert _watch.Watch("gravity", "V", out=path).run("ebm surprise watch gravity") == 0
    assert path.stat().st_size > 5000
    four = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((4, 64, 64, 3), np.uint8)
    picture = _watch.side_by_side(four)
    corners = picture[[100, 100, -100, -100], [100, -100, 100, -100], 0]
    np.testing.assert_array_equal(corners, [0, 1, 2, 3])
    with pytest.raises(UsageError, match="gravity"):
        _watch.Watch("graviti").run("ebm surprise watch graviti")
