"""Proposals: noise of unit variance, and seeds; events; gradients that do not fight."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import Cart

import ebm
import envs
import planners

PROPOSALS = [planners.White(), planners.Coloured(0.5), planners.Coloured(), planners.OrnsteinUhlenbeck(0.6)]


@pytest.mark.parametrize("proposal", PROPOSALS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("knots", [1, 2, 7, 16])
def test_noise_has_unit_variance_at_every_knot(proposal, knots):
    noise = proposal.noise((4000, knots, 2), key=jax.random.key(0))
    np.testing.assert_allclose(jnp.std(noise, axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(jnp.mean(noise, axis=0), 0.0, atol=0.08)


def test_neighbours_hang_together_as_asked():
    noise = planners.OrnsteinUhlenbeck(0.6).noise((8000, 6, 1), key=jax.random.key(0))[..., 0]
    for lag in (1, 2, 3):
        np.testing.assert_allclose(jnp.mean(noise[:, lag:] * noise[:, :-lag]), 0.6**lag, atol=0.03)


@pytest.mark.parametrize("kind", [planners.MPPI, planners.CEM, planners.iCEM, planners.PredictiveSampling, planners.DIAL])
def test_every_sampling_planner_takes_every_proposal(kind):
    problem = envs.pendulum()
    state = problem.model.example_state()
    for proposal in PROPOSALS[1:]:
        planner = kind(horizon=10, num_samples=16, proposal=proposal)
        plan, _ = planner.plan(problem, state, planner.init(problem, state, key=jax.random.key(0)), ebm.Now(0, jnp.zeros(1), 0.0))
        assert bool(jnp.isfinite(plan.energy))


def test_a_good_seed_is_found_at_once():
    problem = envs.pendulum()
    state = eqx.tree_at(lambda s: (s.angle, s.velocity), problem.model.example_state(), (jnp.float32(0.3), jnp.float32(0.0)))
    balance = planners.follow(lambda state, time: jnp.clip(-20.0 * state.angle - 4.0 * state.velocity, -2.0, 2.0)[None])
    plans = []
    for proposal in (planners.White(), planners.Seeded(balance)):
        planner = planners.PredictiveSampling(horizon=30, num_samples=12, num_knots=30, noise=0.02, proposal=proposal)
        plan_state = planner.init(problem, state, key=jax.random.key(0))
        plans.append(eqx.filter_jit(planner.plan)(problem, state, plan_state, ebm.Now(0, jnp.zeros(1), 0.0))[0])
    assert float(plans[1].energy) < 0.5 * float(plans[0].energy)


def test_a_seed_is_tried_when_it_is_due():
    class Line(planners.AbstractProposal):
        def noise(self, shape, *, key):
            return jnp.zeros(shape)

        def seeds(self, problem, state, now, horizon):
            times = (now.tick + jnp.arange(horizon)).astype(jnp.float32) * problem.dt
            return (4.0 - 3.0 * times)[None, :, None]

    class Alike(ebm.AbstractStageEnergy):
        def stage(self, state, action, previous_action, time):
            return jnp.sum((action - (4.0 - 3.0 * time)) ** 2)

        def final(self, state, time):
            return jnp.zeros(())

    problem = ebm.Problem(Cart(), Alike())
    planner = planners.PredictiveSampling(24, 16, noise=0.0, proposal=Line())
    state, plan = problem.model.example_state(), eqx.filter_jit(planner.plan)
    plan_state, held = planner.init(problem, state, key=jax.random.key(0)), jnp.zeros(1)
    for tick in range(8):  # a knot every three steps: most plans begin between two
        found, plan_state = plan(problem, state, plan_state, ebm.Now(tick, held, 0.0 if tick == 0 else problem.dt))
        held = found.actions[0]
        np.testing.assert_allclose(held, [4.0 - 3.0 * tick * problem.dt], atol=0.03)


def test_a_policy_is_followed_inside_the_limits():
    problem = ebm.Problem(
        Cart(), ebm.Reach("joint:slider", 1.0), rate_limit=50.0, limits=ebm.Box(jnp.array([[2.0], [0.5]]), jnp.full((2, 1), 3.0))
    )
    state, now = problem.model.example_state(), ebm.Now(0, jnp.zeros(1), 0.02)
    push = planners.follow(lambda state, time: jnp.where(state.speed < 0.03, 99.0, -99.0)[None])
    actions = push(problem, state, now, 6)[0]
    np.testing.assert_allclose(actions, problem.project(actions, now), atol=1e-6)
    np.testing.assert_allclose(actions[:, 0], [2.0, 1.0, 0.5, 0.5, 0.5, 0.5])


def test_a_seed_that_is_not_a_number_is_none():
    problem = envs.pendulum()
    state = problem.model.example_state()
    policy = planners.follow(lambda state, time: jnp.where(time < 0.1, jnp.nan, 0.5)[None])
    for planner in (planners.MPPI(8, 16, proposal=planners.Seeded(policy)), planners.CEM(8, 16, proposal=planners.Seeded(policy))):
        plan_state = planner.init(problem, state, key=jax.random.key(0))
        for tick in range(3):
            plan, plan_state = eqx.filter_jit(planner.plan)(problem, state, plan_state, ebm.Now(tick, jnp.zeros(1), problem.dt))
            assert bool(ebm.all_finite(plan_state.mean))
            assert plan.result == planners.RESULTS.successful


def test_a_plan_for_another_goal_is_not_followed():
    problem = ebm.Problem(Cart(), ebm.Reach("joint:slider", 0.5, name="goal") + 0.01 * ebm.Effort())
    planner = planners.EventTriggered(planners.MPPI(horizon=12, num_samples=32), period=12, tolerance=0.01)
    plan = eqx.filter_jit(planner.plan)
    state = problem.model.example_state()
    found, plan_state = plan(problem, state, planner.init(problem, state, key=jax.random.key(0)), ebm.Now(0, jnp.zeros(1), 0.0))
    state = problem.model.step(state, found.actions[0])
    for goal, way in ((0.5, 1.0), (-0.5, -1.0)):
        now = ebm.Now(1, found.actions[0], problem.dt)
        again, _ = plan(problem.with_goal(goal), state, plan_state, now)
        assert float(again.actions[0, 0]) * way > 1.0
        assert bool(jnp.allclose(again.actions[:-1], found.actions[1:])) == (goal == 0.5)


def test_a_plan_is_followed_until_the_world_leaves_it():
    problem = envs.pendulum()
    planner = planners.EventTriggered(planners.MPPI(horizon=12, num_samples=16), period=4, tolerance=0.01)
    plan = eqx.filter_jit(planner.plan)
    state = problem.model.example_state()
    plan_state, held = planner.init(problem, state, key=jax.random.key(0)), jnp.zeros(1)
    anew, shoved_at = [], 6
    for tick in range(10):
        found, plan_state = plan(problem, state, plan_state, ebm.Now(tick, held, problem.dt))
        held = found.actions[0]
        np.testing.assert_allclose(found.trajectory.states.angle[0], state.angle, atol=1e-5)
        anew += [tick] if plan_state.age == 0 else []
        state = problem.model.step(state, held)
        if tick == shoved_at - 1:
            state = eqx.tree_at(lambda s: s.velocity, state, state.velocity + 0.5)
    assert anew == [0, 4, shoved_at]


@pytest.mark.parametrize("scale", [1e-12, 1e20])
def test_giving_way_does_not_depend_on_units(scale):
    gradients = jnp.array([[1.0, 0.0], [-0.5, 0.5], [0.2, -1.0]])
    key = jax.random.key(0)
    given = planners.PCGrad()(gradients * scale, key=key)
    np.testing.assert_allclose(given / scale, planners.PCGrad()(gradients, key=key), rtol=1e-4)


def test_gradients_that_conflict_give_way():
    combine = planners.PCGrad()
    orthogonal = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(combine(orthogonal, key=jax.random.key(0)), [1.0, 2.0])
    conflict = jnp.array([[1.0, 0.0], [-10.0, 1.0]])
    together = combine(conflict, key=jax.random.key(0))
    assert (conflict @ together > 0).all()
    assert (conflict @ jnp.sum(conflict, axis=0) < 0).any()
    # what a gradient has given up may set it against itself, which counts for nothing
    three = jax.random.normal(jax.random.key(2), (3, 2))
    for seed in range(20):
        key = jax.random.key(seed)
        order, expected = np.asarray(jax.random.permutation(key, 3)), np.zeros(2)
        for i, gradient in enumerate(np.asarray(three)):
            for other in (np.asarray(three[j]) for j in order if j != i):
                gradient = gradient - min(gradient @ other, 0.0) * other / (other @ other)
            expected += gradient
        np.testing.assert_allclose(combine(three, key=key), expected, atol=1e-5)
    planner = planners.GradientPlanner(horizon=8, num_starts=2, num_iterations=3, combine=combine, optimiser=optax.adamw(1.0))
    problem = envs.pendulum()
    state = problem.model.example_state()
    plan, _ = planner.plan(problem, state, planner.init(problem, state, key=jax.random.key(0)), ebm.Now(0, jnp.zeros(1), 0.0))
    assert bool(jnp.isfinite(plan.energy))
