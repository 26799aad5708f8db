import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import counted

import ebm

ENERGIES = jnp.array([3.0, -1.0, 10.0, 4.0, 4.0])
RISKS = [ebm.Mean(), ebm.WorstCase(), ebm.BestCase(), ebm.CVaR(), ebm.CVaR(0.5), ebm.CVaR(1.0), ebm.Entropic(), ebm.Entropic(50.0)]
CAUTIOUS = [risk for risk in RISKS if not isinstance(risk, ebm.BestCase)]


@pytest.mark.parametrize("risk", RISKS)
def test_risk_is_between_the_best_and_the_worst(risk):
    assert ENERGIES.min() - 1e-5 <= risk(ENERGIES) <= ENERGIES.max() + 1e-5


@pytest.mark.parametrize("risk", CAUTIOUS)
def test_caution_is_no_better_than_the_mean(risk):
    assert risk(ENERGIES) >= ENERGIES.mean() - 1e-5


@pytest.mark.parametrize("risk", RISKS)
def test_a_constant_moves_the_risk_by_itself_and_order_is_nothing(risk):
    assert jnp.allclose(risk(ENERGIES + 5.0), risk(ENERGIES) + 5.0, atol=1e-4)
    assert jnp.allclose(risk(ENERGIES[::-1]), risk(ENERGIES), atol=1e-5)
    assert jnp.allclose(risk(jnp.full(4, 2.5)), 2.5)
    assert jnp.allclose(risk(jnp.array([7.0])), 7.0)


@pytest.mark.parametrize("risk", RISKS)
def test_lower_energies_are_no_riskier(risk):
    for i in range(5):
        assert risk(ENERGIES.at[i].add(-2.0)) <= risk(ENERGIES) + 1e-5


@pytest.mark.parametrize("risk", RISKS)
def test_slopes_are_weights_that_sum_to_one(risk):
    slopes = jax.grad(risk)(ENERGIES)
    assert jnp.allclose(slopes.sum(), 1.0, atol=1e-5)
    assert (slopes >= 0).all()


@pytest.mark.parametrize("risk", CAUTIOUS)
@pytest.mark.parametrize("energies", [[1.0, jnp.inf, 2.0], [jnp.inf], [jnp.inf, jnp.inf], [jnp.inf, 1e30, -1e30]])
def test_one_broken_world_is_an_infinite_risk(risk, energies):
    assert risk(jnp.array(energies)) == jnp.inf


@pytest.mark.parametrize("risk", RISKS)
def test_risks_have_one_type_compiled_or_not(risk):
    compiled = jax.jit(risk.__class__.__call__)(risk, ENERGIES)
    assert compiled.dtype == risk(ENERGIES).dtype == jnp.float32
    assert not compiled.weak_type
    assert jnp.allclose(compiled, risk(ENERGIES))
    batch = jnp.stack([ENERGIES, -ENERGIES])
    assert jnp.allclose(jax.vmap(risk)(batch), jnp.stack([risk(row) for row in batch]), atol=1e-5)


@pytest.mark.parametrize("alpha", np.linspace(0.05, 1.0, 20))
def test_cvar_is_the_mean_of_the_worst_fraction(alpha):
    energies = jax.random.normal(jax.random.key(1), (40,))
    count = round(alpha * 40)
    assert jnp.allclose(ebm.CVaR(alpha)(energies), jnp.sort(energies)[-count:].mean(), atol=1e-5)


def test_cvar_runs_from_the_worst_case_to_the_mean():
    assert ebm.CVaR(1e-6)(ENERGIES) == ebm.WorstCase()(ENERGIES)
    assert jnp.allclose(ebm.CVaR(1.0)(ENERGIES), ebm.Mean()(ENERGIES))
    values = jnp.stack([ebm.CVaR(alpha)(ENERGIES) for alpha in np.linspace(0.01, 1.0, 50)])
    assert (jnp.diff(values) <= 1e-5).all()


def test_entropic_runs_from_the_worst_case_to_the_mean():
    assert jnp.allclose(ebm.Entropic(1e-4)(ENERGIES), 10.0, atol=1e-3)
    assert jnp.allclose(ebm.Entropic(1e6)(ENERGIES), ENERGIES.mean(), rtol=1e-4)
    assert jnp.allclose(jax.grad(ebm.Entropic(1e6))(ENERGIES), 0.2, rtol=1e-3)
    values = jnp.stack([ebm.Entropic(temperature)(ENERGIES) for temperature in np.geomspace(1e-3, 1e5, 40)])
    assert (jnp.diff(values) <= 1e-4).all()


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e3])
def test_entropic_does_not_overflow(temperature):
    energies = 1e6 * ENERGIES
    assert jnp.isfinite(ebm.Entropic(temperature)(energies))
    assert jnp.isfinite(jax.grad(ebm.Entropic(temperature))(energies)).all()


def test_entropic_is_its_formula():
    energies = np.asarray(ENERGIES, np.float64)
    for temperature in (0.5, 1.0, 7.0):
        expected = temperature * np.log(np.mean(np.exp(energies / temperature)))
        assert jnp.allclose(ebm.Entropic(temperature)(ENERGIES), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: ebm.CVaR(0.0), lambda: ebm.CVaR(1.1), lambda: ebm.CVaR(jnp.nan), lambda: ebm.Entropic(0.0)])
def test_parameters_outside_their_range_are_refused(make):
    with pytest.raises(ValueError, match=r"\(0, 1\]|positive"):
        make()


def test_parameters_do_not_retrace():
    evaluate, traces = counted(lambda risk, energies: risk(energies))
    for alpha in (0.3, 1, np.float64(0.5)):
        evaluate(ebm.CVaR(alpha), ENERGIES)
    assert len(traces) == 1
    assert jnp.isfinite(jax.grad(lambda temperature: ebm.Entropic(temperature)(ENERGIES))(2.0))
