"""Several frames as one observation, and a model that completes what is partly hidden."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import counted

import ebm
from ebm import nets, objectives

KEY = jax.random.key(0)
LENGTH, PLACES, CHANNELS, KEPT = 3, (2, 2), 4, 6
FRAME = (2, 4, 4)
FILM = jax.random.randint(jax.random.key(1), (11, *FRAME), 0, 256).astype(jnp.uint8)
MASKS = ebm.Blocks(PLACES, CHANNELS)


@eqx.filter_jit
def model():
    encoder = nets.GridEncoder((LENGTH * FRAME[0], *FRAME[1:]), CHANNELS, 2, 8, key=KEY)
    memory = nets.TransformerMemory(4 * CHANNELS, 4 * KEPT, 4, 8, 1, heads=2, places=4, key=KEY)
    return ebm.RecurrentJEPA(encoder, memory, nets.GridCompleter(4, CHANNELS, KEPT, 8, 1, heads=2, key=KEY), ebm.Box([], []))


MODEL = model()
DECODER = nets.GridDecoder((LENGTH * FRAME[0], *FRAME[1:]), CHANNELS, 2, 8, key=KEY)
SIGHTS = {
    "whole": ebm.Filtering(),
    "completed": ebm.Filtering(MASKS),
    "pictures": ebm.FilteringPictures(DECODER),
    "completed pictures": ebm.FilteringPictures(DECODER, MASKS),
}


def test_a_film_in_tubelets_has_the_frames_of_each_one_after_another():
    cut = ebm.tubelets(FILM, LENGTH)
    assert cut.shape == (3, LENGTH * FRAME[0], *FRAME[1:])
    np.testing.assert_array_equal(cut[1, 2:4], FILM[4])
    np.testing.assert_array_equal(ebm.tubelets({"a": FILM}, 1)["a"], FILM)


@pytest.mark.parametrize("name", SIGHTS)
def test_at_every_frame_the_last_tubelet_is_compared_with_those_before(name):
    sight = ebm.Tubelets(SIGHTS[name], jnp.zeros(FRAME, jnp.uint8), LENGTH)
    found = ebm.surprise(MODEL, sight, FILM)
    expected = np.zeros(len(FILM))
    for turn in range(LENGTH):
        film = ebm.tubelets(FILM[turn:], LENGTH)
        ends = turn + LENGTH * np.arange(1, len(film) + 1) - 1
        expected[ends] = ebm.surprise(MODEL, SIGHTS[name], film)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not expected[: 2 * LENGTH - 1].any()
    assert (expected[2 * LENGTH - 1 :] > 0).all()


def test_films_of_tubelets_compile_once_and_say_what_the_last_one_was():
    sight = ebm.Tubelets(ebm.Filtering(), jnp.zeros(FRAME, jnp.uint8), LENGTH)
    observe, traces = counted(lambda memory, frame: sight.observe(MODEL, memory, jnp.zeros(0), frame))
    memory = sight.init(MODEL)
    for count, frame in enumerate(FILM[:4]):
        state, memory = observe(memory, frame)
        assert bool(memory.seen) == (count >= LENGTH - 1)
        if not memory.seen:
            assert not np.asarray(state.features).any()
    assert len(traces) == 1
    np.testing.assert_allclose(state.features, MODEL.encode(ebm.tubelets(FILM[1:4], LENGTH)[0]), rtol=1e-4, atol=1e-6)


def test_what_is_told_is_kept_and_the_whole_is_what_is_foreseen():
    film, nobody = ebm.tubelets(FILM, LENGTH), jnp.zeros((2, 0))
    hidden = jax.vmap(lambda key: MASKS.draw(key=key))(jax.random.split(KEY, 2))
    seen, completed = MODEL.watch(film, nobody, hidden=hidden)
    np.testing.assert_array_equal(completed[~hidden], seen.features[1:][~hidden])
    assert (completed[hidden] != seen.features[1:][hidden]).all()
    _, foreseen = MODEL.watch(film, nobody)
    _, whole = MODEL.watch(film, nobody, hidden=jnp.ones_like(hidden))
    np.testing.assert_allclose(whole, foreseen, rtol=1e-5, atol=1e-6)


def test_completing_is_learned_and_what_came_is_only_a_target():
    frames = jnp.stack([ebm.tubelets(jnp.roll(FILM, shift, axis=-1), LENGTH) for shift in range(4)])
    objective = objectives.Composition({"prediction": objectives.Weighted(objectives.Prediction(stopped=True))})
    learner = ebm.JointRecurrent(MODEL, objective, masks=MASKS)
    trainer = ebm.Trainer(ebm.joint_loss, lambda key: (frames, jnp.zeros((4, 2, 0))), optax.adam(1e-2), 150, 150)

    def error(learner):
        return float(ebm.joint_loss(learner, (frames, jnp.zeros((4, 2, 0))), jnp.float32(1.0), KEY)[0])

    assert error(ebm.fit(trainer, learner, key=KEY)) < 0.5 * error(learner)


def test_mistakes_say_so():
    with pytest.raises(ValueError, match="length"):
        ebm.Tubelets(ebm.Filtering(), jnp.zeros(FRAME), 0)
    acting = ebm.RecurrentJEPA(
        nets.MLPEncoder((3,), 4, 8, 1, key=KEY), nets.GRUMemory(6, 2, key=KEY), nets.GRUPredictor(4, 2, key=KEY), ebm.Box([-1, -1], [1, 1])
    )
    with pytest.raises(ValueError, match="nobody acts"):
        ebm.Tubelets(ebm.Filtering(), jnp.zeros(3), 2).init(acting)
    with pytest.raises(TypeError, match="AbstractCompleter"):
        acting.complete(acting.example_state(), jnp.zeros(2), jnp.zeros(4), jnp.ones(4, bool))
    film, nobody = ebm.tubelets(FILM, LENGTH), jnp.zeros((2, 0))
    with pytest.raises(ValueError, match="not both"):
        MODEL.watch(film, nobody, 1, jnp.ones((2, 16), bool))
    with pytest.raises(ValueError, match="key"):
        ebm.JointRecurrent(MODEL, objectives.Composition({}), masks=MASKS).imagine(film[None], nobody[None])
