"""Measures of representations: what they are worth on data of which it is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm

KEY = jax.random.key(0)
SAMPLE, SIZE = 4000, 8


def spread(count):
    """Data that vary along so many directions, turned at random."""
    turn = jnp.linalg.qr(jax.random.normal(KEY, (SIZE, SIZE)))[0]
    return (jax.random.normal(jax.random.key(1), (SAMPLE, SIZE)) * (jnp.arange(SIZE) < count)) @ turn + 3.0


@pytest.mark.parametrize("measure", [ebm.effective_rank, ebm.participation_ratio])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_ranks_count_directions(measure, count):
    assert float(measure(spread(count))) == pytest.approx(count, abs=0.1)
    assert jnp.isfinite(measure(jnp.zeros((SAMPLE, SIZE))))


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_the_decay_of_a_spectrum(decay):
    x = jax.random.normal(KEY, (SAMPLE, SIZE)) * (1.0 + jnp.arange(SIZE)) ** (-decay / 2)
    assert float(ebm.spectrum_decay(x)) == pytest.approx(decay, abs=0.1)
    standardised = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)  # one direction is lost, which is no collapse
    assert float(ebm.spectrum_decay(standardised)) == pytest.approx(decay, abs=0.6)
    assert jnp.isinf(ebm.spectrum_decay(spread(1)))
    assert jnp.isinf(ebm.spectrum_decay(jnp.ones((SAMPLE, SIZE))))


def test_lidar_counts_what_tells_groups_apart():
    groups = jax.random.normal(KEY, (400, 1, SIZE)) * (jnp.arange(SIZE) < 3)
    views = groups + 0.05 * jax.random.normal(jax.random.key(1), (400, 10, SIZE))
    assert float(ebm.lidar(views)) == pytest.approx(3, abs=0.3)


def test_a_layout_has_nothing_within_films():
    layout = jnp.broadcast_to(jax.random.normal(KEY, (100, 1, SIZE)), (100, 6, SIZE))
    assert float(ebm.within_share(layout)) == pytest.approx(0, abs=1e-6)
    assert float(ebm.within_share(jax.random.normal(KEY, (100, 6, SIZE)))) == pytest.approx(5 / 6, abs=0.02)


def test_errors_are_told_in_those_of_standing_still():
    before, came = jax.random.normal(KEY, (2, 50, SIZE))
    assert float(ebm.relative_error(before, came, before)) == pytest.approx(1)
    assert float(ebm.relative_error(came, came, before)) == 0


def test_a_model_that_does_not_listen_is_not_sensitive():
    x = spread(8)
    assert float(ebm.action_sensitivity(x, x)) == 0
    assert float(ebm.action_sensitivity(x, x[::-1])) > 1


def test_a_probe_finds_what_is_there_and_only_that():
    x = jax.random.normal(KEY, (SAMPLE, 2))
    known = jnp.stack([x[:, 0] * 2 + 1, jnp.sin(x[:, 0] + x[:, 1]), jax.random.normal(jax.random.key(9), (SAMPLE,))], axis=-1)
    found = ebm.probe(x, known, key=KEY)
    assert found[0] > 0.999
    assert found[1] > 0.98
    assert -0.5 < found[2] < 0.05
    np.testing.assert_allclose(ebm.probe(x, known[:, :2] + 300.0, key=KEY), found[:2], atol=1e-3)


def test_rank_correlation_is_blind_to_scale():
    x = jax.random.normal(KEY, (200,))
    np.testing.assert_allclose([ebm.rank_correlation(x, jnp.exp(x)), ebm.rank_correlation(x, -(x**3))], [1, -1], rtol=1e-5)


def test_ranks_are_shared_by_equals():
    x, steps = jnp.arange(200.0), jnp.floor(jnp.arange(200) / 50)
    assert float(ebm.rank_correlation(jnp.zeros(200), x)) == 0
    np.testing.assert_allclose([ebm.rank_correlation(steps, steps), ebm.rank_correlation(steps, -steps)], [1, -1], rtol=1e-5)
