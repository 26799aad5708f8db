"""What planners do at a limit, beside a wall, and after a fault: whatever happens, the next good state finds them as good as before."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_hierarchical import hierarchy, lower_problem
from worlds import Cart, Slider

import ebm
import planners

KEY = jax.random.key(0)
WALL = ebm.KeepBelow("joint:slider", 0.3, name="wall")
GOAL = ebm.Reach("joint:slider", 0.5, name="goal") + 0.001 * ebm.Effort()
SUCCESS = planners.RESULTS.successful


def at(position, speed=0.0):
    return Slider(jnp.float32(position), jnp.float32(speed))


def now(tick=0, previous=0.0, elapsed=0.02):
    return ebm.Now(tick, [previous], elapsed)


def drive(problem, planner, steps, broken=lambda k, state: state, elapsed=lambda k: None):
    """Where a cart goes, whether each plan was good, and what was sent."""
    agent = planners.Agent(problem, planner)
    memory, state, went, good, sent = agent.init(key=KEY), at(0.0), [], [], []
    for k in range(steps):
        action, plan, memory = agent.decide(broken(k, state), memory, elapsed=elapsed(k))
        state = problem.model.step(state, action)
        went.append(float(state.position))
        good.append(bool(plan.result == SUCCESS))
        sent.append(float(action[0]))
    return np.array(went), np.array(good), np.array(sent), memory


def once(problem, planner, state):
    """The first plan."""
    return eqx.filter_jit(planner.plan)(problem, state, planner.init(problem, state, key=KEY), now())[0]


@pytest.mark.parametrize("planner", [planners.ILQR(25, 3), planners.planner("lagrangian")], ids=["ilqr", "lagrangian"])
def test_who_descends_comes_to_a_wall_from_the_safe_side(planner):
    went, good, _, _ = drive(ebm.Problem(Cart(), GOAL, WALL), planner, 50)
    assert good.all()
    assert went.max() <= 0.3
    assert went[-1] > 0.25


def test_the_linear_planner_knows_how_slowly_an_action_may_change():
    energy = ebm.Reach("joint:slider", 1.0, tolerance=0.1) + 0.1 * ebm.Velocity("joint:slider", tolerance=0.5) + 0.01 * ebm.Effort()
    problem = ebm.Problem(Cart(), energy, rate_limit=12.0)
    went, good, sent, _ = drive(problem, planners.ILQR(50), 120)
    assert good.all()
    assert np.abs(np.diff(sent)).max() <= 12.0 * 0.02 + 1e-5
    assert went.max() < 1.3
    assert abs(went[-1] - 1.0) < 0.1


@pytest.mark.parametrize("planner", [planners.MPPI(8, 16), planners.ILQR(8, 2), planners.planner("lagrangian", horizon=8)])
def test_no_time_between_two_plans_is_too_long(planner):
    problem = ebm.Problem(Cart(), GOAL, WALL)
    plan, plan_state = eqx.filter_jit(planner.plan), planner.init(problem, at(0.0), key=KEY)
    for tick, elapsed in enumerate((0.02, 1e7, 1e38, np.inf, 0.05)):
        found, plan_state = plan(problem, at(0.0), plan_state, now(tick, elapsed=elapsed))
        assert found.result == SUCCESS
        assert bool(ebm.all_finite(plan_state))


@pytest.mark.parametrize("name", ["beam", "tree"])
def test_searches_know_how_slowly_an_action_may_change(name):
    problem = ebm.Problem(Cart(), ebm.Reach("joint:slider", 2.0, tolerance=0.3), ebm.KeepBelow("joint:slider", 0.8), rate_limit=20.0)
    went, good, sent, _ = drive(problem, planners.planner(name, horizon=50, hold=5), 60)
    assert good.all()
    assert 0.4 < went.max() <= 0.8
    assert np.abs(np.diff(sent)).max() <= 20.0 * 0.02 + 1e-5


def test_gradients_find_into_a_box_that_moves():
    schedule = ebm.Box(np.full((100, 1), 2.0), np.full((100, 1), 5.0))
    energies = []
    for limits in (schedule, ebm.Box([2.0], [5.0])):
        problem, planner = ebm.Problem(Cart(), ebm.Reach("velocity:joint:slider", 1.4), limits=limits), planners.GradientPlanner(20, 1, 30)
        plan = once(problem, planner, at(0.0))
        assert plan.result == SUCCESS
        energies.append(float(plan.energy))
    assert energies[0] == pytest.approx(energies[1], rel=0.02)


@pytest.mark.parametrize("fallback", [True, False])
def test_a_hierarchy_is_blind_for_one_step_only(fallback):
    problem = hierarchy(goal=0.4)
    planner = planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.MPPI(10, 16), period=10, fallback=fallback)

    def broken(k, state):
        return at(np.nan, np.nan) if k in (0, 13) else state

    times = {5: np.nan, 7: -100.0, 20: np.inf}
    _, good, sent, memory = drive(problem, planner, 36, broken, lambda k: times.get(k))
    assert list(np.flatnonzero(~good)) == [0, 13]
    assert np.isfinite(sent).all()
    assert np.abs(sent[1:10]).max() > 1.0  # it goes for its goal
    assert int(memory.plan_state.plan.trajectory.now.tick) >= 1  # and the upper level goes on planning


@pytest.mark.parametrize("fallback", [True, False])
def test_below_a_level_that_cannot_plan_the_whole_task_is_planned(fallback):
    base = hierarchy(goal=0.4)
    blind = planners.HierarchicalProblem(base.upper.with_goal(np.nan), base.lower, base.lift, planners.Subgoal(name="goal"))
    planner = planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.MPPI(20, 32), period=5, fallback=fallback)
    went, *_, memory = drive(blind, planner, 60)
    assert abs(went[-1] - 0.4) < 0.15
    assert memory.plan_state.plan.result != SUCCESS
    *_, memory = drive(base, planner, 6)
    assert memory.plan_state.plan.result == SUCCESS
    plan, _ = eqx.filter_jit(planner.plan)(blind, at(0.0), memory.plan_state, now(6, elapsed=0.2))
    assert plan.result == SUCCESS
    assert plan.upper.result != SUCCESS  # the plan above has grown old, and no other has come


def test_the_level_above_is_told_what_it_holds():
    base = hierarchy(goal=3.0)
    slow = ebm.Problem(base.upper.model, base.upper.energy, rate_limit=0.2)  # 0.1 m a step of 0.5 s
    problem = planners.HierarchicalProblem(slow, base.lower, base.lift, base.condition)
    planner = planners.HierarchicalPlanner(planners.MPPI(6, 64), planners.MPPI(10, 16), period=75, fallback=False)  # 3 steps above
    step, state, memory = eqx.filter_jit(planner.plan), at(0.0), planner.init(problem, at(0.0), key=KEY)
    _, memory = step(problem, state, memory, now(0))
    before = memory.plan.actions
    assert abs(float(before[2, 0])) > 0.25
    plan, memory = step(problem, state, memory, now(75, elapsed=1.5))
    np.testing.assert_allclose(plan.upper.trajectory.now.previous_action, before[2])
    plan, memory = step(problem, state, memory, now(76, elapsed=np.nan))
    assert np.isfinite(memory.age)


class Stuck(eqx.Module):
    """Notes how often one was stuck, and where."""

    def init(self):
        return jnp.zeros(2)

    def learn(self, notes, here, there):
        return notes + jnp.stack([jnp.ones(()), here.position])

    def recall(self, state, notes):
        return state


def test_a_state_that_is_not_a_number_is_not_one_that_cannot_be_reached():
    base = hierarchy(goal=0.4)
    problem = planners.HierarchicalProblem(base.upper, base.lower, base.lift, base.condition, Stuck())
    planner = planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.MPPI(10, 16), period=10)
    *_, memory = drive(problem, planner, 12, lambda k, state: at(np.nan) if 3 <= k < 9 else state)
    assert float(memory.plan_state.notes[0]) == 0.0
    away = planners.HierarchicalProblem(
        base.upper, base.lower, base.lift, planners.Subgoal(read=lambda _: jnp.array([-50.0]), name="goal"), Stuck()
    )
    *_, memory = drive(away, planner, 12)
    assert float(memory.plan_state.notes[0]) == 4.0  # every third step
    assert bool(jnp.isfinite(memory.plan_state.notes).all())


def test_a_hierarchy_can_be_what_a_hybrid_refines():
    levels = planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.MPPI(10, 16), period=10)
    plan = once(hierarchy(), planners.HybridPlanner(levels, planners.GradientPlanner(10, 1, 3)), at(0.0))
    assert plan.result == SUCCESS
    assert plan.upper is not None


def test_the_flat_fallback_never_trades_a_guardrail():
    near = ebm.KeepBelow("joint:slider", 0.05, name="wall")
    lower = ebm.Problem(Cart(), ebm.Reach("joint:slider", 3.0, tolerance=0.1, name="goal"), near)
    away = planners.Subgoal(read=lambda state: jnp.array([-50.0]), name="goal")
    base = hierarchy()
    problem = planners.HierarchicalProblem(base.upper, lower, base.lift, away)
    planner = planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.PredictiveSampling(25, 2, noise=3.0), period=10)
    assert once(problem, planner, at(0.0)).result == SUCCESS


def test_a_hierarchy_shows_the_task_to_those_who_look_into_it():
    problem = planners.HierarchicalProblem(hierarchy().upper, ebm.Problem(Cart(), GOAL, WALL), hierarchy().lift)
    assert problem.guardrails[0].name == "wall"
    assert not problem.relaxed(GOAL).guardrails
    action, changed = eqx.filter_jit(planners.BackupFilter(20))(problem, at(0.2, 2.0), jnp.array([5.0]), now())
    assert changed
    assert action[0] < 0
    assert once(problem, planners.ILQR(8, 1), at(0.0)).result == SUCCESS


class Blank(ebm.AbstractStageEnergy):
    """An energy that is not a number."""

    def stage(self, state, action, previous_action, time):
        return jnp.float32(np.nan)

    def final(self, state, time):
        return jnp.float32(0.0)


def test_a_backup_needs_no_energy():
    backup = eqx.filter_jit(planners.BackupFilter(40))
    sent = [backup(ebm.Problem(Cart(), energy, WALL), at(0.1, 1.4), jnp.array([5.0]), now())[0] for energy in (GOAL, Blank())]
    np.testing.assert_array_equal(*sent)
    assert sent[0][0] < 0


@pytest.mark.parametrize("far", [1e6, -1e12, 1e25])
def test_multipliers_learn_nothing_from_what_is_hopeless(far):
    problem, planner = ebm.Problem(Cart(), GOAL, ebm.KeepBelow("joint:slider", 0.8)), planners.AugmentedLagrangian(planners.ILQR(12, 2), 2)
    steps = [drive(problem, planner, 8, lambda k, state, bad=bad: at(far) if bad and k == 3 else state) for bad in (False, True)]
    assert steps[1][1][4:].all()
    assert float(jnp.max(steps[1][3].plan_state.multipliers)) < 100.0
    assert steps[1][0][-1] == pytest.approx(steps[0][0][-1], abs=0.05)


class Brittle(Cart):
    """Breaks when it is pushed by more than 1 N."""

    def step(self, state, action, latents=None):
        after = super().step(state, action)
        return eqx.tree_at(lambda s: s.speed, after, jnp.where(jnp.abs(action[0]) > 1.0, jnp.nan, after.speed))


def test_ilqr_leaves_a_plan_in_which_the_world_is_lost():
    problem, planner = ebm.Problem(Brittle(), GOAL), planners.ILQR(30, 2, noise=0.5)
    memory, step, good = planner.init(problem, at(0.0), key=KEY), eqx.filter_jit(planner.plan), []
    for k in range(4):
        plan, memory = step(problem, at(0.0), memory, now(k))
        good.append(bool(plan.result == SUCCESS))
    assert good == [False, True, True, True]


@pytest.mark.parametrize("elapsed", [np.inf, np.nan, -1.0, 1e30])
def test_no_time_breaks_the_clock(elapsed):
    low, high = np.full((6, 1), -5.0), np.full((6, 1), 5.0)
    low[3:] = 2.0
    agent = planners.Agent(ebm.Problem(Cart(), GOAL, limits=ebm.Box(low, high)), planners.MPPI(4, 8))
    memory = agent.init(key=KEY)
    for _ in range(4):
        action, memory = agent.act(at(0.0), memory, elapsed=elapsed)
        assert np.isfinite(action).all()
        assert (int(memory.tick) == 0) == (elapsed < 0.0)
    assert agent.act(at(0.0), memory)[0][0] >= 2.0


def test_a_plan_that_is_followed_stays_in_the_limits():
    low, high = np.full((20, 1), -5.0), np.full((20, 1), 5.0)
    high[6:] = 1.0
    problem = ebm.Problem(Cart(), ebm.Reach("joint:slider", 5.0), limits=ebm.Box(low, high), rate_limit=200.0)
    planner = planners.EventTriggered(planners.MPPI(4, 16), period=4)
    state, memory, previous = at(0.0), planner.init(problem, at(0.0), key=KEY), 0.0
    step = eqx.filter_jit(planner.plan)
    for k in range(10):
        plan, memory = step(problem, state, memory, now(k, previous))
        np.testing.assert_allclose(problem.project(plan.actions, now(k, previous)), plan.actions, atol=1e-4)
        previous = -3.0 if k == 4 else float(plan.actions[0, 0])  # somebody else took over for a step
        state = problem.model.step(state, jnp.array([previous]))


def test_a_plan_that_is_followed_says_what_comes_of_it_now():
    problem = ebm.Problem(Cart(), GOAL, WALL)
    planner = planners.EventTriggered(planners.MPPI(8, 32), period=4)
    evaluate, step = eqx.filter_jit(problem.evaluate), eqx.filter_jit(planner.plan)
    state, memory, followed = at(0.0), planner.init(problem, at(0.0), key=KEY), 0
    for k in range(9):
        plan, memory = step(problem, state, memory, now(k))
        value = evaluate(state, plan.actions, now(k), key=KEY)
        np.testing.assert_allclose(plan.energy, value.energy, rtol=1e-5)
        np.testing.assert_allclose(plan.violations["wall"], value.violations["wall"], atol=1e-6)
        assert bool(plan.result == SUCCESS) == bool(value.violation <= 0)
        followed += bool(memory.age > 0)
        state = problem.model.step(state, plan.actions[0])
    assert followed >= 3


def test_a_plan_is_not_followed_for_another_goal_above():
    problem = hierarchy(goal=0.4)
    planner = planners.EventTriggered(planners.HierarchicalPlanner(planners.MPPI(4, 8), planners.MPPI(10, 16)), period=8, tolerance=1.0)
    step = eqx.filter_jit(planner.plan)
    _, memory = step(problem, at(0.0), planner.init(problem, at(0.0), key=KEY), now())
    assert step(problem, at(0.0), memory, now())[1].age > 0
    other = planners.HierarchicalProblem(problem.upper.with_goal(-0.4), problem.lower, problem.lift, problem.condition)
    assert step(other, at(0.0), memory, now())[1].age == 0


@pytest.mark.parametrize("change", ["wall", "weight"])
def test_a_plan_is_not_followed_when_something_else_is_wished_for(change):
    problem = ebm.Problem(Cart(), ebm.Reach("joint:slider", 0.5, name="goal") + 0.001 * ebm.Effort(), WALL)
    planner = planners.EventTriggered(planners.MPPI(8, 32), period=8)
    step = eqx.filter_jit(planner.plan)
    _, memory = step(problem, at(0.0), planner.init(problem, at(0.0), key=KEY), now())
    assert step(problem, at(0.0), memory, now())[1].age > 0
    heavier = ebm.Reach("joint:slider", 0.5, name="goal") + 0.002 * ebm.Effort()
    changed = {
        "wall": ebm.Problem(problem.model, problem.energy, ebm.KeepBelow("joint:slider", 0.2, name="wall")),
        "weight": ebm.Problem(problem.model, heavier, WALL),
    }
    assert step(changed[change], at(0.0), memory, now())[1].age == 0


class Careless(planners.AbstractPlanner):
    """A stranger's planner, whose plans are no numbers, and which does not notice."""

    horizon: int = eqx.field(static=True, default=4)

    def init(self, problem, state, *, key):
        return None

    def plan(self, problem, state, plan_state, now):
        good = problem.evaluate(state, jnp.zeros((4, 1)), now, key=KEY)
        return planners.Plan(jnp.full((4, 1), jnp.nan), good.trajectory, good.energy, good.terms, good.violations, SUCCESS), None


def test_a_plan_that_is_no_number_is_said_to_be_none():
    for fallback, expected in ((None, 0.0), (lambda state, now: jnp.array([-1.5]), -1.5)):
        agent = planners.Agent(ebm.Problem(Cart(), GOAL), Careless(), fallback=fallback)
        action, plan, _ = agent.decide(at(0.0), agent.init(key=KEY))
        assert plan.result == planners.RESULTS.nonfinite_plan
        np.testing.assert_allclose(action, expected)


@pytest.mark.parametrize("planner", [planners.MPPI(4, 8), planners.ILQR(4)], ids=["mppi", "ilqr"])
def test_a_clock_that_is_full_stands_still(planner):
    low, high = np.full((3, 1), -5.0), np.full((3, 1), 5.0)
    high[2:] = 1.0
    problem = ebm.Problem(Cart(), ebm.Reach("joint:slider", 5.0), limits=ebm.Box(low, high))
    late = ebm.Now(2**31 - 1, [0.0], 0.02)
    plan, _ = eqx.filter_jit(planner.plan)(problem, at(0.0), planner.init(problem, at(0.0), key=KEY), late)
    assert (plan.actions <= 1.0).all()
    assert (np.diff(plan.trajectory.times) >= 0).all()


def test_a_loop_in_real_time_keeps_to_schedules_and_rates():
    clock = [0.0]
    low, high = np.full((10, 1), -5.0), np.full((10, 1), 5.0)
    low[3:] = 2.0

    def sent(problem, fallback):
        clock[0] = 0.0
        agent = planners.Agent(problem, planners.MPPI(2, 8))
        loop = planners.Realtime(agent, clock=lambda: clock[0], max_age=0.05, fallback=fallback)
        with pytest.raises(RuntimeError, match="start"):
            loop.action()
        assert loop.statistics.plans == 0
        out = []
        with loop.start(at(0.0)):
            for _ in range(8):
                out.append(float(loop.action()[0]))
                clock[0] += 0.02
        return np.array(out)

    for fallback in (None, lambda seen: [-5.0]):
        actions = sent(ebm.Problem(Cart(), GOAL, limits=ebm.Box(low, high)), fallback)
        assert (actions[3:] >= 2.0).all()
    slow = sent(ebm.Problem(Cart(), GOAL, rate_limit=10.0), lambda seen: [-5.0])
    assert np.abs(np.diff(np.concatenate([[0.0], slow]))).max() <= 0.2 + 1e-6


@pytest.mark.parametrize("search", ["tree", "categorical"])
def test_any_search_can_be_refined(search):
    planner = planners.HybridPlanner(planners.planner(search, horizon=8), planners.GradientPlanner(8, 1, 3))
    assert once(ebm.Problem(Cart(), GOAL), planner, at(0.0)).result == SUCCESS
    with pytest.raises(ValueError, match="ILQR"):
        planners.HybridPlanner(planners.MPPI(8), planners.Subgoals(lambda state, target: target, ebm.Box([0.0], [1.0]), horizon=8))


@pytest.mark.parametrize("planner", [planners.iCEM(4, 8), planners.ILQR(4, 2), planners.TreeSearch(4, 8)], ids=["icem", "ilqr", "tree"])
def test_double_precision_around_it_changes_nothing(planner):
    with jax.enable_x64(True):
        agent = planners.Agent(ebm.Problem(Cart(), GOAL, WALL), planner)
        memory = agent.init(key=jax.random.key(0))
        action, after = agent.act(Slider(np.float64(0.0), np.float64(0.0)), memory)
    assert action.dtype == jnp.float32
    assert [leaf.dtype for leaf in jax.tree.leaves(memory)] == [leaf.dtype for leaf in jax.tree.leaves(after)]


def test_double_precision_without_an_agent_is_refused():
    with jax.enable_x64(True), pytest.raises(ValueError, match="Agent"):
        planners.MPPI(4).init(lower_problem(), at(0.0), key=KEY)
