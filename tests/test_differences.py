"""Derivatives through the C engine equal those of MuJoCo's own float64 loop."""

import copy
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import ARM, CONTACT, PUSH, SCENES, begin, build, drive, plain, tight

import ebm
import envs

STEP = 1e-6  # of the float64 differences that are the truth here
HORIZON = 8


def accuracy(scene):
    return 1e-2 if scene in CONTACT else 1e-3


def error(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def slope(function, x, step=STEP):
    """Central differences in float64."""
    x = np.asarray(x, float)
    result = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        by = np.zeros_like(x)
        by[i] = step
        result[i] = (function(x + by) - function(x - by)) / (2 * step)
    return result


@functools.cache
def case(scene, skip=1):
    """A model, where it starts, what it does, and an energy that reads every sensor, as seen by JAX and by NumPy."""
    model = build(SCENES[scene], skip)
    state, actions, truth = begin(model), drive(model, HORIZON), tight(model)
    weights = 1.0 / np.maximum(np.abs(plain(model, state, actions, truth)[1]).max(0), 1e-3)
    weights[model.engine.layout.clocks] = 0.0

    def energy(state, actions):
        return 0.5 * jnp.sum((model.rollout(state, actions).sensors * jnp.float32(weights)) ** 2)

    def reference(state, actions, mj=None):
        return 0.5 * np.sum((plain(model, state, actions, truth if mj is None else mj)[1] * weights) ** 2)

    return model, jax.tree.map(jnp.asarray, state), jnp.asarray(actions), energy, reference


@pytest.mark.parametrize("skip", [1, 5])
@pytest.mark.parametrize("scene", SCENES)
def test_the_gradient_by_actions_is_right(scene, skip):
    _, state, actions, energy, reference = case(scene, skip)
    expected = slope(lambda actions: reference(state, actions), actions)
    assert error(jax.jit(jax.grad(energy, argnums=1))(state, actions), expected) < accuracy(scene)


@pytest.mark.parametrize("scene", SCENES)
def test_the_gradient_by_the_initial_state_is_right(scene):
    model, state, actions, energy, reference = case(scene)
    mj, layout = model.mj_model, model.engine.layout
    gradient = jax.jit(jax.grad(energy))(state, actions)
    start = jnp.asarray(state.physics)

    def along(tangent):
        physics = np.asarray(start, float)
        mujoco.mj_integratePos(mj, physics[layout.qpos], tangent[: mj.nv], 1.0)
        physics[layout.qvel.start :] += tangent[mj.nv :]
        return reference(envs.PhysicsState(physics, state.inputs, state.sensors, layout), actions)

    size = 2 * mj.nv + mj.na
    expected = slope(along, np.zeros(size))
    lift = jax.jacfwd(lambda tangent: envs._physics.move_physics(layout, start, tangent))(jnp.zeros(layout.tangent))
    assert error((gradient.physics @ lift)[:size], expected) < accuracy(scene)


@pytest.mark.parametrize("scene", ["rk4", "free"])
def test_forward_reverse_and_batched_derivatives_agree(scene):
    model, state, actions, energy, _ = case(scene)
    by_actions = jax.jit(jax.grad(energy, argnums=1))
    reverse, forward = by_actions(state, actions), jax.jit(jax.jacfwd(energy, argnums=1))(state, actions)
    np.testing.assert_allclose(forward, reverse, rtol=1e-4, atol=1e-5 * np.abs(reverse).max())

    def final(actions):
        return model.rollout(state, actions).physics[-1]

    np.testing.assert_allclose(jax.jit(jax.jacrev(final))(actions), jax.jit(jax.jacfwd(final))(actions), rtol=1e-3, atol=1e-4)
    batch = jnp.stack([actions, 0.5 * actions, 0.0 * actions])
    together = jax.jit(jax.vmap(jax.grad(energy, argnums=1), (None, 0)))(state, batch)
    for one, alone in zip(batch, together, strict=True):
        np.testing.assert_allclose(alone, by_actions(state, one), rtol=1e-4, atol=1e-5 * np.abs(alone).max())
    inside = jax.jit(jax.grad(lambda batch: jnp.sum(jax.vmap(energy, (None, 0))(state, batch))))(batch)
    np.testing.assert_allclose(inside, together, rtol=1e-4, atol=1e-5 * np.abs(together).max())


def test_the_tangent_of_the_first_state_is_passed_through():
    model, state, actions, _, _ = case("arm")
    direction = jax.tree.map(jnp.ones_like, state)
    _, moved = jax.jvp(lambda state: model.rollout(state, actions), (state,), (direction,))
    for leaf in jax.tree.leaves(moved):
        np.testing.assert_array_equal(leaf[0], 1.0)
    np.testing.assert_array_equal(moved.physics[:, 0], 1.0)


LIMIT = 0.1  # in float32, a little more than that


def test_at_a_limit_the_slope_is_that_of_the_inside():
    weak = ARM.replace('gainprm="1"', 'gainprm="1e-4"')
    model = build(weak.replace("-6 6", f"-6 {LIMIT}").replace("-3 3", "0.7 30000.1"))
    state = jax.tree.map(jnp.asarray, begin(model))
    actions = jnp.tile(jnp.asarray([LIMIT, 30000.1], jnp.float32), (6, 1))

    def end(actions):
        return model.rollout(state, actions).read("joint:shoulder")[-1, 0]

    at, inside, outside = (jax.grad(end)(x) for x in (actions, actions * 0.999999, actions + 1e5))
    for actuator in range(2):
        assert error(at[:, actuator], inside[:, actuator]) < 1e-3
    np.testing.assert_array_equal(outside, 0.0)


@pytest.mark.parametrize("scene", ["arm", "push", "free"])
def test_the_adjoint_gradient_of_a_problem_is_its_finite_difference(scene):
    model, state, actions, _, _ = case(scene, 2)
    energy = ebm.Reach("sensor:tip", state.read("sensor:tip") + 0.1, tolerance=0.1)
    energy = energy + 0.5 * ebm.Terminal(ebm.Reach("sensor:tip_velocity", [0.0, 0.0, 0.0], name="rest"))
    energy = energy + 0.01 * ebm.Effort() + 0.01 * ebm.Smoothness()
    problem = ebm.Problem(model, energy)
    now = ebm.Now(0, jnp.zeros(model.action_space.size))

    @jax.jit
    def value(actions):
        return problem.evaluate(state, actions, now, key=jax.random.key(0)).energy

    gradient = jax.jit(jax.grad(value))(actions)
    assert float(jnp.linalg.norm(gradient)) > 0
    rng = np.random.default_rng(0)
    for _ in range(4):
        by = jnp.float32(rng.normal(size=actions.shape))
        # float32 values: a long step, and Richardson's rule against its bias
        wide, narrow = ((value(actions + h * by) - value(actions - h * by)) / (2 * h) for h in (0.004, 0.002))
        np.testing.assert_allclose(jnp.sum(gradient * by), (4 * narrow - wide) / 3, rtol=1e-2, atol=1e-3 * jnp.linalg.norm(gradient))


PARAMETERS = {
    "mass": ("push", lambda mj, f: scale_mass(mj, slice(None), f)),
    "mass:lower": ("arm", lambda mj, f: scale_mass(mj, [mj.body("lower").id], f)),
    "friction": ("push", lambda mj, f: mj.geom_friction.__imul__(f)),
    "gain:elbow": ("arm", lambda mj, f: mj.actuator_gainprm[1].__imul__(f)),
    "gain:muscle": ("keeps", lambda mj, f: mj.actuator_gainprm[0, 2:4].__imul__(f)),
    "damping": ("rk4", lambda mj, f: mj.dof_damping.__imul__(f)),
}


def scale_mass(mj, bodies, factor):
    mj.body_mass[bodies] *= factor
    mj.body_inertia[bodies] *= factor
    mujoco.mj_setConst(mj, mujoco.MjData(mj))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_gradient_by_a_physics_parameter_is_right(name):
    scene, change = PARAMETERS[name]
    _, state, actions, _, _ = case(scene)
    model = build(SCENES[scene], parameters={name: 1.1})
    truth = tight(model)
    weights = 1.0 / np.maximum(np.abs(plain(model, state, actions, truth)[1]).max(0), 1e-3)
    weights[model.engine.layout.clocks] = 0.0

    def energy(factor):
        states = model.with_parameters({name: factor}).rollout(state, actions)
        return 0.5 * jnp.sum((states.sensors * jnp.float32(weights)) ** 2)

    def expected(factor):
        mj = copy.copy(truth)
        change(mj, factor[0])
        return 0.5 * np.sum((plain(model, state, actions, mj)[1] * weights) ** 2)

    value, gradient = jax.jit(jax.value_and_grad(energy))(jnp.float32(1.1))
    assert value == pytest.approx(expected([np.float64(np.float32(1.1))]), rel=1e-3)
    assert error(gradient, slope(expected, [1.1], 1e-5)[0]) < accuracy(scene)


def test_the_gradient_by_a_mocap_pose_is_right():
    model, state, actions, energy, reference = case("keeps")
    part = model.engine.layout.components[int(mujoco.mjtState.mjSTATE_MOCAP_POS)]
    gradient = jax.jit(jax.grad(energy))(state, actions).inputs[part]

    def moved(position):
        inputs = np.asarray(state.inputs, float)
        inputs[part] = position
        return reference(eqx.tree_at(lambda s: s.inputs, state, inputs), actions)

    assert error(gradient, slope(moved, state.inputs[part])) < 1e-2


def test_the_gradient_by_applied_forces_is_right():
    model, state, actions, energy, reference = case("free")
    for bit in (mujoco.mjtState.mjSTATE_QFRC_APPLIED, mujoco.mjtState.mjSTATE_XFRC_APPLIED):
        part = model.engine.layout.components[int(bit)]
        gradient = jax.jit(jax.grad(energy))(state, actions).inputs[part]

        def pushed(force, part=part):
            inputs = np.asarray(state.inputs, float)
            inputs[part] = force
            return reference(eqx.tree_at(lambda s: s.inputs, state, inputs), actions)

        assert error(gradient, slope(pushed, np.zeros(part.stop - part.start))) < 1e-3


def test_a_second_derivative_raises_what_to_do_instead():
    _, state, actions, energy, _ = case("arm")
    for second in (jax.hessian(energy, argnums=1), jax.jacrev(jax.grad(energy, argnums=1), argnums=1)):
        with pytest.raises(NotImplementedError, match=r"Second derivatives.*Gauss-Newton"):
            second(state, actions)
    with pytest.raises(NotImplementedError, match="Second derivatives"):
        jax.jvp(jax.grad(energy, argnums=1), (state, actions), (jax.tree.map(jnp.zeros_like, state), jnp.ones_like(actions)))


def test_a_broken_state_has_no_gradient_that_looks_fine():
    _, state, actions, energy, _ = case("arm")
    broken = eqx.tree_at(lambda s: s.physics, state, state.physics.at[1].set(jnp.nan))
    assert not np.isfinite(np.asarray(jax.jit(jax.grad(energy, argnums=1))(broken, actions))).any()


@pytest.mark.parametrize("scene", ["arm", "push", "free", "keeps"])
def test_linearize_agrees_with_mujocos_own_differences(scene):
    model, state, actions, _, _ = case(scene)
    mj, truth = model.mj_model, tight(model)
    trajectory = ebm.Trajectory(eqx.filter_jit(model.rollout)(state, actions), actions, ebm.Now(0, actions[0]), model.dt)
    linear = eqx.filter_jit(model.linearize)(trajectory)
    size, data = 2 * mj.nv + mj.na, mujoco.MjData(mj)
    a, b = np.zeros((size, size)), np.zeros((size, mj.nu))
    c = np.zeros((mj.nsensordata, size))
    late = model.engine.layout.late_sensors
    early = np.setdiff1d(np.arange(mj.nsensordata), late)
    assert linear.A.shape == (HORIZON, size + late.size, size + late.size)
    for t in (0, HORIZON - 1):
        model.write(jax.tree.map(lambda leaf, t=t: leaf[t], trajectory.states), data)
        data.qacc_warmstart[:] = 0.0
        data.ctrl[:] = actions[t]
        mujoco.mjd_transitionFD(truth, data, 1e-6, True, a, b, c, None)
        scale = np.abs(a).max()
        np.testing.assert_allclose(linear.A[t, :size, :size], a, atol=1e-5 * scale)
        np.testing.assert_allclose(linear.B[t, :size], b, atol=1e-5 * max(np.abs(b).max(), 1.0))
        np.testing.assert_allclose(linear.lift.sensors[t, early, :size], c[early], atol=1e-5 * max(np.abs(c[early]).max(), 1.0))
        np.testing.assert_array_equal(linear.A[t, :, size:], 0.0)
        np.testing.assert_array_equal(linear.lift.sensors[t][late][:, size:], np.eye(late.size))


@pytest.mark.parametrize("scene", ["rk4", "free"])
def test_a_moved_trajectory_is_what_the_linearization_foresees(scene):
    model, state, actions, _, _ = case(scene, 3)
    rollout = eqx.filter_jit(model.rollout)
    states = rollout(state, actions)
    linear = model.linearize(ebm.Trajectory(states, actions, ebm.Now(0, actions[0]), model.dt))
    by = 1e-3 * jnp.float32(np.random.default_rng(1).normal(size=actions.shape))
    tangent, foreseen = jnp.zeros(model.engine.layout.tangent), []
    for t in range(HORIZON):
        tangent = linear.A[t] @ tangent + linear.B[t] @ by[t]
        at = jax.tree.map(lambda leaf, t=t: leaf[t + 1], states)
        foreseen.append(model.move(at, jax.tree.map(lambda leaf, t=t: leaf[t + 1], linear.lift), tangent))
    foreseen = jax.tree.map(lambda *leaves: jnp.stack(leaves), *foreseen)
    moved = jax.tree.map(lambda leaf: leaf[1:], rollout(state, actions + by))
    still = jax.tree.map(lambda leaf: leaf[1:], states)
    for name in ("sensor:tip", "sensor:acceleration", "sensor:gyro"):
        change = np.abs(moved.read(name) - still.read(name)).max()
        np.testing.assert_allclose(foreseen.read(name), moved.read(name), atol=0.02 * change + 1e-5)


def test_a_batched_linearization_equals_a_loop():
    model, state, actions, _, _ = case("push", 2)
    batch = jnp.stack([actions, -actions])

    def linear(actions):
        return model.linearize(ebm.Trajectory(model.rollout(state, actions), actions, ebm.Now(0, actions[0]), model.dt))

    together = jax.jit(jax.vmap(linear))(batch)
    for i in range(2):
        for whole, single in zip(jax.tree.leaves(together), jax.tree.leaves(jax.jit(linear)(batch[i])), strict=True):
            np.testing.assert_allclose(whole[i], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", ["ellipsoid", "cylinder"])
def test_contacts_found_by_iteration_have_clean_derivatives(shape):
    xml = PUSH.replace('name="pusher" type="sphere" size="0.05"', f'name="pusher" type="{shape}" size="0.05 0.06 0.05"')
    model = build(xml)
    state, actions = jax.tree.map(jnp.asarray, begin(model)), jnp.asarray(drive(model, 6))

    def reach(state, actions):
        return jnp.sum(model.rollout(state, actions).read("sensor:tip")[-1])

    expected = slope(lambda actions: plain(model, state, actions, tight(model))[1][-1, :3].sum(), actions, 1e-5)
    assert error(jax.grad(reach, argnums=1)(state, actions), expected) < 2e-2
