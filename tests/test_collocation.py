"""States and actions optimised side by side."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from worlds import PointMass, now, point

import ebm
import planners


class Walker(PointMass):
    """A point that is where it was told to go, in a world whose derivative with respect to its own state lies."""

    def step(self, state, action, latents=None):
        held = jax.lax.stop_gradient(state.position)
        lie = 1e6 * (state.position - held)  # zero, with a slope: what a network may look like a little off its data
        return eqx.tree_at(lambda s: s.position, state, held + lie + self.dt * action)


def reach(x=1.0):
    return ebm.Reach("site:tip", jnp.array([x, 0.0]), name="goal") + 0.001 * ebm.Effort()


def planned(planner, problem, state, replans=3):
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    for _ in range(replans):
        plan, plan_state = eqx.filter_jit(planner.plan)(problem, state, plan_state, now())
    return plan


def test_comes_to_where_ilqr_does():
    problem, state = ebm.Problem(PointMass(), reach()), point((0.0, 0.0), (0.0, 0.0))
    best = planned(planners.ILQR(25, 10), problem, state)
    found = planned(planners.Collocation(25), problem, state)
    assert found.result == planners.RESULTS.successful
    assert found.energy <= 1.01 * best.energy


@pytest.mark.slow
def test_is_not_misled_by_slopes_through_states():
    problem, state = ebm.Problem(Walker(), reach(0.5)), point((0.0, 0.0), (0.0, 0.0))
    straight = problem.evaluate(state, jnp.tile(jnp.array([1.0, 0.0]), (12, 1)), now(), key=jax.random.key(0)).energy
    misled = planned(planners.GradientPlanner(12, num_starts=4, num_iterations=80), problem, state)
    found = planned(planners.Collocation(12, num_rounds=6, num_iterations=40, num_synced=0), problem, state, replans=5)
    assert found.energy < 1.1 * straight
    assert misled.energy > found.energy


def test_keeps_guardrails():
    problem = ebm.Problem(PointMass(), reach(), ebm.KeepBelow("joint:slider", 0.4, name="wall"))
    plan = planned(planners.Collocation(40), problem, point((0.0, 0.0), (0.0, 0.0)))
    assert plan.result == planners.RESULTS.successful
    assert jnp.max(plan.trajectory.states.position[:, 0]) <= 0.4


@pytest.mark.slow
def test_a_search_can_hand_over_to_it():
    problem, state = ebm.Problem(PointMass(), reach()), point((0.0, 0.0), (0.0, 0.0))
    hybrid = planners.HybridPlanner(planners.iCEM(20, 32, 2), planners.Collocation(20))
    assert planned(hybrid, problem, state, 1).energy <= planned(hybrid.search, problem, state, 1).energy


@pytest.mark.parametrize(("option", "value"), [("horizon", 0), ("num_rounds", 0), ("num_synced", -1)])
def test_refuses_what_makes_no_plan(option, value):
    with pytest.raises(ValueError, match=option):
        planners.Collocation(**{option: value})
