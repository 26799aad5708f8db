"""A state of the C engine comes from a live simulation or by hand, and goes back without loss."""

import mujoco
import numpy as np
import pytest
from scenes import ARM, PUSH, SCENES, build, drive


@pytest.mark.parametrize("scene", SCENES)
def test_a_live_simulation_goes_in_and_out_without_loss(scene):
    model = build(SCENES[scene])
    mj = model.mj_model
    data = mujoco.MjData(mj)
    rng = np.random.default_rng(0)
    for _ in range(7):
        data.ctrl[:] = drive(model, 1)[0]
        data.xfrc_applied[:] = 0.01 * rng.normal(size=data.xfrc_applied.shape)
        mujoco.mj_step(mj, data)
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    size = mujoco.mj_stateSize(mj, kind)
    before, after = np.zeros(size), np.zeros(size)
    mujoco.mj_getState(mj, data, before, kind)
    measured = data.sensordata.copy()
    state = model.state(data)
    untouched = np.zeros(size)
    mujoco.mj_getState(mj, data, untouched, kind)
    np.testing.assert_array_equal(untouched, before)
    np.testing.assert_array_equal(data.sensordata, measured)
    other = mujoco.MjData(mj)
    model.write(state, other)
    mujoco.mj_getState(mj, other, after, kind)
    np.testing.assert_array_equal(after, before)
    assert state.physics.dtype == np.float64
    for _ in range(5):
        mujoco.mj_step(mj, data)
        mujoco.mj_step(mj, other)
    np.testing.assert_array_equal(data.qpos, other.qpos)


def test_a_state_by_hand_has_the_sensors_that_follow_from_it():
    model = build(ARM)
    data = mujoco.MjData(model.mj_model)
    data.qpos[:], data.ctrl[:] = [0.2, -0.4], [1.0, 0.5]
    mujoco.mj_forward(model.mj_model, data)
    state = model.state(qpos=[0.2, -0.4], ctrl=[1.0, 0.5])
    np.testing.assert_allclose(state.sensors, data.sensordata, rtol=1e-12)
    np.testing.assert_allclose(model.example_state().sensors, model.state().sensors, rtol=1e-6)
    np.testing.assert_allclose(
        model.state().read("sensor:acceleration"), model.engine.sense(model.state().physics, model.state().inputs)[6:9]
    )
    on_top = model.state(data, qvel=[0.5, 0.0])
    np.testing.assert_array_equal(on_top.qpos, [0.2, -0.4])
    np.testing.assert_array_equal(on_top.qvel, [0.5, 0.0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"position": [0.0]}, "'position'.*qpos"),
        ({"qpos": [0.0]}, "`qpos` must have 2 entries"),
        ({"time": [0.0, 1.0]}, "`time` must have 1"),
    ],
)
def test_a_state_by_hand_is_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        build(ARM).state(**fields)


def test_data_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"data.*nq = 9.*2.*same model"):
        build(ARM).state(mujoco.MjData(build(PUSH).mj_model))
