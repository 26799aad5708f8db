"""Several levels: who plans when, what is handed down, and what happens when it cannot be reached."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from worlds import Cart

import ebm
import planners


class Place(ebm.AbstractState):
    """Where something is, m."""

    position: Float[Array, "*batch"]

    def read(self, name):
        return {"place": self.position[..., None]}[name]


class Coarse(ebm.AbstractWorldModel):
    """Goes as far as it is told, at once."""

    action_space: ebm.Box = ebm.Box([-0.5], [0.5])
    dt: float = eqx.field(static=True, default=0.5)

    def example_state(self):
        return Place(jnp.zeros(()))

    def step(self, state, action, latents=None):
        return Place(state.position + action[0])


def lower_problem(goal=3.0):
    energy = ebm.Reach("joint:slider", goal, tolerance=0.1, name="goal") + 0.1 * ebm.Velocity("joint:slider", tolerance=0.5)
    return ebm.Problem(Cart(), energy)


def hierarchy(goal=3.0, stride=0.5):
    coarse = eqx.tree_at(lambda m: (m.action_space.low, m.action_space.high), Coarse(), (jnp.array([-stride]), jnp.array([stride])))
    upper = ebm.Problem(coarse, ebm.Reach("place", goal, tolerance=0.1, name="goal"))
    return planners.HierarchicalProblem(upper, lower_problem(goal), lambda state: Place(state.position), planners.Subgoal(name="goal"))


def tower_of(height):
    problem, planner = hierarchy(), planners.HierarchicalPlanner(planners.MPPI(8, 32), planners.MPPI(25, 32), period=5)
    for level in range(1, height - 1):
        coarse = Coarse(ebm.Box([-1.0], [1.0]), 0.5 + level)
        top = ebm.Problem(coarse, ebm.Reach("place", 3.0, tolerance=0.1, name="goal"))
        upper = planners.HierarchicalProblem(top, problem.upper, lambda state: state)
        problem = planners.HierarchicalProblem(upper, problem.lower, problem.lift, problem.condition)
        planner = planners.HierarchicalPlanner(
            planners.HierarchicalPlanner(planners.MPPI(6, 32), planner.upper, period=2), planner.lower, period=5
        )
    return problem, planner


def drive(problem, planner, steps):
    agent = planners.Agent(problem, planner)
    state, memory, step, plans = problem.model.example_state(), agent.init(key=jax.random.key(0)), eqx.filter_jit(problem.model.step), []
    for _ in range(steps):
        action, plan, memory = agent.decide(state, memory)
        state = step(state, action)
        plans.append(plan)
    return state, plans


@pytest.mark.parametrize("height", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_tower_reaches_the_goal(height):
    state, plans = drive(*tower_of(height), 250)
    assert abs(float(state.position) - 3.0) < 0.2
    level = plans[-1]
    for _ in range(height - 1):
        level = level.upper
        assert isinstance(level, planners.Plan)
    assert level.upper is None
    assert plans[-1].actions.shape == (25, 1)


def test_the_upper_level_plans_every_period_only():
    problem, planner = hierarchy(), planners.HierarchicalPlanner(planners.MPPI(8, 32), planners.MPPI(25, 32), period=5, fallback=False)
    problem = eqx.tree_at(lambda p: p.lower.energy.parts[0].tolerance, problem, jnp.float32(10.0))  # everything counts as reachable
    _, plans = drive(problem, planner, 16)
    made = [int(plan.upper.trajectory.now.tick) for plan in plans]
    changes = [i for i in range(1, 16) if not np.array_equal(plans[i].upper.actions, plans[i - 1].upper.actions)]
    assert changes == [5, 10, 15]
    assert made == sorted(made)


def test_the_subgoal_is_what_is_due_above():
    subgoal = planners.Subgoal(name="goal")
    problem = hierarchy()
    actions = jnp.full((4, 1), 0.5)
    states = problem.upper.model.rollout(Place(jnp.zeros(())), actions)
    plan = planners.Plan(
        actions, ebm.Trajectory(states, actions, ebm.Now(0, jnp.zeros(1)), 0.5), jnp.zeros(()), {}, {}, planners.RESULTS.successful
    )
    for age, place in ((0.0, 0.5), (0.2, 0.5), (0.6, 1.0), (99.0, 2.0)):
        posed = subgoal(problem.lower, plan, jnp.float32(age))
        np.testing.assert_allclose(posed.energy.parts[0].goal, [place])


def test_an_unreachable_subgoal_makes_the_level_above_plan_again_and_the_flat_plan_may_win():
    # half a metre a step is fine, five metres are not: the lower level sees half a second
    problem = hierarchy(goal=0.3, stride=5.0)
    far = planners.Subgoal(read=lambda state: jnp.array([50.0]), name="goal")
    problem = eqx.tree_at(lambda p: p.condition, problem, far)
    state, _ = drive(problem, planners.HierarchicalPlanner(planners.MPPI(8, 32), planners.MPPI(25, 64), period=50), 100)
    assert abs(float(state.position) - 0.3) < 0.15
    without = planners.HierarchicalPlanner(planners.MPPI(8, 32), planners.MPPI(25, 64), period=50, fallback=False)
    state, _ = drive(problem, without, 100)
    assert float(state.position) > 1.0


def test_a_planner_beneath_is_a_world_above():
    model = planners.PlannerModel(lower_problem(), planners.MPPI(25, 32), ebm.Box([-1.0], [1.0]), period=25, name="goal")
    assert model.dt == pytest.approx(0.5)
    states = eqx.filter_jit(model.rollout)(model.example_state(), jnp.array([[0.3], [0.3]]))
    assert abs(float(states.position[-1]) - 0.3) < 0.1
    problem = ebm.Problem(model, ebm.Terminal(ebm.Reach("joint:slider", 0.4, tolerance=0.1, name="goal")))
    state = model.example_state()
    planner = planners.PredictiveSampling(horizon=2, num_samples=24, num_knots=2, noise=0.5)
    plan, _ = eqx.filter_jit(planner.plan)(
        problem, state, planner.init(problem, state, key=jax.random.key(0)), ebm.Now(0, jnp.zeros(1), 0.0)
    )
    assert abs(float(plan.trajectory.states.position[-1]) - 0.4) < 0.2


def with_a_waypoint(lower, plan, age):
    return ebm.Problem(lower.model, lower.energy + ebm.Reach("joint:slider", plan.trajectory.states.position[1:2], name="waypoint"))


def with_other_terms(lower, plan, age):
    return lower.relaxed(lower.energy + 0.01 * ebm.Effort())


def in_a_corridor(lower, plan, age):
    beyond = plan.trajectory.states.position[1:2] + 0.5
    return ebm.Problem(lower.model, lower.energy, ebm.KeepBelow("joint:slider", beyond, name="corridor"))


@pytest.mark.parametrize("condition", [with_a_waypoint, with_other_terms, in_a_corridor], ids=lambda condition: condition.__name__)
@pytest.mark.parametrize("fallback", [True, False])
def test_the_level_above_may_pose_another_kind_of_problem(condition, fallback):
    usual = hierarchy(1.0)
    problem = planners.HierarchicalProblem(usual.upper, usual.lower, usual.lift, condition)
    planner = planners.HierarchicalPlanner(planners.MPPI(8, 32), planners.MPPI(25, 32), period=5, fallback=fallback)
    state, plans = drive(problem, planner, 100)
    assert abs(float(state.position) - 1.0) < 0.3
    assert set(plans[-1].terms) == set(problem.energy.terms(plans[-1].trajectory))  # it is told as the task


def test_a_level_beneath_whose_limits_change_is_no_world():
    lower = ebm.Problem(Cart(), ebm.Reach("joint:slider", 1.0), limits=ebm.Box(jnp.full((3, 1), -1.0), jnp.full((3, 1), 1.0)))
    with pytest.raises(ValueError, match="one box"):
        planners.PlannerModel(lower, planners.MPPI(8, 16), ebm.Box([-1.0], [1.0]))


def test_a_goal_inside_a_world_is_not_the_task():
    beneath = planners.PlannerModel(ebm.Problem(Cart(), ebm.Reach("joint:slider", 0.0)), planners.MPPI(8, 16), ebm.Box([-1.0], [1.0]))
    problem = ebm.Problem(beneath, ebm.Reach("joint:slider", 1.0))
    assert len(ebm.goals(problem)) == 1
    moved = problem.with_goal(0.3, "reach")
    np.testing.assert_allclose(ebm.goals(moved)[0].goal, [0.3])


def test_levels_must_be_in_order():
    with pytest.raises(ValueError, match="slower"):
        planners.HierarchicalProblem(lower_problem(), hierarchy().upper, lambda state: state)
    with pytest.raises(ValueError, match="requires a HierarchicalProblem"):
        planners.HierarchicalPlanner(planners.MPPI(), planners.MPPI()).init(lower_problem(), Cart().example_state(), key=jax.random.key(0))
