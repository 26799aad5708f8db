"""What learns together: objectives that need a slow copy or hidden pictures get them, and every term says how much it pulls."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm
from ebm import nets, objectives

KEY = jax.random.key(0)
SHAPE, FILMS, FRAMES = (1, 4, 4), 6, 3


def learner(target=True, hidden=0.5):
    keys = jax.random.split(KEY, 4)
    encoder = nets.PatchEncoder(SHAPE, 6, patch=2, features=4, width=8, key=keys[0])
    predictor = nets.ResidualPredictor(4, 1, 8, context_size=2, key=keys[1])
    model = ebm.JEPA(encoder=encoder, predictor=predictor, action_space=ebm.Box([-1.0], [1.0]), context_size=2)
    terms = {"masked": objectives.Weighted(objectives.MaskedDistillation(4, key=keys[2]), 2.0)} if target and hidden else {}
    terms |= {"prediction": objectives.Weighted(objectives.Prediction())}
    return ebm.Joint(model, objectives.Composition(terms), ebm.Average(encoder, 0.5) if target else None, hidden)


def draw(key):
    keys = jax.random.split(key)
    return jax.random.uniform(keys[0], (FILMS, FRAMES, *SHAPE)), jax.random.uniform(keys[1], (FILMS, FRAMES - 1, 1))


def leaves(tree):
    return jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))


def test_an_average_follows_and_does_not_learn():
    start = learner()
    marks = ebm.trainable(start)
    assert any(jax.tree.leaves(marks.model))
    assert not any(jax.tree.leaves(marks.target))
    trainer = ebm.Trainer(ebm.joint_loss, draw, optax.sgd(0.1), 1, 1, lambda module, share: module.settle(share))
    after = ebm.fit(trainer, start, key=KEY)
    for old, new, mean in zip(*(leaves(x) for x in (start.model.encoder, after.model.encoder, after.target.network)), strict=True):
        np.testing.assert_allclose(mean, 0.5 * old + 0.5 * new, atol=1e-6)
    assert any(bool(jnp.any(a != b)) for a, b in zip(leaves(start.model), leaves(after.model), strict=True))


def test_an_average_stands_still_in_the_end():
    start = learner()
    other = jax.tree.map(lambda x: x + 1.0 if eqx.is_inexact_array(x) else x, start.model.encoder)
    for old, new in zip(leaves(start.target.network), leaves(start.target.follow(other, 1.0).network), strict=True):
        np.testing.assert_array_equal(old, new)


def test_every_term_says_what_it_weighs_and_how_it_pulls():
    loss, parts = eqx.filter_jit(ebm.joint_loss)(learner(), draw(KEY), jnp.float32(0.0), KEY)
    np.testing.assert_allclose(loss, parts["masked weighed"] + parts["prediction weighed"], rtol=1e-5)
    np.testing.assert_allclose(parts["masked weighed"], 2 * parts["masked"], rtol=1e-6)
    np.testing.assert_allclose(parts["masked pull"] + parts["prediction pull"], 1.0, rtol=1e-5)


def test_the_same_places_are_hidden_in_all_frames_of_a_film():
    pictures = jnp.ones((200, FRAMES, 2, 20, 12), jnp.uint8)
    hidden = ebm.hide(pictures, 0.3, key=KEY)
    assert hidden.dtype == pictures.dtype
    assert bool(jnp.all(hidden == hidden[:, :1, :1]))
    np.testing.assert_allclose(jnp.mean(hidden[:, 0, 0, ::8, ::8] == 0), 0.3, atol=0.05)
    assert bool(jnp.all(hidden[..., :8, :8] == hidden[..., :1, :1]))


def test_hiding_without_a_key_says_so():
    with pytest.raises(ValueError, match="`hidden` needs a key"):
        learner().imagine(*draw(KEY))
