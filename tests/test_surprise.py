"""Surprise: one number a frame, from any perceiver; and who forgets cannot be surprised."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scenes
from worlds import PointMass, actions, assert_close, counted, point

import ebm
from ebm import nets, objectives

KEY = jax.random.key(0)
PHYSICS, DIRECT = PointMass(), ebm.Direct()
FILM, FORCES = PHYSICS.rollout(point(), actions(6)), actions(6)
GAP = 3  # frames behind the screen


def teleported(film):
    return eqx.tree_at(lambda states: states.position, film, film.position.at[4:].add(0.5))


def test_true_physics_is_surprised_by_the_impossible_only():
    possible, impossible = (ebm.surprise(PHYSICS, DIRECT, film, FORCES) for film in (FILM, teleported(FILM)))
    assert possible.shape == (7,)
    np.testing.assert_allclose(possible, 0.0, atol=1e-9)
    assert jnp.argmax(impossible) == 4
    np.testing.assert_allclose(jnp.delete(impossible, 4), 0.0, atol=1e-6)


def test_the_engine_is_surprised_where_two_films_were_spliced():
    arm = scenes.build(scenes.ARM, 2, parameters={"mass": 1.0})
    forces = arm.action_space.sample((6,), key=KEY)

    @eqx.filter_jit
    def rolled(arm):
        return arm.rollout(arm.example_state(), forces)

    film, other = rolled(arm), rolled(arm.with_parameters({"mass": 1.5}))
    spliced = jax.tree.map(lambda a, b: jnp.concatenate([a[:4], b[4:]]), film, other)
    possible, impossible = (ebm.surprise(arm, DIRECT, frames, forces) for frames in (film, spliced))
    np.testing.assert_allclose(possible, 0.0, atol=1e-6)
    assert jnp.all(impossible[:4] < 1e-6)
    assert impossible[4] > 1e-3


def test_it_is_the_perceivers_energy_frame_by_frame():
    film, memory = teleported(FILM), DIRECT.init(PHYSICS)
    expected = []
    for t, action in enumerate(jnp.concatenate([jnp.zeros((1, 2)), FORCES])):
        frame = jax.tree.map(lambda leaf, t=t: leaf[t], film)
        expected.append(DIRECT.energy(PHYSICS, memory, action, frame))
        _, memory = DIRECT.observe(PHYSICS, memory, action, frame)
    np.testing.assert_allclose(ebm.surprise(PHYSICS, DIRECT, film, FORCES), jnp.stack(expected), rtol=1e-5, atol=1e-9)


def test_without_actions_nobody_acts():
    expected = ebm.surprise(PHYSICS, DIRECT, FILM, jnp.zeros((6, 2)))
    np.testing.assert_array_equal(ebm.surprise(PHYSICS, DIRECT, FILM), expected)
    assert float(expected[1:].max()) > 0


def test_films_batch_and_compile_once():
    films = jax.tree.map(lambda *leaves: jnp.stack(leaves), FILM, teleported(FILM))
    score, traces = counted(lambda film, forces: ebm.surprise(PHYSICS, DIRECT, film, forces))
    alone = [score(film, FORCES) for film in (FILM, teleported(FILM), FILM)]
    assert len(traces) == 1
    together = jax.vmap(lambda film: ebm.surprise(PHYSICS, DIRECT, film, FORCES))(films)
    assert_close(together, jnp.stack(alone[:2]))


def test_it_is_differentiable_in_the_model():
    slope = eqx.filter_grad(lambda mass: ebm.surprise(PointMass(mass), DIRECT, FILM, FORCES).sum())(jnp.array(0.8))
    assert slope < 0


def test_bad_films_say_so():
    with pytest.raises(ValueError, match="6 actions"):
        ebm.surprise(PHYSICS, DIRECT, FILM, FORCES[1:])
    with pytest.raises(ValueError, match="first axis"):
        ebm.surprise(PHYSICS, DIRECT, eqx.tree_at(lambda film: film.count, FILM, jnp.int32(0)), FORCES)


def test_what_a_learnt_model_foresees_is_what_surprises_it():
    frames, forces = jax.random.normal(KEY, (5, 3)), PHYSICS.action_space.sample((4,), key=KEY)
    encoder, context = nets.MLPEncoder((3,), 4, 8, 1, key=KEY), 2
    predictor = nets.ResidualPredictor(4, 2, 8, 1, context_size=context, key=KEY)
    recurrent = ebm.RecurrentJEPA(encoder, nets.GRUMemory(6, context, key=KEY), predictor, PHYSICS.action_space)
    seen, foreseen = recurrent.watch(frames, forces)
    expected = 0.5 * jnp.mean((foreseen - seen.features[1:]) ** 2, axis=1)
    np.testing.assert_allclose(ebm.surprise(recurrent, ebm.Filtering(), frames, forces)[1:], expected, rtol=1e-4)
    glance = ebm.JEPA(encoder, nets.ResidualPredictor(4, 2, 8, 1, key=KEY), PHYSICS.action_space)
    states = jax.vmap(glance.encode)(frames)
    after = jax.vmap(glance.step)(jax.tree.map(lambda leaf: leaf[:-1], states), forces).features
    expected = 0.5 * jnp.mean((after - states.features[1:]) ** 2, axis=1)
    np.testing.assert_allclose(ebm.surprise(glance, ebm.Encoded(), frames, forces)[1:], expected, rtol=1e-4)


def hidden(shape, reappearing):
    """A film: one of two shapes, then a screen, then a shape again, one-hot."""
    return jax.nn.one_hot(jnp.array([shape, *[2] * GAP, reappearing]), 3)


@eqx.filter_jit
def contrast(model):
    """How much more the shape surprises that did not go behind the screen than the one that did, over a quadruplet."""
    films = jnp.stack([hidden(a, b) for a, b in ((0, 1), (1, 0), (0, 0), (1, 1))])
    scores = jax.vmap(lambda film: ebm.surprise(model, ebm.Filtering(), film))(films).mean(axis=1)
    return scores @ jnp.array([1.0, 1.0, -1.0, -1.0])


@pytest.mark.parametrize(("window", "remembers"), [(GAP, False), (GAP + 1, True), (None, True)])
def test_only_who_remembers_is_surprised_by_what_was_behind_the_screen(window, remembers):
    memory = nets.GRUMemory(3, 8, key=KEY) if window is None else nets.WindowMemory(3, 8, window, 16, key=KEY)
    predictor = nets.ResidualPredictor(3, 0, 16, 1, context_size=8, key=KEY)
    model = ebm.RecurrentJEPA(nets.Identity((3,)), memory, predictor, ebm.Box([], []))
    films = jnp.stack([hidden(0, 0), hidden(1, 1)])
    objective = objectives.Composition({"prediction": objectives.Weighted(objectives.Prediction())})
    trainer = ebm.Trainer(ebm.joint_loss, lambda key: (films, jnp.zeros((2, GAP + 1, 0))), optax.adam(1e-2), 200, 200)
    learned = ebm.fit(trainer, ebm.JointRecurrent(model, objective), key=KEY).model
    if remembers:
        assert contrast(learned) > 0.1
    else:
        np.testing.assert_allclose(contrast(learned), 0.0, atol=1e-6)
