"""States know what is where in them, and how to move."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import FREE, KEEPS, PUSH, SCENES, begin, build, drive

import envs

physics = envs._physics


@pytest.mark.parametrize("scene", SCENES)
def test_names_read_what_mujoco_calls_by_them(scene):
    model = build(SCENES[scene])
    data = mujoco.MjData(model.mj_model)
    data.ctrl[:] = drive(model, 1)[0]
    for _ in range(3):
        mujoco.mj_step(model.mj_model, data)
    mujoco.mj_forward(model.mj_model, data)
    state = model.state(data)
    for name, span in model.engine.layout.spans.items():
        kind, element = name.removeprefix("velocity:").split(":")
        owner = {"joint": data.joint, "sensor": data.sensor, "mocap": data.body}[kind](element)
        if kind == "mocap":
            expected = data.mocap_pos[model.mj_model.body(element).mocapid[0]]
        elif kind == "sensor":
            expected = owner.data
        else:
            expected = owner.qvel if name.startswith("velocity:") else owner.qpos
        np.testing.assert_allclose(state.read(name), expected, rtol=1e-6, atol=1e-7)
        assert state.read(name).shape == (span.stop - span.start,)


def test_parts_have_names_over_any_leading_axes():
    model = build(KEEPS)
    states = model.rollout(begin(model), drive(model, 4))
    assert states.qpos.shape == (5, model.mj_model.nq)
    assert states.qvel.shape == (5, model.mj_model.nv)
    assert states.act.shape == (5, model.mj_model.na)
    assert states.time.shape == (5,)
    assert states.read("joint:held").shape == (5, 7)


def test_layouts_of_one_model_are_equal():
    a, b = build(PUSH).engine.layout, build(PUSH).engine.layout
    assert a is not b
    assert a == b
    assert hash(a) == hash(b)
    assert a != build(FREE).engine.layout


def test_a_difference_undoes_a_move_also_for_large_turns():
    layout = build(FREE).engine.layout
    state = jax.tree.map(jnp.asarray, begin(build(FREE)))
    for scale in (1e-8, 1e-4, 1e-2, 1.0, 2.5):
        direction = np.random.default_rng(3).normal(size=layout.tangent)
        tangent = jnp.float32(scale * direction / np.linalg.norm(direction))
        moved = envs.PhysicsState(physics.move_physics(layout, state.physics, tangent), state.inputs, state.sensors, layout)
        back = physics.difference(layout, state, moved)
        kept = layout.tangent - layout.late_sensors.size
        np.testing.assert_allclose(back[:kept], tangent[:kept], atol=3e-6 * max(1.0, scale))


def test_the_lift_is_the_derivative_of_the_move_and_has_orthogonal_columns():
    layout = build(FREE).engine.layout
    start = jnp.asarray(begin(build(FREE)).physics)
    lift = physics.lift_physics(layout, start)
    for i in (1, 4, 7, 12):
        by = 1e-2 * jnp.eye(layout.tangent)[i]
        slope = (physics.move_physics(layout, start, by) - physics.move_physics(layout, start, -by)) / 2e-2
        np.testing.assert_allclose(lift[:, i], slope, atol=2e-4)
    product = np.asarray(lift.T @ lift)
    np.testing.assert_allclose(product, np.diag(np.diag(product)), atol=1e-6)


def test_derivatives_of_a_difference_are_finite_where_nothing_differs():
    layout = build(FREE).engine.layout
    state = jax.tree.map(jnp.asarray, begin(build(FREE)))
    still = jnp.zeros(layout.tangent)
    for mode in (jax.jacfwd, jax.jacrev):
        by_state = jax.jit(mode(lambda other: physics.difference(layout, state, other)))(state).physics
        by_tangent = jax.jit(mode(lambda tangent: physics.move_physics(layout, state.physics, tangent)))(still)
        assert bool(jnp.isfinite(by_state).all())
        assert bool(jnp.isfinite(by_tangent).all())
