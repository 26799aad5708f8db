"""What a replan of ILQR takes on the C engine once it runs, beside one of MPPI: hanging pendulum, hanging cart-pole.

`pytest benchmarks/bench_ilqr.py` interleaves the two in one run and prints their medians, and how many physics steps each took.
"""

from functools import partial

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners

HORIZON, ROUNDS, WARM = 40, 60, 3


def replans(problem):
    """A warm replan of each planner, and how many control periods it simulates."""
    calls, steps = {}, {}
    lineup = {"ilqr": planners.ILQR(HORIZON, num_iterations=3), "mppi": planners.MPPI(HORIZON, 64, noise=0.5)}
    pool, substeps = problem.model.engine.pool, problem.model.engine.substeps
    for name, planner in lineup.items():
        state, now = problem.model.example_state(), ebm.Now(0, jnp.zeros(problem.action_space.size), problem.dt)
        plan = eqx.filter_jit(planner.plan, compiler_options=dict(problem.model.compiler_options))  # pyright: ignore[reportCallIssue]
        plan_state = planner.init(problem, state, key=jax.random.key(0))
        for _ in range(WARM):
            _, plan_state = plan(problem, state, plan_state, now)
        calls[name] = partial(plan, problem, state, plan_state, now)
        before = pool.steps
        jax.block_until_ready(calls[name]())
        steps[name] = (pool.steps - before) / substeps
    return calls, steps


@pytest.mark.parametrize("plant", ["PendulumSwingUp-v0", "CartPoleSwingUp-v0"])
@pytest.mark.benchmark(group="ilqr")
def test_a_warm_replan(benchmark, interleave, record, plant):
    calls, steps = replans(envs.problem(gymnasium.make(plant)))
    times = interleave(calls, ROUNDS)
    record(medians_ms={name: 1e3 * float(np.median(taken)) for name, taken in times.items()}, model_steps=steps)
    benchmark.pedantic(lambda: jax.block_until_ready(calls["ilqr"]()), rounds=10)
    assert steps["ilqr"] > HORIZON
