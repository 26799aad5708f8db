import jax
import jax.numpy as jnp
import pytest

import ebm


def test_tolerance_is_one_inside_and_falls_outside():
    x = jnp.linspace(-2.0, 3.0, 101)
    soft = ebm.tolerance(x, 0.0, 1.0, margin=0.5, value_at_margin=0.2)
    inside = (x >= 0) & (x <= 1)
    assert (soft[inside] == 1).all()
    assert ((soft > 0) & (soft <= 1)).all()
    assert (jnp.diff(soft[x >= 1]) <= 0).all()
    assert jnp.allclose(ebm.tolerance(jnp.array([-0.5, 1.5]), 0.0, 1.0, margin=0.5, value_at_margin=0.2), 0.2)
    assert jnp.isfinite(jax.vmap(jax.grad(lambda v: ebm.tolerance(v, 0.0, 1.0)))(x)).all()


def test_tolerance_without_a_margin_is_an_indicator():
    assert (ebm.tolerance(jnp.array([-0.01, 0.0, 0.01]), margin=0.0) == jnp.array([0.0, 1.0, 0.0])).all()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_tolerance_needs_a_value_between_zero_and_one(value):
    with pytest.raises(ValueError, match="`value_at_margin`"):
        ebm.tolerance(jnp.zeros(1), value_at_margin=value)
