"""Laws every planner obeys, on every engine: contracts, time, rank."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lineup import build, grid, quick_first
from worlds import Cart, Learned, Slider

import ebm
import envs
import planners

CART = """
<mujoco>
  <option timestep="0.02"/>
  <worldbody>
    <body name="cart">
      <joint name="slider" type="slide" axis="1 0 0" damping="0.1"/><geom name="box" size="0.1 0.1 0.1" type="box" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="slider" ctrlrange="-5 5"/></actuator>
</mujoco>
"""


@functools.cache
def cart_model():
    import mujoco

    return envs.MujocoModel(mujoco.MjModel.from_xml_string(CART), parameters={"mass:cart": 1.0})


@functools.cache
def problem_on(engine):
    if engine == "mjx":
        pytest.importorskip("mujoco.mjx", reason="MJX comes with the extra `mjx`")
    models = {"c": cart_model, "analytic": Cart, "learned": Learned, "mjx": lambda: envs.MjxModel(cart_model().mj_model)}
    energy = ebm.Reach("joint:slider", 0.5, name="goal") + 0.001 * ebm.Effort()
    return ebm.Problem(models[engine](), energy, ebm.KeepBelow("joint:slider", 0.8, name="wall"))


def with_other_physics(problem, engine):
    """The same problem in a world of other numbers."""
    if engine == "c":
        return eqx.tree_at(lambda p: p.model, problem, problem.model.with_parameters({"mass:cart": 1.5}))
    if engine == "learned":
        return eqx.tree_at(lambda p: p.model.network.layers[0].bias, problem, jnp.ones(16))
    return problem  # these have none that can change


@functools.cache
def compiled(name):
    return eqx.filter_jit(build(name).plan)


def start(problem, name, seed=0):
    planner = build(name)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), problem.model.example_state())
    plan_state = planner.init(problem, state, key=jax.random.key(seed))
    return planner, state, plan_state, ebm.Now(0, jnp.zeros(problem.action_space.size), problem.dt)


every_planner = pytest.mark.parametrize("name", quick_first())


def everywhere(*quick):
    return pytest.mark.parametrize(("name", "engine"), grid(quick))


@everywhere("c")
def test_jit_equals_no_jit(name, engine):
    problem = problem_on(engine)
    _, state, _, now = start(problem, name)
    planner = build(name, horizon=4, num_samples=4, num_iterations=1)
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    plain, plain_state = planner.plan(problem, state, plan_state, now)
    jitted, jitted_state = eqx.filter_jit(planner.plan)(problem, state, plan_state, now)
    np.testing.assert_allclose(plain.actions, jitted.actions, rtol=1e-3, atol=1e-3)
    assert jax.tree.structure(plain_state) == jax.tree.structure(jitted_state)


@everywhere("analytic", "c")
def test_plans_beat_their_first_guess_and_never_change_structure(name, engine):
    problem = problem_on(engine)
    planner, state, plan_state, now = start(problem, name)
    plan, after = compiled(name)(problem, state, plan_state, now)

    def describe(tree):
        arrays = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
        return jax.tree.structure(tree), [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in arrays]

    assert describe(plan_state) == describe(after)
    again, later = compiled(name)(problem, state, after, now)
    assert describe(plan) == describe(again)
    assert describe(later) == describe(after)
    nothing = problem.evaluate(state, jnp.zeros_like(plan.actions), now, key=jax.random.key(0))
    assert plan.energy <= nothing.energy + 1e-4
    np.testing.assert_allclose(plan.energy, sum(plan.terms.values()), rtol=1e-4, atol=1e-4)
    assert planner.horizon == plan.actions.shape[0]
    assert not any(getattr(leaf, "weak_type", False) for leaf in jax.tree.leaves(eqx.filter((plan, after), eqx.is_array)))


@everywhere("c")
def test_vmap_over_goals_equals_a_loop(name, engine):
    problem = problem_on(engine)
    planner, state, plan_state, now = start(problem, name)
    goals = jnp.array([[0.2], [-0.3]])
    axes = ebm.goal_axes(problem)
    many = eqx.filter_vmap(lambda goal: problem.with_goal(goal, "goal"), out_axes=axes)(goals)
    together, _ = eqx.filter_jit(eqx.filter_vmap(planner.plan, in_axes=(axes, None, None, None)))(many, state, plan_state, now)
    for i, goal in enumerate(goals):
        alone, _ = compiled(name)(problem.with_goal(goal, "goal"), state, plan_state, now)
        np.testing.assert_allclose(together.actions[i], alone.actions, rtol=2e-3, atol=2e-3)


@every_planner
def test_vmap_over_seeds_gives_different_plans(name):
    problem = problem_on("analytic")
    planner, state, _, now = start(problem, name)
    states = jax.vmap(lambda key: planner.init(problem, state, key=key))(jax.random.split(jax.random.key(0), 3))
    plans, _ = eqx.filter_jit(eqx.filter_vmap(lambda plan_state: planner.plan(problem, state, plan_state, now)))(states)
    assert plans.actions.shape[0] == 3
    assert bool(jnp.all(jnp.isfinite(plans.energy)))


@everywhere("c")
def test_nothing_retraces(name, engine):
    problem = problem_on(engine)
    planner, state, plan_state, now = start(problem, name)
    traces = []

    @eqx.filter_jit
    def plan(problem, state, plan_state, now):
        traces.append(1)
        return planner.plan(problem, state, plan_state, now)

    _, plan_state = plan(problem, state, plan_state, now)
    weighted = eqx.tree_at(lambda p: p.energy.weights, problem, tuple(2.0 * w for w in problem.energy.weights))
    moved = jax.tree.map(lambda leaf: leaf + 0.1, state)
    for changed in (problem.with_goal(0.3, "goal"), with_other_physics(problem, engine), weighted):
        _, plan_state = plan(changed, moved, plan_state, ebm.Now(7, jnp.ones(1), 0.01))
    assert len(traces) == 1


@pytest.mark.parametrize("name", quick_first(("mppi", "icem", "gradient", "ilqr")))
def test_the_goal_is_reached(name):
    problem = problem_on("c")
    agent = planners.Agent(problem, build(name, horizon=25, num_samples=64, num_iterations=3, num_simulations=64, width=16))
    memory, state = agent.init(key=jax.random.key(0)), problem.model.example_state()
    step = eqx.filter_jit(problem.model.step)
    for _ in range(150):
        action, memory = agent.act(state, memory)
        state = step(state, action)
    assert abs(float(state.read("joint:slider")[0]) - 0.5) < 0.1


@pytest.mark.parametrize("name", ["mppi", pytest.param("cem", marks=pytest.mark.slow), pytest.param("covariance", marks=pytest.mark.slow)])
def test_a_plan_is_never_worse_than_following_the_last_one(name):
    # With few wide samples, one of which looked good: dropping it after its first action would leave the cart with that push.
    problem = ebm.Problem(Cart(), problem_on("analytic").energy)
    planner = planners.planner(name, horizon=20, num_samples=16, num_knots=20, basis=planners.ZeroOrder(), noise=0.8)
    plan_once = eqx.filter_jit(planner.plan)
    state, energy = (
        Slider(jnp.float32(0.45), jnp.float32(0.02)),
        eqx.filter_jit(lambda s, a, n: problem.evaluate(s, a, n, key=jax.random.key(0)).energy),
    )
    plan_state, held = planner.init(problem, state, key=jax.random.key(0)), jnp.zeros(1)
    last = None
    for tick in range(40):
        now = ebm.Now(tick, held, problem.dt)
        plan, plan_state = plan_once(problem, state, plan_state, now)
        if last is not None:
            followed = energy(state, jnp.concatenate([last.actions[1:], last.actions[-1:]]), now)
            assert float(plan.energy) <= float(followed) * (1 + 1e-4) + 1e-6, tick
        last, held, state = plan, plan.actions[0], problem.model.step(state, plan.actions[0])


@pytest.mark.parametrize("name", quick_first(("mppi", "ilqr")))
def test_plans_keep_limits_that_change(name):
    # a box around a moving value, at times away from where the energy would go
    middle = jnp.array([0.0, 0.4, -0.6, 0.8, 0.2, -0.2, 0.5, 0.0])[:, None]
    task = problem_on("analytic")
    task = ebm.Problem(task.model, task.energy, limits=ebm.Box(middle - 0.1, middle + 0.1))
    planner, state, plan_state, _ = start(task, name)
    plan_once = eqx.filter_jit(planner.plan)
    for tick in (0, 3):
        plan, plan_state = plan_once(task, state, plan_state, ebm.Now(tick, jnp.zeros(1), task.dt))
        due = middle[jnp.clip(tick + jnp.arange(plan.actions.shape[0]), 0, 7)]
        assert (jnp.abs(plan.actions - due) <= 0.1 + 1e-6).all()


def test_guardrails_are_not_traded():
    problem = problem_on("c").with_goal(2.0, "goal")  # beyond the wall at 0.8
    agent = planners.Agent(problem, planners.MPPI(horizon=25, num_samples=64))
    memory, state = agent.init(key=jax.random.key(0)), problem.model.example_state()
    step = eqx.filter_jit(problem.model.step)
    furthest = 0.0
    for _ in range(150):
        action, memory = agent.act(state, memory)
        state = step(state, action)
        furthest = max(furthest, float(state.read("joint:slider")[0]))
    assert 0.5 < furthest <= 0.8 + 1e-3


def test_a_planner_says_what_it_requires():
    class Sampled(ebm.AbstractProblem):
        model: ebm.AbstractWorldModel

        @property
        def provides(self):
            return frozenset()

        def evaluate(self, state, actions, now, *, key):
            raise AssertionError

        def project(self, actions, now):
            return actions

    with pytest.raises(ValueError, match="requires 'gradient'"):
        planners.GradientPlanner().init(Sampled(cart_model()), cart_model().example_state(), key=jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"horizon": 0}, "horizon"), ({"num_samples": 1}, "num_samples"), ({"num_knots": 0}, "num_knots"), ({"horizons": 3}, "no option")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        planners.planner("mppi", **options)


def test_unknown_names_list_the_near_ones():
    with pytest.raises(ValueError, match="'mppi'"):
        planners.planner("mpi")
    with pytest.raises(ValueError, match="cannot be imported"):
        planners.planner("no_such_module:Planner")
    with pytest.raises(ValueError, match="not a planner"):
        planners.planner("collections:OrderedDict")


def test_a_plan_knows_which_action_is_due():
    problem = problem_on("c")
    _, state, plan_state, _ = start(problem, "mppi")
    plan, _ = compiled("mppi")(problem, state, plan_state, ebm.Now(10, jnp.zeros(1), 0.02))
    np.testing.assert_array_equal(plan.action(12), plan.actions[2])
    np.testing.assert_array_equal(plan.action(3), plan.actions[0])
    np.testing.assert_array_equal(plan.action(99), plan.actions[-1])
