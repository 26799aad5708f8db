"""Coordinates in which a difference is an action, the policy that goes straight in them, and the loss they learn from."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm

KEY = jax.random.key(0)
BOX = ebm.Box([-2.0, 0.0], [2.0, 4.0])


def at(*coordinates):
    return ebm.Representation(jnp.asarray(coordinates, jnp.float32), jnp.zeros(0))


def test_pursuit_goes_straight_and_no_further():
    pursue = ebm.Pursuit(BOX)
    np.testing.assert_allclose(pursue(at(1.0, 1.0), jnp.array([1.0, 1.0])), BOX.center)
    near, far = jnp.array([0.3, -0.4]), jnp.array([30.0, -40.0])
    np.testing.assert_allclose(pursue(at(0.0, 0.0), near), BOX.center + BOX.half_range * near, rtol=1e-5)
    np.testing.assert_allclose(pursue(at(0.0, 0.0), far), BOX.center + BOX.half_range * jnp.array([0.6, -0.8]), rtol=1e-5)
    assert bool(BOX.contains(jax.vmap(lambda t: pursue(at(0.0, 0.0), t))(10 * jax.random.normal(KEY, (50, 2)))))


def test_blocked_steps_do_not_bend_what_is_learned():
    """A fifth of the steps lead nowhere; the rest still add up to actions, over many of them too."""
    mix = jnp.array([[1.0, 0.5], [-0.3, 1.0], [0.2, 0.2]])

    def draw(key):
        keys = jax.random.split(key, 3)
        place, action = jax.random.uniform(keys[0], (256, 2), minval=-3.0, maxval=3.0), jax.random.uniform(keys[1], (256, 2), minval=-1.0)
        after = place + jnp.where(jax.random.bernoulli(keys[2], 0.2, (256, 1)), 0.0, action)
        return jnp.tanh(0.3 * place @ mix.T), jnp.tanh(0.3 * after @ mix.T), action

    trainer = ebm.Trainer(ebm.displacement_loss, draw, optax.adam(optax.cosine_decay_schedule(1e-2, 1500)), 1500)
    head = ebm.fit(trainer, ebm.Displacement(3, 2, 32, key=KEY), key=KEY)
    places = jax.random.uniform(KEY, (2, 200, 2), minval=-3.0, maxval=3.0)
    here, there = jax.vmap(jax.vmap(head))(jnp.tanh(0.3 * places @ mix.T))
    error = jnp.linalg.norm((there - here) - (places[1] - places[0]), axis=-1)
    assert float(jnp.median(error)) < 0.15


def test_losses_of_a_perfect_predictor_are_as_small_as_they_can_be():
    films = jnp.cumsum(jax.random.uniform(KEY, (4, 6, 2)), axis=1)
    actions = jnp.diff(films, axis=1)
    context = jnp.zeros((4, 6, 1))

    class Perfect(ebm.nets.AbstractPredictor):
        def __call__(self, features, action, condensed):
            return features + action

    steps = ebm.Steps(
        ebm.Representation(films[:, 0], context[:, 0]), films[:, 1], actions[:, 0], ebm.Representation(films, context), actions
    )
    _, parts = ebm.prediction_loss(Perfect(), steps, jnp.float32(0.0), KEY)
    np.testing.assert_allclose([parts["single"], parts["film"]], 0.01, rtol=1e-3)
    wrong = ebm.Steps(steps.before, steps.after, -steps.actions, steps.films, -steps.film_actions)
    _, parts = ebm.prediction_loss(Perfect(), wrong, jnp.float32(0.0), KEY)
    assert parts["film_end"] > 2 * parts["single"] > 0.2


def test_approach_is_a_distance_far_away_and_a_square_near():
    energy = ebm.Approach("features", [1.0, 0.0], tolerance=0.5)
    rest = jnp.zeros(2), jnp.zeros(2), jnp.float32(0.0)
    assert energy.stage(at(1.0, 0.0), *rest) == 0
    near = energy.stage(at(1.01, 0.0), *rest)
    np.testing.assert_allclose(near, 0.5 * (0.01 / 0.5) ** 2, rtol=0.02)
    np.testing.assert_allclose(energy.stage(at(101.0, 0.0), *rest), 100 / 0.5 - 1, rtol=1e-3)
    np.testing.assert_allclose(energy.distance(at(1.0, 2.0)), 2.0, rtol=1e-6)
    assert bool(jnp.all(jnp.isfinite(jax.grad(lambda x: energy.stage(at(*x), *rest))(jnp.array([1.0, 0.0])))))
    with pytest.raises(ValueError, match="tolerance"):
        ebm.Approach("features", [1.0, 0.0], tolerance=0.0)
