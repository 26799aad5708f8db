"""Subgoals: around a wall that straight ways do not pass, in a box, and back on the feet after a fault."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners

KEY = jax.random.key(0)
LOW, HIGH = envs.TwoRooms().action_space.low, envs.TwoRooms().action_space.high


def go(state, target):
    way = (target - state.position) / 2.45
    return 2.45 * way / jnp.maximum(jnp.linalg.norm(way), 1.0)


def problem(goal=(50.0, 50.0), guardrails=(), **options):
    energy = ebm.Approach("position", list(goal), tolerance=4.0, name="goal")
    return ebm.Problem(envs.TwoRooms(), energy, guardrails, **options)


def planner(**options):
    return planners.Subgoals(go, ebm.Box([4.0, 4.0], [60.0, 60.0]), **({"horizon": 60} | options))


def beginning(x=12.0, y=50.0):
    return envs.TwoRoomsState(jnp.array([x, y]), jnp.float32(32.0), jnp.float32(14.0))


def decide(planner, problem, state, plan_state=None, elapsed=1.0):
    plan_state = planner.init(problem, state, key=KEY) if plan_state is None else plan_state
    return eqx.filter_jit(planner.plan)(problem, state, plan_state, ebm.Now(0, jnp.zeros(2), elapsed))


def test_one_place_is_enough_to_go_around_a_wall():
    state = beginning()
    plan, _ = decide(planner(), problem(), state)
    straight = jax.lax.scan(lambda s, _: (envs.TwoRooms().step(s, go(s, jnp.array([50.0, 50.0]))),) * 2, state, length=60)[0]
    assert straight.position[0] < 32
    assert float(jnp.linalg.norm(plan.trajectory.states.position[-1] - jnp.array([50.0, 50.0]))) < 4
    assert plan.result == planners.RESULTS.successful


def test_it_arrives_in_closed_loop_and_says_where_the_goal_is_straight():
    model, state = envs.TwoRooms(), beginning()
    agent = planners.Agent(problem(), planner(num_samples=60))
    memory = agent.init(key=KEY)
    for _ in range(45):
        action, memory = agent.act(state, memory)
        state = model.step(state, action)
    assert float(jnp.linalg.norm(state.position - jnp.array([50.0, 50.0]))) < 4
    np.testing.assert_allclose(memory.plan_state.subgoals[-1], [50.0, 50.0], atol=30.0)


def test_guardrails_hold_and_actions_stay_in_the_box():
    wall = ebm.KeepBelow("position", 45.0, axis="x", name="edge")
    plan, _ = decide(planner(), problem(goal=(52.0, 14.0), guardrails=(wall,)), beginning(20.0, 14.0))
    assert float(jnp.max(plan.trajectory.states.position[:, 0])) <= 45.0 + 1e-4
    assert bool(jnp.all((plan.actions >= LOW) & (plan.actions <= HIGH)))


def test_limits_that_change_are_kept_while_it_imagines():
    low, high = LOW * 0.4, HIGH * 0.4
    plans = [
        decide(planner(num_samples=40), problem(goal=(12.0, 30.0), limits=limits), beginning())[0]
        for limits in (ebm.Box(low, high), ebm.Box(low[None], high[None]))
    ]
    np.testing.assert_allclose(plans[0].actions, plans[1].actions, atol=1e-5)
    np.testing.assert_allclose(plans[0].trajectory.states.position[-1], [12.0, 30.0], atol=4.0)


def test_a_state_that_is_not_finite_moves_the_last_plan_on():
    task, method = problem(), planner()
    plan, after = decide(method, task, beginning())
    broken = eqx.tree_at(lambda s: s.position, beginning(), jnp.array([jnp.nan, 1.0]))
    blind, kept = decide(method, task, broken, after, elapsed=2.0)
    assert blind.result == planners.RESULTS.nonfinite_state
    np.testing.assert_allclose(blind.actions[:-2], plan.actions[2:], atol=1e-5)
    assert bool(ebm.all_finite(kept.subgoals))
    again, _ = decide(method, task, beginning(), kept)
    assert again.result == planners.RESULTS.successful


def test_what_it_cannot_do_it_says():
    with pytest.raises(ValueError, match="one goal"):
        planner().init(ebm.Problem(envs.TwoRooms(), ebm.Effort()), beginning(), key=KEY)
    with pytest.raises(ValueError, match="`region`"):
        planners.Subgoals(go, ebm.Box([0.0], [1.0])).init(problem(), beginning(), key=KEY)
    with pytest.raises(ValueError, match="num_samples"):
        planner(num_samples=1)


def test_goals_do_not_retrace_and_vmap():
    task, method, traces = problem(), planner(num_samples=8, num_iterations=1, horizon=6), []

    @eqx.filter_jit
    def plan(task, plan_state):
        traces.append(None)
        return method.plan(task, beginning(), plan_state, ebm.Now(0, jnp.zeros(2), 1.0))

    plan_state = method.init(task, beginning(), key=KEY)
    first, _ = plan(task, plan_state)
    second, _ = plan(task.with_goal([10.0, 10.0]), plan_state)
    assert len(traces) == 1
    goals = jnp.array([[50.0, 50.0], [10.0, 10.0]])
    both = jax.vmap(lambda goal: method.plan(task.with_goal(goal), beginning(), plan_state, ebm.Now(0, jnp.zeros(2), 1.0))[0].energy)(goals)
    np.testing.assert_allclose(both, [first.energy, second.energy], rtol=1e-4)
