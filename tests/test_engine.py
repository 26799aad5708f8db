"""The C engine under threads, forks, many parameters and 64-bit JAX."""

import os
import subprocess
import sys
import threading
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scenes import ARM, PUSH, SCENES, batched, begin, build, drive

import ebm
import envs

CALLS = 150  # per thread


@pytest.mark.parametrize("engines", [1, 2])
def test_two_threads_plan_at_once(engines):
    models = [build(PUSH), build(PUSH) if engines == 1 else build(ARM)]
    models[1] = models[0] if engines == 1 else models[1]
    jobs = [(batched(model), begin(model), jnp.stack([drive(model, 4, seed) for seed in range(8)])) for model in models]
    expected = [np.asarray(plan(state, actions).physics) for plan, state, actions in jobs]
    failures = []

    def work(job, expected, model):
        plan, state, actions = job
        try:
            for i in range(CALLS):
                if not np.array_equal(plan(state, actions).physics, expected):
                    failures.append("another result")
                if i % 10 == 0:
                    model.state(mujoco.MjData(model.mj_model))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=args) for args in zip(jobs, expected, models, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not failures


def test_a_forked_child_can_roll_out():
    model = build(PUSH)
    state, actions = begin(model), drive(model, 5)
    arguments = state.physics, state.sensors, state.inputs, actions, np.zeros(0)
    expected = model.engine.rollout(*arguments)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX must not be used in a child, and is not
        code = os.fork()
    if code == 0:
        same = np.array_equal(model.engine.rollout(*arguments)[0], expected)
        os._exit(0 if same else 1)
    done = threading.Event()
    status = []

    def wait():
        status.append(os.waitpid(code, 0)[1])
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    if not done.wait(60):
        os.kill(code, 9)
    assert status == [0]
    np.testing.assert_array_equal(model.engine.rollout(*arguments)[0], expected)


SCRIPT = """
import os, sys, warnings
warnings.simplefilter("error")
sys.path.insert(0, {tests!r})
import jax, jax.numpy as jnp, numpy as np
from scenes import *
model = build(ARM, parameters={{"mass": 1.2}})
state, actions = begin(model), drive(model, 5)
def energy(actions): return jnp.sum(model.rollout(state, actions).sensors ** 2)
physics = model.rollout(state, actions).physics
assert physics.dtype == jnp.float32, physics.dtype
print(repr(np.asarray(physics[-1]).tolist()))
if jax.config.jax_enable_x64: actions = actions.astype(float)
print(repr(np.asarray(jax.jit(jax.grad(energy))(jnp.asarray(actions))).ravel().tolist()))
wide = model.state(qpos=[0.1, 0.2])
print(repr(np.asarray(jax.jit(lambda s: model.rollout(s, actions).physics)(wide)[0, :3]).tolist()))
"""


def test_64_bit_jax_gives_the_same_results():
    outputs = []
    for wide in ("0", "1"):
        environment = os.environ | {"JAX_ENABLE_X64": wide, "PYTHONPATH": os.pathsep.join(sys.path)}
        script = SCRIPT.format(tests=os.path.dirname(__file__))
        run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr[-2000:]
        outputs.append([np.array(eval(line)) for line in run.stdout.splitlines()])
    for narrow, wide in zip(*outputs, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-5 * np.abs(wide).max())


def test_vmap_over_parameters_equals_models_of_their_own():
    model = build(PUSH, parameters={"mass:box": 1.0, "friction": 1.0})
    state, actions = begin(model), drive(model, 10)
    factors = jnp.asarray([[1.0, 1.0], [2.0, 0.5], [0.5, 1.0], [2.0, 0.5]])

    @jax.jit
    @jax.vmap
    def run(row):
        return model.with_parameters({"mass:box": row[0], "friction": row[1]}).rollout(state, actions)

    together = run(factors)
    for i, (mass, friction) in enumerate(factors.tolist()):
        own = mujoco.MjModel.from_xml_string(PUSH)
        box = own.body("box").id
        own.body_mass[box] *= mass
        own.body_inertia[box] *= mass
        own.geom_friction *= friction
        mujoco.mj_setConst(own, mujoco.MjData(own))
        alone = envs.MujocoModel(own, period=model.dt).rollout(state, actions)
        np.testing.assert_allclose(together.physics[i], alone.physics, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(together.sensors[i], alone.sensors, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(together.physics[1], together.physics[3])
    assert np.abs(together.physics[0] - together.physics[1]).max() > 1e-4


def test_more_worlds_than_are_kept_are_still_right(monkeypatch):
    monkeypatch.setattr(envs._engine, "MAX_MODELS", 4)
    model = build(ARM, parameters={"mass": 1.0})
    state, actions = begin(model), drive(model, 6)
    factors = jnp.linspace(0.5, 2.0, 16)
    together = jax.vmap(lambda f: model.with_parameters({"mass": f}).rollout(state, actions))(factors)
    assert len(model.engine.variants) <= 4
    for i in (0, 7, 15):
        alone = build(ARM, parameters={"mass": float(factors[i])}).rollout(state, actions)
        np.testing.assert_array_equal(together.physics[i], alone.physics)
    assert len({row.tobytes() for row in np.asarray(together.physics)}) == 16


@pytest.mark.parametrize("mass", [0.0, -1.0, 1e-12])
def test_a_world_without_mass_is_not_finite_and_nothing_is_raised(mass):
    model = build(ARM, parameters={"mass": 1.0, "gain": 1.0})
    light = model.with_parameters({"mass": mass})
    after = light.rollout(begin(model), drive(model, 3))
    assert np.isnan(after.physics[1:]).all()
    assert np.isfinite(model.with_parameters({"gain": 0.0}).rollout(begin(model), drive(model, 3)).physics).all()


@pytest.mark.parametrize("pair", [0.5, (0.5,), (2.0, 0.5), (-1.0, 1.0), (np.nan, 1.0), (0.0, np.inf)])
def test_a_range_that_is_none_is_refused(pair):
    with pytest.raises((ValueError, TypeError), match="range"):
        build(ARM, parameters={"mass": 1.0, "gain": 1.0}).randomise({"mass": pair})


def test_randomised_worlds_are_drawn_by_key_and_shared_by_all_candidates():
    model = build(ARM, parameters={"mass": 1.0, "gain": 1.0}).randomise({"mass": (0.5, 2.0)})
    problem = ebm.Problem(model, ebm.Effort() + ebm.Reach("sensor:tip", [0.3, 0.0, 0.0]), num_latents=4, risk=ebm.WorstCase())
    state, now = begin(model), ebm.Now(0, np.zeros(2))
    actions = jnp.stack([drive(model, 5), drive(model, 5), drive(model, 5, 1)])

    @jax.jit
    def judge(actions, key):
        return jax.vmap(lambda actions: problem.evaluate(state, actions, now, key=key))(actions)

    first, again, other = judge(actions, jax.random.key(0)), judge(actions, jax.random.key(0)), judge(actions, jax.random.key(1))
    np.testing.assert_array_equal(first.energy, again.energy)
    assert first.energy[0] == first.energy[1]
    assert first.energy[0] != other.energy[0]
    np.testing.assert_array_equal(first.latents.episode[0], first.latents.episode[2])
    nominal = build(ARM, parameters={"mass": 1.0}).rollout(state, actions[0])
    drawn = model.rollout(state, actions[0], ebm.Latents(episode=jnp.asarray([1.0 / 3.0, 0.7])))  # 0.5 + 1.5 / 3 = 1; gain stays
    np.testing.assert_allclose(drawn.physics, nominal.physics, rtol=1e-5, atol=1e-5)
    assert build(ARM).sample_latents(5, key=jax.random.key(0)) is None


@pytest.mark.parametrize("call", ["with_parameters", "randomise"])
def test_parameters_are_named_at_construction(call):
    model = build(ARM, parameters={"mass": 1.0})
    with pytest.raises(ValueError, match=r"'gain' is not among the parameters \('mass',\).*Name it at construction"):
        getattr(model, call)({"gain": (0.9, 1.1) if call == "randomise" else 1.0})


@pytest.mark.parametrize("scene", SCENES)
def test_two_loads_of_one_model_are_equal_and_different_ones_are_not(scene):
    a, b = build(SCENES[scene]), build(SCENES[scene])
    assert a.engine == b.engine
    assert hash(a.engine) == hash(b.engine)
    assert a.engine.layout == b.engine.layout
    assert a.engine != build(SCENES[scene], 2).engine
    assert jax.tree.structure(eqx.filter(a, eqx.is_array)) == jax.tree.structure(eqx.filter(b, eqx.is_array))
