"""Physics that breaks is marked from the right step on, in the right candidate, and nowhere else."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import KEEPS, PENDULUM, batched, build, drive

import ebm
import envs


def explosive(sensors=""):
    """A model that an action of a thousand breaks within a step or two, and small actions do not."""
    xml = PENDULUM.format('<motor name="motor" joint="hinge" gear="1e9" ctrlrange="-1000 1000"/>')
    return envs.MujocoModel(mujoco.MjModel.from_xml_string(xml.replace("</mujoco>", f"{sensors}</mujoco>")), period=0.04)


def test_divergence_is_marked_from_the_right_step_on_and_nowhere_else():
    model = explosive()
    calm = np.zeros((6, 1), np.float32)
    actions = np.stack([calm, calm, calm, calm])
    actions[1, 3:] = 1000.0
    actions[2, 0] = 1000.0
    actions[3, 5] = 1000.0
    states = batched(model)(model.state(qpos=[0.3]), actions)
    finite = np.isfinite(np.asarray(states.physics)).all(-1)
    assert finite[0].all()
    np.testing.assert_array_equal(finite[1], [True] * 4 + [False] * 3)
    np.testing.assert_array_equal(finite[2], [True] + [False] * 6)
    np.testing.assert_array_equal(finite[3], [True] * 6 + [False])
    np.testing.assert_array_equal(states.physics[1, :4], states.physics[0, :4])
    np.testing.assert_array_equal(states.physics[0], model.rollout(model.state(qpos=[0.3]), calm).physics)


def test_sensors_before_a_divergence_do_not_see_it():
    model = explosive(
        '<sensor><jointpos name="angle" joint="hinge"/><jointactuatorfrc name="torque" joint="hinge"/><clock name="clock"/></sensor>'
    )
    calm = np.zeros((6, 1), np.float32)
    wild = calm.copy()
    wild[3:] = 1000.0
    start = model.state(qpos=[0.3], time=2.0)
    a, b = model.rollout(start, calm), model.rollout(start, wild)
    np.testing.assert_allclose(a.sensors[:4], b.sensors[:4], rtol=1e-6)
    assert np.isnan(b.sensors[4:]).all()


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e12])
@pytest.mark.parametrize("where", ["qpos", "qvel", "action"])
def test_a_broken_start_or_action_never_looks_fine(where, value, horizon):
    model = explosive()
    good = model.state(qpos=[0.3], qvel=[0.1])
    bad = good if where == "action" else model.state(**({"qpos": [0.3], "qvel": [0.1]} | {where: [value]}))
    actions = np.zeros((3, horizon, 1), np.float32)
    if where == "action":
        actions[1, 0] = value if not np.isfinite(value) else 1000.0
    batch = jax.tree.map(lambda g, b: jnp.stack([jnp.asarray(x, jnp.float32) for x in (g, b, g)]), good, bad)
    states = batched(model, 0, 0)(batch, actions)
    assert not np.isfinite(np.asarray(states.physics[1, 1:])).any()
    reference = model.rollout(good, actions[0])
    for i in (0, 2):
        np.testing.assert_array_equal(states.physics[i], reference.physics)
    problem = ebm.Problem(model, ebm.Effort())
    evaluation = problem.evaluate(bad, jnp.asarray(actions[1]), ebm.Now(0, np.zeros(1)), key=jax.random.key(0))
    assert not bool(evaluation.finite)
    assert evaluation.energy == np.inf


def test_broken_inputs_are_marked_too():
    model = build(KEEPS)
    states = model.rollout(model.state(mocap_pos=[np.nan, 0.0, 0.6]), drive(model, 2))
    assert not np.isfinite(np.asarray(states.physics[1:])).any()


def test_diverging_physics_leaves_no_log_file(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    model = explosive()
    model.rollout(model.state(qvel=[1e12]), np.full((4, 1), 1000.0, np.float32))
    model.state(qpos=[1e30])
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
