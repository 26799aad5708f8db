"""What the generality of the contracts costs: a replan of MPPI on the analytic pendulum, beside hand-written ones.

`pytest benchmarks/bench_pendulum.py` interleaves the three in one run and prints their medians and ratios. Acceptance: at most 1.2 times a
hand-written MPPI that stacks the same states and draws the same normals, and at most 2 times one in which everything is fused.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners

SAMPLES, HORIZON, ROUNDS = 512, 50, 300
NOISE, TEMPERATURE = 0.5, 10.0
DT, GRAVITY, TORQUE, SPEED = 0.05, 10.0, 2.0, 8.0


def pendulum_step(angle, velocity, torque):
    velocity = jnp.clip(velocity + (1.5 * GRAVITY * jnp.sin(angle) + 3.0 * torque) * DT, -SPEED, SPEED)
    return angle + velocity * DT, velocity


def cost(angle, velocity, torque):
    return 2.0 * (1.0 - jnp.cos(angle)) + 0.1 * velocity**2 + 0.001 * torque**2


def average(mean, torques, costs):
    weights = jax.nn.softmax(-costs / TEMPERATURE)
    return jnp.roll(jnp.tensordot(weights, torques, axes=1), -1)


@jax.jit
def stacked(key, mean, angle, velocity):
    """The textbook: roll out and stack the states, then score them."""
    key, sub = jax.random.split(key)
    torques = jnp.clip(mean + NOISE * TORQUE * jax.random.normal(sub, (SAMPLES, HORIZON)), -TORQUE, TORQUE)

    def rollout(torques):
        def step(state, torque):
            state = pendulum_step(state[0], state[1], torque)
            return state, state

        _, (angles, velocities) = jax.lax.scan(step, (angle, velocity), torques)
        return jnp.append(angle, angles), jnp.append(velocity, velocities)

    angles, velocities = jax.vmap(rollout)(torques)
    costs = jnp.sum(cost(angles[:, :-1], velocities[:, :-1], torques), axis=1) * DT
    best = jnp.argmin(costs)
    mean = average(mean, torques, costs)
    return key, mean, mean[0], (angles[best], velocities[best])


@jax.jit
def fused(key, mean, angle, velocity):
    """As fast as it gets: nothing is kept but the running cost."""
    key, sub = jax.random.split(key)
    torques = jnp.clip(mean[:, None] + NOISE * TORQUE * jax.random.normal(sub, (HORIZON, SAMPLES)), -TORQUE, TORQUE)

    def step(carry, torque):
        angle, velocity, total = carry
        total = total + cost(angle, velocity, torque)
        return (*pendulum_step(angle, velocity, torque), total), None

    start = jnp.full(SAMPLES, angle), jnp.full(SAMPLES, velocity), jnp.zeros(SAMPLES)
    (_, _, costs), _ = jax.lax.scan(step, start, torques)
    mean = average(mean, torques.T, costs * DT)
    return key, mean, mean[0]


def ours():
    problem = envs.pendulum()
    planner = planners.MPPI(HORIZON, SAMPLES, num_knots=HORIZON, basis=planners.ZeroOrder(), noise=NOISE)
    state = problem.model.example_state()
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    now = ebm.Now(0, jnp.zeros(1), problem.dt)
    plan = jax.jit(lambda plan_state: planner.plan(problem, state, plan_state, now))
    return plan, plan_state


@pytest.mark.benchmark(group="pendulum")
def test_mppi_costs_little_more_than_by_hand(benchmark):
    plan, plan_state = ours()
    key, mean, angle, velocity = jax.random.key(0), jnp.zeros(HORIZON), jnp.float32(jnp.pi), jnp.float32(0.0)
    calls = {
        "ours": lambda: plan(plan_state),
        "stacked": lambda: stacked(key, mean, angle, velocity),
        "fused": lambda: fused(key, mean, angle, velocity),
    }
    times = {name: [] for name in calls}
    for call in calls.values():
        jax.block_until_ready(call())
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(time.perf_counter() - start)
    medians = {name: 1e3 * float(np.median(t)) for name, t in times.items()}
    ratios = {name: medians["ours"] / medians[name] for name in ("stacked", "fused")}
    benchmark.extra_info.update(medians_ms=medians, ratios=ratios)
    print(f"\nMPPI {SAMPLES} x {HORIZON}: " + ", ".join(f"{n} {m:.2f} ms" for n, m in medians.items()), ratios)
    benchmark(lambda: jax.block_until_ready(plan(plan_state)))
    assert ratios["stacked"] <= 1.2
    assert ratios["fused"] <= 2.0
