"""Networks on things in slots: their order does not matter, and what is hidden tells nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from benchmarks._cli import run as command
from benchmarks._errors import UsageError
from benchmarks.surprise import _curves, _models, _objects
from ebm import nets
from envs import cradle
from envs.cradle import _archive

KEY = jax.random.key(0)
SLOTS, NUMBERS, CHANNELS, KEPT = 4, 6, 5, 7


@pytest.fixture(scope="module")
def model():
    keys = jax.random.split(KEY, 3)
    return ebm.RecurrentJEPA(
        nets.SlotEncoder((SLOTS, NUMBERS), CHANNELS, key=keys[0]),
        nets.SlotMemory(SLOTS, CHANNELS, KEPT, key=keys[1]),
        nets.SlotPredictor(SLOTS, CHANNELS, KEPT, key=keys[2]),
        ebm.Box([], []),
    )


def film(frames=6):
    numbers = jax.random.normal(KEY, (frames, SLOTS, NUMBERS))
    return numbers.at[..., 0].set(jax.random.bernoulli(KEY, 0.7, (frames, SLOTS)).astype(jnp.float32))


def test_the_order_of_things_does_not_matter(model):
    order = jnp.array([2, 0, 3, 1])
    seen, actions = film(), jnp.zeros((5, 0))
    _, foreseen = model.watch(seen, actions)
    _, turned = model.watch(seen[:, order], actions)
    np.testing.assert_allclose(turned.reshape(5, SLOTS, -1), foreseen.reshape(5, SLOTS, -1)[:, order], atol=1e-5)


def test_things_act_on_each_other_and_what_is_hidden_tells_nothing(model):
    seen, actions = film().at[:, :, 0].set(1.0), jnp.zeros((5, 0))
    _, foreseen = model.watch(seen, actions)
    _, other = model.watch(seen.at[:, 1, 2].add(1.0), actions)
    assert jnp.max(jnp.abs((foreseen - other).reshape(5, SLOTS, -1)[:, 0])) > 1e-4
    hidden = seen.at[2:, 1, 0].set(0.0)
    _, first = model.watch(hidden, actions)
    _, second = model.watch(hidden.at[2:, 1, 1:].add(3.0), actions)
    np.testing.assert_array_equal(first, second)


def test_an_error_counts_only_what_is_seen():
    decoder = nets.SlotDecoder((SLOTS, NUMBERS), CHANNELS, key=KEY)
    vector, seen = jax.random.normal(KEY, (SLOTS * CHANNELS,)), film(1)[0].at[1, 0].set(0.0)
    assert decoder.error(vector, seen) == decoder.error(vector, seen.at[1, 1:].add(5.0))
    assert decoder.error(vector, seen.at[1, 0].set(1.0)) != decoder.error(vector, seen)


def test_sights_of_films_say_nothing_of_what_is_hidden():
    films = cradle.quadruplets("permanence", "O", "dev", 0, 2)
    seen = _objects.sights(films.states, films.seen)
    assert seen.shape == (2, 4, cradle.FRAMES, *_objects.SHAPE)
    slots = films.seen.shape[-1]
    assert np.array_equal(seen[..., :slots, 0] > 0, films.seen)
    assert not seen[..., slots:, :].any()
    assert not seen[..., :slots, :][~films.seen].any()
    moved = films.states + np.where(films.seen[..., None], 0.0, 7.0)
    assert np.array_equal(_objects.sights(moved, films.seen), seen)
    assert np.abs(seen).max() < 6
    kinds = seen[..., -len(cradle.KINDS) :].sum(-1)
    assert np.array_equal(kinds[..., :slots], films.seen)


def test_mirrored_things_move_as_in_a_mirror():
    things = np.random.default_rng(0).normal(size=(1, 3, *_objects.SHAPE)).astype(np.float32)
    drawn = {tuple(np.round(np.asarray(_objects.draw(things, jax.random.key(k), batch=1)[0][0, 0, 0, 1:8]), 4)) for k in range(20)}
    assert len(drawn) == 2
    one, other = (np.array(each) for each in drawn)
    np.testing.assert_allclose(one / other, [-1, 1, 1, 1, 1, -1, -1], rtol=1e-3)


def test_settings_go_together():
    objects = _models.check(_models.Settings(sees="objects", predicts="states"))
    assert objects.memory == "slots"
    assert _models.check(objects) == objects
    learner = _models.build(objects._replace(features=4, remembered=4, width=8), key=KEY)
    assert isinstance(_models.perceiver(learner), ebm.FilteringPictures)
    wrong = [{"sees": "objects", "predicts": "pictures"}, {"predicts": "states"}, {"memory": "slots"}, {"sees": "objects", "memory": "gru"}]
    for words in wrong:
        with pytest.raises(UsageError):
            _models.check(_models.Settings(**words))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a hundred everyday films, and one with what an older version left of them."""
    folder = tmp_path_factory.mktemp("films")
    piece = cradle.freeform_pieces(1, "down")[0]
    cradle.make_piece(folder, piece)
    return folder, piece


def test_everyday_films_keep_what_is_seen_of_things(made, tmp_path):
    folder, piece = made
    states, seen = cradle.read_sights(folder, 20)
    assert states.shape[:3] == seen.shape == (20, cradle.FRAMES, cradle.MOST_THINGS)
    assert 0.1 < seen.mean() < 0.9
    frames = cradle.read_freeform(folder, 20)
    still = (frames[:, 1:] == frames[:, :-1]).all((2, 3, 4))
    same = (seen[:, 1:] == seen[:, :-1]).all(2)
    assert same[still].all()
    assert _archive.recall(folder, piece) is not None
    found = dict(_archive.load(piece.path(folder)))
    older = piece.path(tmp_path)
    older.parent.mkdir(parents=True)
    _archive.save(older, {name: found[name] for name in ("frames", "index", "made")}, str(found["sha256"]))
    assert _archive.recall(tmp_path, piece) is None  # and so it is made again
    with pytest.raises(OSError, match="generate"):
        cradle.read_sights(tmp_path, 20)


def test_a_model_of_objects_is_trained_and_watches(made, tmp_path, monkeypatch):
    folder, _ = made
    run = tmp_path / "run"
    words = ["films=100", "steps=20", "batch=4", "features=8", "remembered=8", "width=16"]
    assert command(["surprise", "train", "sees=objects", "predicts=states", *words, "--films", str(folder), "--out", str(run)]) == 0
    given = cradle.quadruplets("permanence", "O", "dev", 0, 2)
    monkeypatch.setattr(cradle, "read", lambda *_: given)
    part = _curves.Part("permanence", "O", "dev")
    assert list(_curves.score(str(run), [part], folder, run / "surprise")) == [part]
    curves = _curves.read_all(run / "surprise")[part].curves["model"]
    assert curves.shape == (2, 4, cradle.FRAMES)
    assert np.isfinite(curves).all()
    assert curves.std() > 0
    assert command(["surprise", "foreign", str(run), str(tmp_path)]) == 2
