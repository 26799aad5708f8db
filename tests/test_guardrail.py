import jax
import jax.numpy as jnp
import pytest
from worlds import Named, counted

import ebm

NOTHING = jnp.zeros(2)
TIME = jnp.float32(0.0)
STATE = Named(site__tip=[0.1, 0.2, 0.6], body__cup=[0.1, 0.2, 0.5], joint__slider=[0.4])


def at(guardrail, state=STATE):
    return guardrail.stage(state, NOTHING, NOTHING, TIME)


RAILS = [
    (ebm.KeepBelow("site:tip", 0.5, axis="z"), 0.1),
    (ebm.KeepBelow("site:tip", 0.7, axis="z"), -0.1),
    (ebm.KeepBelow("site:tip", [0.0, 0.5, 0.7]), 0.1),
    (ebm.KeepBelow("site:tip", 1.0), -0.4),
    (ebm.KeepAbove("site:tip", 0.5, axis="z"), -0.1),
    (ebm.KeepAbove("site:tip", [0.2, 0.0, 0.0]), 0.1),
    (ebm.KeepInside("joint:slider", -0.9, 0.9), -0.5),
    (ebm.KeepInside("joint:slider", -0.9, 0.3), 0.1),
    (ebm.KeepInside("joint:slider", 0.6, 0.9), 0.2),
    (ebm.KeepApart("site:tip", "body:cup", 0.3), 0.2),
    (ebm.KeepApart("site:tip", "body:cup", 0.05), -0.05),
    (ebm.KeepApart("site:tip", [0.1, 0.2, 0.2], 0.5), 0.1),
    (ebm.KeepApart("site:tip", lambda state: state.read("body:cup"), 0.3), 0.2),
]


@pytest.mark.parametrize(("guardrail", "violation"), RAILS)
def test_a_violation_is_the_distance_past_the_limit_in_its_own_unit(guardrail, violation):
    assert jnp.allclose(at(guardrail), violation, atol=1e-6)


@pytest.mark.parametrize(("guardrail", "violation"), RAILS)
def test_violations_have_finite_gradients_that_point_out(guardrail, violation):
    slopes = jax.grad(lambda state: at(guardrail, state))(STATE)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(slopes))
    back = jax.tree.map(lambda leaf, rate: leaf - 0.01 * rate, STATE, slopes)
    assert at(guardrail, back) < violation


def test_points_that_coincide_are_a_violation_with_a_finite_gradient():
    guardrail = ebm.KeepApart("site:tip", [0.1, 0.2, 0.6], 0.3)
    assert at(guardrail) == jnp.float32(0.3)
    assert jnp.isfinite(jax.grad(lambda state: at(guardrail, state))(STATE).values["site:tip"]).all()


def test_on_the_limit_is_safe():
    assert at(ebm.KeepBelow("joint:slider", 0.4)) <= 0
    assert at(ebm.KeepAbove("joint:slider", 0.4)) <= 0
    assert at(ebm.KeepInside("joint:slider", 0.4, 0.4)) <= 0


def test_the_scale_does_not_change_what_is_violated():
    assert at(ebm.KeepBelow("joint:slider", 0.3, scale=0.01)) == at(ebm.KeepBelow("joint:slider", 0.3))
    with pytest.raises(ValueError, match="must be positive"):
        ebm.KeepBelow("joint:slider", 0.3, scale=0.0)


@pytest.mark.parametrize(
    "guardrail",
    [
        ebm.KeepBelow("site:tip", [0.0, 1.0]),
        ebm.KeepInside("site:tip", 0.0, [1.0, 2.0]),
        ebm.KeepApart("site:tip", [0.0, 0.0], 0.1),
        ebm.KeepApart("site:tip", 0.0, 0.1),
        ebm.KeepApart("site:tip", "joint:slider", 0.1),
        ebm.KeepBelow("joint:slider", 1.0, axis="z"),
    ],
)
def test_a_limit_of_the_wrong_size_is_refused(guardrail):
    with pytest.raises(ValueError, match=r"site:tip|joint:slider"):
        at(guardrail)


def test_names_tell_guardrails_apart():
    rails = [
        ebm.KeepBelow("site:tip", 1.0),
        ebm.KeepAbove("site:tip", 0.0),
        ebm.KeepInside("site:tip", 0.0, 1.0),
        ebm.KeepBelow("site:tip", 1.0, axis="z"),
        ebm.KeepBelow("site:tip", 1.0, axis="x"),
        ebm.KeepApart("site:tip", "body:cup", 0.1),
        ebm.KeepApart("site:tip", "body:arm", 0.1),
        ebm.KeepApart("site:tip", [0.0, 0.0, 0.0], 0.1),
        ebm.KeepBelow("site:tip", 2.0, name="ceiling"),
    ]
    assert len({rail.name for rail in rails}) == len(rails)
    assert rails[-1].name == "ceiling"


def test_limits_are_leaves_and_changing_them_does_not_retrace():
    violation, traces = counted(at)
    for limit, scale in ((0.5, 1.0), (1, 2), (jnp.asarray(0.25), jnp.float32(1.0))):
        assert jnp.allclose(violation(ebm.KeepBelow("joint:slider", limit, scale=scale)), 0.4 - limit)
    assert len(traces) == 1
    assert jax.grad(lambda limit: at(ebm.KeepBelow("joint:slider", limit)))(0.3) == -1


def test_guardrails_tell_what_they_read():
    assert ebm.readings([guardrail for guardrail, _ in RAILS]) == ("body:cup", "joint:slider", "site:tip")


def test_tightened_keeps_something_to_spare():
    guardrail = ebm.KeepApart("site:tip", [0.1, 0.2, 0.6], 0.3, scale=0.5, name="apart")
    tightened = ebm.Tightened(guardrail, 0.01)
    assert float(at(tightened)) == pytest.approx(float(at(guardrail)) + 0.01)
    assert (tightened.name, float(tightened.scale)) == ("apart", 0.5)
    assert at(ebm.Tightened(tightened, 0.01)) > at(tightened)
    with pytest.raises(TypeError, match="guardrail"):
        ebm.Tightened(0.3, 0.01)
