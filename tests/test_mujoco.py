"""The C engine as a world model agrees with MuJoCo's own loop, and says so when it cannot."""

import copy

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import ARM, FREE, KEEPS, PENDULUM, PUSH, SCENES, batched, begin, build, drive, plain, relative

import ebm
import envs

ROUNDING = 3e-7  # float32, some operations long
SLIDER = """
<mujoco>
  <worldbody><body name="cart"><joint name="slider" type="slide" axis="1 0 0" damping="1"/><geom size="0.1" mass="1"/></body></worldbody>
  <actuator><motor joint="slider" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
MOTOR = '<motor name="motor" joint="hinge" ctrlrange="-2 2"/>'


@pytest.mark.parametrize("skip", [1, 5])
@pytest.mark.parametrize("scene", SCENES)
def test_states_and_sensors_agree_with_a_plain_loop(scene, skip):
    model = build(SCENES[scene], skip)
    state, actions = begin(model), drive(model, 20)
    states = eqx.filter_jit(model.rollout)(state, actions)
    physics, sensors = plain(model, state, actions)
    assert relative(states.physics, physics) < ROUNDING
    assert relative(states.sensors, sensors) < ROUNDING
    np.testing.assert_allclose(states.physics, physics, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scene", SCENES)
def test_the_first_state_is_the_argument(scene):
    model = build(SCENES[scene])
    state = begin(model)
    states = eqx.filter_jit(model.rollout)(state, drive(model, 3))
    for leaf, argument in zip(jax.tree.leaves(states), jax.tree.leaves(state), strict=True):
        assert leaf.shape[0] == 4
        np.testing.assert_array_equal(leaf[0], argument)


@pytest.mark.parametrize("scene", SCENES)
def test_sensors_describe_their_own_state(scene):
    model = build(SCENES[scene], 3)
    state, actions = begin(model), drive(model, 8)
    states = eqx.filter_jit(model.rollout)(state, actions)
    late = model.engine.layout.late_sensors
    for t in range(1, 9):
        one = jax.tree.map(lambda leaf, t=t: np.asarray(leaf[t], float), states)
        sensed = model.engine.sense(one.physics, one.inputs)
        early = np.setdiff1d(np.arange(sensed.size), late)
        np.testing.assert_allclose(one.sensors[early], sensed[early], rtol=1e-5, atol=1e-5)


def test_late_sensors_of_a_live_simulation_are_those_it_measured():
    model = build(ARM)
    data = mujoco.MjData(model.mj_model)
    data.ctrl[:] = 2.0, -1.0
    mujoco.mj_step(model.mj_model, data)
    measured = data.sensor("acceleration").data.copy()
    data.ctrl[:] = 0.0
    state = model.state(data)
    np.testing.assert_array_equal(state.read("sensor:acceleration"), np.float32(measured))
    # position sensors of `data` are one step behind its state; those of `state` are not
    fresh = copy.copy(data)
    mujoco.mj_forward(model.mj_model, fresh)
    np.testing.assert_array_equal(state.read("sensor:tip"), np.float32(fresh.sensor("tip").data))


@pytest.mark.parametrize("scene", ["arm", "free", "keeps"])
def test_rollout_equals_scanned_step(scene):
    model = build(SCENES[scene], 2)
    state, actions = jax.tree.map(jnp.asarray, begin(model)), drive(model, 12)

    @eqx.filter_jit
    def scanned(state, actions):
        return jax.lax.scan(lambda state, action: (model.step(state, action),) * 2, state, actions)[1]

    states, steps = eqx.filter_jit(model.rollout)(state, actions), scanned(state, actions)
    assert relative(steps.physics, states.physics[1:]) < 1e-5
    for i in range(states.sensors.shape[1]):
        assert relative(steps.sensors[:, i], states.sensors[1:, i]) < 1e-4


def test_accelerometers_of_rollout_and_scanned_step_agree_in_contact():
    model = build(PUSH)
    state, actions = jax.tree.map(jnp.asarray, begin(model)), drive(model, 12)
    states = eqx.filter_jit(model.rollout)(state, actions)
    after, _ = jax.lax.scan(lambda state, action: (model.step(state, action),) * 2, state, actions)
    assert relative(after.physics, states.physics[-1]) < 1e-5
    assert relative(after.read("sensor:acceleration"), states.read("sensor:acceleration")[-1]) < 1e-2


@pytest.mark.parametrize("scene", ["arm", "push", "keeps"])
def test_vmap_equals_a_loop_over_actions_and_states(scene):
    model = build(SCENES[scene])
    states = [begin(model, seed) for seed in range(3)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    actions = jnp.stack([drive(model, 6, seed) for seed in range(4)])
    nested = jax.jit(jax.vmap(jax.vmap(lambda *args: model.rollout(*args), (None, 0)), (0, None)))(batch, actions)
    paired = batched(model, 0, 0)(batch, actions[:3])
    for i, state in enumerate(states):
        for j in range(4):
            one = model.rollout(state, actions[j])
            for whole, single in zip(jax.tree.leaves(nested), jax.tree.leaves(one), strict=True):
                np.testing.assert_array_equal(whole[i, j], single)
        np.testing.assert_array_equal(paired.physics[i], model.rollout(state, actions[i]).physics)


def test_jit_equals_no_jit_in_contact():
    model = build(PUSH)
    state, actions = begin(model), drive(model, 10)
    compiled, plainly = eqx.filter_jit(model.rollout)(state, actions), model.rollout(state, actions)
    for a, b in zip(jax.tree.leaves(compiled), jax.tree.leaves(plainly), strict=True):
        np.testing.assert_array_equal(a, b)


def test_big_batches_run_in_pieces_and_agree_with_one_by_one():
    model = build(KEEPS)
    state = begin(model)
    actions = jnp.stack([drive(model, 100, seed) for seed in range(700)])
    assert len(model.engine.chunks(700, 101)) > 1
    states = batched(model)(state, actions)
    for i in (0, 349, 350, 699):
        np.testing.assert_array_equal(states.physics[i], model.rollout(state, actions[i]).physics)


def test_nothing_retraces_for_new_numbers_and_models_of_one_file_share_code():
    traces = []

    @eqx.filter_jit
    def plan(model, state, actions):
        traces.append(None)
        return model.rollout(state, actions).physics

    model = build(ARM, parameters={"mass": 1.0})
    results = [plan(model, begin(model, 1), drive(model, 4)), plan(model, begin(model, 2), drive(model, 4, 1))]
    results.append(plan(model.with_parameters({"mass": 1.5}), begin(model, 2), drive(model, 4, 1)))
    twin = build(ARM, parameters={"mass": 1.0})
    assert twin.engine is not model.engine
    assert twin.engine == model.engine
    results.append(plan(twin, begin(twin, 2), drive(twin, 4, 1)))
    assert len(traces) == 1
    assert not np.allclose(results[1], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    plan(build(ARM, 2, parameters={"mass": 1.0}), begin(model, 1), drive(model, 4))
    assert len(traces) == 2


def test_held_inputs_act_during_the_whole_rollout_and_not_on_the_next_one():
    model = build(FREE)
    state, actions = model.state(), np.zeros((5, 2), np.float32)
    before = model.rollout(state, actions)
    force = np.zeros((model.mj_model.nbody, 6))
    force[1] = 0.3, -0.2, 2.0, 0.0, 0.1, 0.0
    pushed = model.state(xfrc_applied=force, qfrc_applied=0.1 * np.ones(model.mj_model.nv))
    states = model.rollout(pushed, actions)
    physics, _ = plain(model, jax.tree.map(np.float32, pushed), actions)
    assert relative(states.physics, physics) < ROUNDING
    np.testing.assert_array_equal(model.rollout(state, actions).physics, before.physics)
    assert relative(before.physics, states.physics) > 1e-3


def test_mocap_poses_and_equality_switches_are_inputs():
    model = build(KEEPS)
    actions = np.tile(np.float32([0.0, 0.0]), (40, 1))
    moved = model.state(mocap_pos=[0.55, 0.05, 0.6], mocap_quat=[0.995, 0.0998, 0.0, 0.0])
    states = model.rollout(moved, actions)
    physics, _ = plain(model, jax.tree.map(np.float32, moved), actions)
    assert relative(states.physics, physics) < ROUNDING
    loose = model.rollout(model.state(eq_active=[0]), actions)
    assert loose.read("joint:held")[-1, 2] < 0.4  # it falls
    assert states.read("joint:held")[-1, 2] > 0.45
    np.testing.assert_allclose(moved.read("mocap:hand"), [0.55, 0.05, 0.6], rtol=1e-6)


def test_a_keyframe_is_a_state_to_start_from():
    model = build(ARM)
    data = mujoco.MjData(model.mj_model)
    mujoco.mj_resetDataKeyframe(model.mj_model, data, 0)
    mujoco.mj_forward(model.mj_model, data)
    state = model.state(data)
    np.testing.assert_array_equal(state.qpos, [0.3, 0.8])
    np.testing.assert_array_equal(state.act, [0.2])
    by_hand = model.state(qpos=[0.3, 0.8], qvel=[0.1, 0.0], act=[0.2], ctrl=[0.5, 0.1])
    np.testing.assert_allclose(by_hand.sensors, state.sensors, rtol=1e-12)


def test_quaternions_stay_unit_and_turn_as_mujoco_turns_them():
    model = build(FREE)
    states = model.rollout(begin(model), drive(model, 30))
    for name in ("joint:hull", "joint:hook"):
        np.testing.assert_allclose(jnp.linalg.norm(states.read(name)[..., -4:], axis=-1), 1.0, atol=1e-6)


def test_difference_and_move_agree_with_mujoco():
    model = build(FREE)
    mj, layout = model.mj_model, model.engine.layout
    a, b = begin(model, 1), begin(model, 2)
    tangent, step = np.zeros(mj.nv), jnp.float32(np.random.default_rng(0).normal(size=layout.tangent))
    mujoco.mj_differentiatePos(mj, tangent, 1.0, np.float64(a.qpos), np.float64(b.qpos))
    difference = eqx.filter_jit(model.difference)(a, b)
    np.testing.assert_allclose(difference[: mj.nv], tangent, atol=1e-6)
    np.testing.assert_allclose(difference[mj.nv : 2 * mj.nv], b.qvel - a.qvel, atol=1e-6)
    actions = jnp.asarray(drive(model, 2))
    trajectory = ebm.Trajectory(model.rollout(a, actions), actions, ebm.Now(0, np.zeros(2)), model.dt)
    lift = jax.tree.map(lambda leaf: leaf[0], model.linearize(trajectory).lift)
    moved = model.move(a, lift, step)
    qpos = np.float64(a.qpos)
    mujoco.mj_integratePos(mj, qpos, np.float64(step[: mj.nv]), 1.0)
    np.testing.assert_allclose(moved.qpos, qpos, atol=1e-6)
    small = 1e-2 * step
    np.testing.assert_allclose(model.difference(a, model.move(a, lift, small)), small, atol=2e-6)
    np.testing.assert_allclose(model.difference(a, a), 0.0, atol=1e-6)
    assert bool(
        jnp.isfinite(jax.jacfwd(lambda x: model.difference(a, eqx.tree_at(lambda s: s.physics, a, x)))(jnp.asarray(a.physics))).all()
    )


def test_time_is_right_late_in_an_episode():
    model = build(KEEPS)
    actions = drive(model, 20)
    early, late = model.state(), model.state(time=1e5)
    a, b = model.rollout(early, actions), model.rollout(late, actions)
    np.testing.assert_array_equal(a.qpos, b.qpos)
    np.testing.assert_array_equal(a.sensors[:, : model.engine.layout.clocks[0]], b.sensors[:, : model.engine.layout.clocks[0]])
    np.testing.assert_array_equal(b.time, np.float32(1e5 + model.dt * np.arange(21)))
    np.testing.assert_allclose(a.time, model.dt * np.arange(21), rtol=1e-6)
    np.testing.assert_allclose(a.read("sensor:clock")[:, 0], a.time, rtol=1e-6)
    np.testing.assert_array_equal(b.read("sensor:clock")[1:, 0], b.time[1:])


def test_energies_read_by_name_and_errors_list_the_names():
    model = build(PUSH)
    state = model.rollout(model.state(), drive(model, 2))
    assert state.read("joint:box").shape == (3, 7)
    assert state.read("velocity:joint:box").shape == (3, 6)
    assert state.read("sensor:touch").shape == (3, 1)
    with pytest.raises(KeyError, match=r"'sensor:touhc'.*Did you mean 'sensor:touch'.*envs.load"):
        state.read("sensor:touhc")


def test_delays_are_refused_by_name():
    xml = PENDULUM.format(MOTOR.replace("/>", ' delay="0.04" nsample="3"/>'))
    with pytest.raises(NotImplementedError, match=r"motor.*history"):
        envs.MujocoModel(mujoco.MjModel.from_xml_string(xml))


@pytest.mark.parametrize("count", [1, 2])
def test_an_actuator_without_limits_needs_an_action_space(count):
    xml = PENDULUM.format(MOTOR * (count - 1) + '<motor name="free_motor" joint="hinge"/>')
    compiled = mujoco.MjModel.from_xml_string(xml.replace('name="motor"', 'name="limited"'))
    with pytest.raises(ValueError, match=r"free_motor has no `ctrlrange`.*action_space"):
        envs.MujocoModel(compiled)
    assert envs.MujocoModel(compiled, action_space=ebm.Box([-1.0] * count, [1.0] * count)).action_space.size == count
    with pytest.raises(ValueError, match="one entry for each of"):
        envs.MujocoModel(compiled, action_space=ebm.Box([-1.0] * 3, [1.0] * 3))


@pytest.mark.parametrize("period", [0.03, 0.0, -0.02, 0.005])
def test_the_period_is_a_multiple_of_the_timestep(period):
    compiled = mujoco.MjModel.from_xml_string(PENDULUM.format(MOTOR))
    with pytest.raises(ValueError, match=r"`period` must be a positive multiple of the timestep 0.02"):
        envs.MujocoModel(compiled, period=period)


def test_the_default_period_is_about_a_fiftieth_of_a_second():
    for timestep, expected in ((0.002, 0.02), (0.005, 0.02), (0.03, 0.03), (0.0125, 0.025)):
        compiled = mujoco.MjModel.from_xml_string(PENDULUM.format(MOTOR).replace("0.02", str(timestep)))
        assert envs.MujocoModel(compiled).dt == pytest.approx(expected)


def test_sleeping_bodies_of_one_candidate_do_not_sleep_in_the_next():
    xml = PUSH.replace("<option", '<option sleep_tolerance="10"').replace(
        'jacobian="dense"/>', 'jacobian="dense"><flag sleep="enable"/></option>'
    )
    asleep, awake = build(xml), build(PUSH)
    state, still = begin(awake), np.zeros((40, 2), np.float32)
    asleep.rollout(state, still)
    np.testing.assert_array_equal(asleep.rollout(state, drive(awake, 10)).physics, awake.rollout(state, drive(awake, 10)).physics)


def test_worlds_are_spread_over_the_whole_range():
    model = envs.MujocoModel(mujoco.MjModel.from_xml_string(SLIDER), parameters={"mass": 1.0, "damping": 1.0})
    worlds = model.sample_worlds(5, 4, key=jax.random.key(0)).episode
    assert worlds.shape == (4, 2)
    np.testing.assert_array_equal(np.sort(np.floor(4 * np.asarray(worlds)), axis=0), np.arange(4.0)[:, None].repeat(2, axis=1))
    again = model.sample_worlds(5, 4, key=jax.random.key(1)).episode
    assert not np.array_equal(worlds, again)
    assert envs.MujocoModel(mujoco.MjModel.from_xml_string(SLIDER)).sample_worlds(5, 4, key=jax.random.key(0)) is None
