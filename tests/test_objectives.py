"""Objectives: what lowers each, what each is blind to, and how they add up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from ebm import objectives

KEY = jax.random.key(0)
FILMS, FRAMES, SIZE = 64, 5, 4


def outcome(features=None, context=None, predicted=None):
    keys = jax.random.split(KEY, 3)
    features = jax.random.normal(keys[0], (FILMS, FRAMES, SIZE)) if features is None else features
    context = jnp.broadcast_to(jax.random.normal(keys[1], (FILMS, 1, SIZE)), (FILMS, FRAMES, SIZE)) if context is None else context
    actions = jax.random.uniform(keys[2], (FILMS, FRAMES - 1, 2), minval=-1.0)
    return objectives.Outcome(ebm.Representation(features, context), features[:, 1:] if predicted is None else predicted, actions)


def collapsed(block):
    return jnp.zeros_like(block)


ALL = {
    "variance": objectives.Variance(),
    "covariance": objectives.Covariance(),
    "coding rate": objectives.CodingRate(),
    "constancy": objectives.Constancy(),
    "film variance": objectives.FilmVariance(),
    "cross covariance": objectives.CrossCovariance(),
    "time similarity": objectives.TimeSimilarity(),
    "inverse dynamics": objectives.InverseDynamics(SIZE, 2, key=KEY),
    "prediction": objectives.Prediction(),
}


@pytest.mark.parametrize("name", ALL)
def test_values_and_slopes_are_finite_also_where_all_has_collapsed(name):
    for features in (outcome().encoded.features, jnp.zeros((FILMS, FRAMES, SIZE))):
        value, slope = jax.value_and_grad(lambda x: ALL[name](outcome(x)))(features)
        assert jnp.isfinite(value)
        assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.parametrize("name", ["variance", "coding rate", "film variance"])
def test_collapse_costs(name):
    healthy = outcome()
    assert ALL[name](healthy) < ALL[name](outcome(collapsed(healthy.encoded.features)))


@pytest.mark.parametrize("name", ["covariance", "coding rate"])
def test_saying_one_thing_twice_costs(name):
    healthy = outcome()
    twice = healthy.encoded.features.at[..., 1].set(healthy.encoded.features[..., 0])
    assert ALL[name](healthy) < ALL[name](outcome(twice)) - 0.01


def test_a_layout_has_variance_but_none_within_a_film():
    layout = outcome(features=outcome().encoded.context)
    assert objectives.Variance()(layout) < 0.2
    assert objectives.FilmVariance()(layout) > 0.5
    assert objectives.Constancy("features")(layout) == pytest.approx(0, abs=1e-6)
    assert objectives.TimeSimilarity()(layout) == 0


def test_what_both_blocks_say_costs():
    healthy = outcome()
    assert objectives.CrossCovariance()(outcome(context=healthy.encoded.features)) > 5 * objectives.CrossCovariance()(healthy)


def test_covariance_is_that_of_vicreg_but_for_its_normalisation():
    healthy = outcome()
    c = np.cov(np.asarray(healthy.encoded.features).reshape(-1, SIZE), rowvar=False)
    published = (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / SIZE
    np.testing.assert_allclose(objectives.Covariance()(healthy) * (SIZE - 1), published, rtol=1e-4)


def test_a_coding_rate_is_a_volume():
    healthy = outcome()
    rotation = jnp.linalg.qr(jax.random.normal(KEY, (SIZE, SIZE)))[0]
    turned = outcome(healthy.encoded.features @ rotation)
    np.testing.assert_allclose(objectives.CodingRate()(turned), objectives.CodingRate()(healthy), rtol=1e-4)
    double = outcome(2 * healthy.encoded.features)
    np.testing.assert_allclose(objectives.CodingRate(noise=0.0)(double), objectives.CodingRate(noise=0.0)(healthy) - np.log(4), rtol=1e-3)


def test_a_target_that_is_stopped_does_not_learn():
    def loss(features, stopped):
        return objectives.Prediction(stopped)(outcome(features, predicted=jnp.zeros((FILMS, FRAMES - 1, SIZE))))

    features = outcome().encoded.features
    assert jnp.any(jax.grad(loss)(features, False) != 0)
    assert not jnp.any(jax.grad(loss)(features, True) != 0)


def test_inverse_dynamics_can_be_learned():
    """Where features add up to actions, a few steps of descent already help."""
    base = outcome()
    moved = jnp.concatenate([jnp.zeros((FILMS, 1, 2)), jnp.cumsum(base.actions, axis=1)], axis=1)
    told = objectives.Outcome(
        ebm.Representation(jnp.concatenate([moved, moved], axis=-1), base.encoded.context), base.predicted, base.actions
    )
    objective = objectives.InverseDynamics(SIZE, 2, key=KEY)
    first = objective(told)
    for _ in range(100):
        slope = eqx.filter_grad(lambda o: o(told))(objective)
        objective = eqx.apply_updates(objective, jax.tree.map(lambda g: -0.1 * g, slope))
    assert objective(told) < 0.2 * first


def test_a_composition_weighs_names_and_ramps():
    weigh = objectives.Weighted
    both = objectives.Composition({"a": weigh(objectives.Variance(), 2.0), "b": weigh(objectives.Covariance(), 4.0, 8.0)})
    total, parts = both(outcome(), 0.5)
    np.testing.assert_allclose(total, 2 * parts["a"] + 6 * parts["b"], rtol=1e-6)
    alone, parts = both.without("a")(outcome(), 0.0)
    np.testing.assert_allclose(alone, 4 * parts["b"], rtol=1e-6)
    with pytest.raises(ValueError, match="'c': a, b"):
        both.without("c")
