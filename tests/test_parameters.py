"""Factors on physics parameters change what their name says, and nothing else."""

import copy

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import ARM, KEEPS, PUSH, begin, build, drive

import envs

apply = envs._parameters.apply


def scaled(xml, name, factor):
    before = mujoco.MjModel.from_xml_string(xml)
    after = copy.copy(before)
    envs._parameters.check(after, (name,))
    apply(after, (name,), np.array([factor]))
    return before, after


@pytest.mark.parametrize(
    ("name", "field", "rows"),
    [
        ("mass", "body_mass", slice(None)),
        ("mass:box", "body_mass", [1]),
        ("mass:box", "body_inertia", [1]),
        ("friction", "geom_friction", slice(None)),
        ("friction:floor", "geom_friction", [0]),
        ("gain:fx", "actuator_gainprm", [0]),
        ("damping", "dof_damping", slice(None)),
        ("damping:py", "dof_damping", [7]),
    ],
)
def test_a_name_scales_its_rows_and_no_others(name, field, rows):
    before, after = scaled(PUSH, name, 1.7)
    expected = getattr(before, field).copy()
    expected[rows] *= 1.7
    np.testing.assert_allclose(getattr(after, field), expected)


def test_what_follows_from_a_mass_follows():
    before, after = scaled(PUSH, "mass:box", 2.0)
    assert after.body_subtreemass[0] == pytest.approx(before.body_subtreemass[0] + before.body("box").mass[0])
    np.testing.assert_allclose(after.dof_M0[:6], 2 * before.dof_M0[:6])


def test_a_factor_of_one_is_the_model_itself():
    plain, named = build(PUSH), build(PUSH, parameters={"mass": 1.0, "friction:floor": 1.0})
    state, actions = begin(plain), drive(plain, 10)
    np.testing.assert_array_equal(plain.rollout(state, actions).physics, named.rollout(state, actions).physics)


def test_a_servo_keeps_its_target_when_its_gain_grows():
    servo = ARM.replace('<motor name="shoulder" joint="shoulder"', '<position name="shoulder" kp="30" kv="3" joint="shoulder"')
    soft, stiff = (build(servo, 5, parameters={"gain:shoulder": factor}) for factor in (1.0, 4.0))
    hold = np.tile(np.float32([0.5, 0.0]), (60, 1))
    ends = [float(model.rollout(model.state(), hold).read("joint:shoulder")[-1, 0]) for model in (soft, stiff)]
    assert abs(ends[1] - 0.5) < abs(ends[0] - 0.5)


def test_a_muscle_grows_stronger_by_its_gain_and_not_by_what_it_carries():
    before, after = scaled(KEEPS, "gain:muscle", 2.0)
    data = mujoco.MjData(before)
    data.act[0] = data.ctrl[0] = 0.7
    forces = []
    for model in (before, after, scaled(KEEPS, "mass", 3.0)[1]):
        mujoco.mj_forward(model, data)
        forces.append(data.actuator_force[0])
    assert forces[1] == pytest.approx(2 * forces[0])
    assert forces[2] == pytest.approx(forces[0])


def test_frictions_of_explicit_pairs_go_along():
    xml = PUSH.replace("<actuator>", '<contact><pair geom1="box" geom2="floor" friction="0.5 0.5 0.01 0.001 0.001"/></contact><actuator>')
    before, after = scaled(xml, "friction:box", 0.5)
    np.testing.assert_allclose(after.pair_friction, 0.5 * before.pair_friction)
    np.testing.assert_array_equal(scaled(xml, "friction:pusher", 0.5)[1].pair_friction, before.pair_friction)


def test_a_slippery_floor_is_felt():
    model = build(PUSH, 4, parameters={"friction": 1.0})
    push = jnp.tile(jnp.asarray([12.0, 0.0]), (20, 1))
    reached = [model.with_parameters({"friction": f}).rollout(model.state(), push).read("joint:box")[-1, 0] for f in (0.2, 1.0, 2.0)]
    assert reached[0] > reached[1] > reached[2] - 1e-4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weight", r"Unknown physics parameter 'weight'.*mass, friction, gain, damping"),
        ("mass:boxx", r"'mass:boxx'.*did you mean 'box'.*pusher"),
        ("gain:zzz", r"'gain:zzz' names nothing in this model.*fx, fy"),
    ],
)
def test_unknown_names_list_what_there_is(name, message):
    with pytest.raises(ValueError, match=message):
        build(PUSH, parameters={name: 1.0})
