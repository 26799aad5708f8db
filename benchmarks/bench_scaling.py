"""How the time of a replan grows with samples and with the horizon, and whether anything makes it compile again.

`pytest benchmarks/bench_scaling.py` fits `time ∝ size^exponent`, between the ends and by least squares, on a world in JAX and on a cart in
the C engine that touches nothing. Acceptance: exponents of at most 1.05; and one trace, whatever numbers change.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import ebm
import envs
import planners

SAMPLES, HORIZONS = (64, 256, 1024, 4096), (10, 25, 50, 100)
HORIZON, NUM_SAMPLES = 25, 512  # of the other sweep
ROUNDS = 30
STEEPEST = 1.05

CART = """
<mujoco model="cart">
  <option timestep="0.02"><flag contact="disable"/></option>
  <worldbody>
    <body name="cart">
      <joint name="slider" type="slide" axis="1 0 0" damping="0.1"/><geom name="cart" type="box" size="0.1 0.05 0.05" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slider" ctrlrange="-5 5"/></actuator>
</mujoco>
"""


def cart():
    model = envs.MujocoModel(mujoco.MjModel.from_xml_string(CART), parameters={"mass:cart": 1.0})
    energy = 1.0 * ebm.Reach("joint:slider", 0.5) + 0.1 * ebm.Velocity("joint:slider", tolerance=1.0)
    return ebm.Problem(model, energy, ebm.KeepBelow("joint:slider", 0.6))


def heavier_pendulum(problem, mass):
    return eqx.tree_at(lambda p: p.model.mass, problem, jnp.float32(mass))


def heavier_cart(problem, mass):
    return eqx.tree_at(lambda p: p.model, problem, problem.model.with_parameters({"mass:cart": mass}))


# the problem, the name of a goal, and how its mass is changed
WORLDS = {"jax": (envs.pendulum, "upright", heavier_pendulum), "c": (cart, "reach", heavier_cart)}


def replan(problem, horizon, samples):
    planner = planners.MPPI(horizon, samples)
    state = problem.model.example_state()
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    now = ebm.Now(0, jnp.zeros(problem.action_space.size), problem.dt)
    compiled = eqx.filter_jit(lambda plan_state: planner.plan(problem, state, plan_state, now))
    return lambda: compiled(plan_state)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("swept", ["samples", "horizon"])
@pytest.mark.benchmark(group="scaling")
def test_time_grows_no_faster_than_the_work(benchmark, interleave, record, world, swept):
    problem = WORLDS[world][0]()
    sizes = SAMPLES if swept == "samples" else HORIZONS
    calls = {n: replan(problem, HORIZON, n) if swept == "samples" else replan(problem, n, NUM_SAMPLES) for n in sizes}
    times = interleave(calls, ROUNDS)
    medians = np.array([1e3 * np.median(times[n]) for n in sizes])
    x, y = np.log(sizes), np.log(medians)
    ends, fitted = (y[-1] - y[0]) / (x[-1] - x[0]), np.polyfit(x, y, 1)[0]
    record(sizes=sizes, medians_ms=medians, exponent_ends=ends, exponent_fitted=fitted, at_most=STEEPEST)
    benchmark.pedantic(lambda: jax.block_until_ready(calls[sizes[-1]]()), rounds=5)
    assert max(ends, fitted) <= STEEPEST


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.benchmark(group="scaling")
def test_new_numbers_do_not_compile_anew(benchmark, record, world):
    make, goal, heavier = WORLDS[world]
    problem, planner, traces = make(), planners.MPPI(HORIZON, SAMPLES[0]), []

    @eqx.filter_jit
    def plan(problem, state, plan_state, now):
        traces.append(None)
        return planner.plan(problem, state, plan_state, now)

    state = problem.model.example_state()
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    rest = jnp.zeros(problem.action_space.size)
    changed = {
        "nothing": problem,
        "goal": problem.with_goal(0.3, goal),
        "weights": eqx.tree_at(lambda p: p.energy, problem, 3.0 * problem.energy),
        "mass": heavier(problem, 1.3),
    }
    plans = []
    for tick, other in enumerate(changed.values()):
        plans.append(plan(other, state, plan_state, ebm.Now(tick, rest, problem.dt))[0])
    moved = jax.tree.map(lambda leaf: leaf + 0.1, state)
    plans.append(plan(problem, moved, plan_state, ebm.Now(0, rest, problem.dt))[0])
    energies = [float(planned.energy) for planned in plans]  # no two alike: each change was seen
    record(traces=len(traces), changed=[*changed, "state"], energies=energies)
    benchmark.pedantic(lambda: jax.block_until_ready(plan(problem, moved, plan_state, ebm.Now(0, rest, problem.dt))), rounds=10)
    assert len(traces) == 1
    assert len(set(energies)) == len(energies)
