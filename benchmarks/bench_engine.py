"""What planning adds to the C engine: a whole replan, and a linearisation, beside the bare `mujoco.rollout` calls that they contain.

`pytest benchmarks/bench_engine.py` lets each run once, keeps exactly what the engine was given, and then interleaves the whole with the
bare calls on those arrays, on the same threads. Acceptance: at most 1.2 times for a replan of MPPI, at most 1.5 times for `linearize`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import ebm
import envs
import planners

SAMPLES, HORIZON, ROUNDS = 128, 50, 100

# A box that rests on a plane, and a pusher that is already in touch with it.
PUSH = """
<mujoco model="push">
  <option timestep="0.01"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1"/>
    <body name="box" pos="0.3 0 0.1">
      <freejoint name="box"/><geom name="box" type="box" size="0.1 0.1 0.1" mass="1"/>
    </body>
    <body name="pusher" pos="0.15 0.02 0.1">
      <joint name="px" type="slide" axis="1 0 0" damping="2"/><joint name="py" type="slide" axis="0 1 0" damping="2"/>
      <geom name="pusher" type="sphere" size="0.05" mass="0.5"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="fx" joint="px" ctrlrange="-12 12"/><motor name="fy" joint="py" ctrlrange="-5 5"/>
  </actuator>
  <sensor><framepos name="body:box" objtype="body" objname="box"/></sensor>
</mujoco>
"""


class Recorder:
    """Stands in for the pool's `Rollout`, and keeps what it was given."""

    def __init__(self, rollout):
        self.inner, self.calls = rollout, []

    def rollout(self, *args, **options):
        models, datas, start, control = args
        self.calls.append(((models, datas, start.copy(), control.copy()), dict(options)))
        return self.inner.rollout(*args, **options)


def bare_calls(call, model):
    """The C calls that `call` makes, as functions of nothing that write into buffers of their own."""
    jax.block_until_ready(call())
    pool: Any = model.engine.pool
    pool.rollout = recorder = Recorder(pool.rollout)
    try:
        jax.block_until_ready(call())
    finally:
        pool.rollout = recorder.inner
    return [bare_call(pool.rollout, *given) for given in recorder.calls]


def bare_call(rollout, args, options):
    options |= {name: np.empty_like(options[name]) for name in ("state", "sensordata")}
    return len(args[2]), options["nstep"], lambda: rollout.rollout(*args, **options)


def push():
    model = envs.MujocoModel(mujoco.MjModel.from_xml_string(PUSH), period=0.01)
    return ebm.Problem(model, ebm.Reach("body:box", jnp.array([0.6, 0.1, 0.1])))


@pytest.mark.benchmark(group="engine")
def test_a_replan_costs_little_more_than_its_rollouts(benchmark, interleave, record):
    problem, planner = push(), planners.MPPI(HORIZON, SAMPLES)
    state = problem.model.example_state()
    now = ebm.Now(0, jnp.zeros(2), problem.dt)
    plan = eqx.filter_jit(planner.plan)
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    for _ in range(3):  # the pusher pushes
        _, plan_state = plan(problem, state, plan_state, now)
    replan = eqx.filter_jit(lambda plan_state: planner.plan(problem, state, plan_state, now))
    (rows, steps, bare), (_, _, mean) = bare_calls(lambda: replan(plan_state), problem.model)
    assert (rows, steps) == (SAMPLES, HORIZON + 1)
    calls = {"replan": lambda: replan(plan_state), "bare": bare, "mean": mean}
    times = interleave(calls, ROUNDS)
    medians = {name: 1e3 * float(np.median(taken)) for name, taken in times.items()}
    ratio = medians["replan"] / medians["bare"]
    record(medians_ms=medians, ratio=ratio, median_of_ratios=np.median(times["replan"] / times["bare"]), at_most=1.2)
    benchmark.pedantic(lambda: jax.block_until_ready(replan(plan_state)), rounds=20)
    assert ratio <= 1.2


@pytest.mark.benchmark(group="engine")
def test_linearize_costs_little_more_than_its_rollouts(benchmark, interleave, record):
    problem = push()
    model, state = problem.model, problem.model.example_state()
    actions = jax.random.uniform(jax.random.key(0), (HORIZON, 2), minval=-2.0, maxval=5.0)
    trajectory = ebm.Trajectory(eqx.filter_jit(model.rollout)(state, actions), actions, ebm.Now(0, jnp.zeros(2)), model.dt)
    linearize = eqx.filter_jit(model.linearize)
    parts = bare_calls(lambda: linearize(trajectory), problem.model)
    times = interleave({"linearize": lambda: linearize(trajectory), "bare": lambda: [call() for *_, call in parts]}, ROUNDS)
    medians = {name: 1e3 * float(np.median(taken)) for name, taken in times.items()}
    ratio = medians["linearize"] / medians["bare"]
    rows, paired = sum(rows for rows, *_ in parts), np.median(times["linearize"] / times["bare"])
    record(medians_ms=medians, ratio=ratio, median_of_ratios=paired, rows=rows, calls=len(parts), at_most=1.5)
    benchmark.pedantic(lambda: jax.block_until_ready(linearize(trajectory)), rounds=20)
    assert ratio <= 1.5
