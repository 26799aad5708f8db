"""The linear-quadratic planner: exact where the world is linear, within its box, and honest about what it cannot do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from worlds import Cart, Slider

import ebm
import envs
import planners
from planners._box_qp import box_qp, to_convex

CART = Cart(ebm.Box([-100.0], [100.0]), 0.1)
START = Slider(jnp.float32(1.0), jnp.float32(0.5))


class Quadratic(ebm.AbstractStageEnergy):
    """½ xᵀx + ½ r u² per second."""

    price: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)

    def stage(self, state, action, previous_action, time):
        return 0.5 * (state.position**2 + state.speed**2) + 0.5 * self.price * jnp.sum(action**2)

    def final(self, state, time):
        return 5.0 * (state.position**2 + state.speed**2)


class Whole(ebm.AbstractEnergy[ebm.Trajectory]):
    """The same, but not as a sum over time."""

    energy: ebm.AbstractStageEnergy

    def __call__(self, x):
        return self.energy(x)


def now(size=1):
    return ebm.Now(0, jnp.zeros(size), 0.0)


def solve(problem, state=START, **options):
    planner = planners.ILQR(**options)

    plan_state = planner.init(problem, state, key=jax.random.key(0))
    return eqx.filter_jit(planner.plan)(problem, state, plan_state, now(problem.action_space.size))[0]


def riccati_actions(model, horizon, price=0.1):
    """The optimum by the textbook's recursion, in float64."""
    dt = model.dt
    a, b = np.array([[1, dt], [0, 1]]), np.array([[dt**2], [dt]])
    value, gains = 10.0 * np.eye(2), []
    for _ in range(horizon):
        gain = np.linalg.solve(dt * price * np.eye(1) + b.T @ value @ b, b.T @ value @ a)
        value = dt * np.eye(2) + a.T @ value @ (a - b @ gain)
        gains.append(gain)
    x, actions = np.array([1.0, 0.5]), []
    for gain in gains[::-1]:
        u = -gain @ x
        actions.append(u)
        x = a @ x + b @ u
    return np.array(actions)


@pytest.mark.parametrize("whole", [False, True])
def test_a_linear_quadratic_problem_is_solved_exactly(whole):
    model = CART
    energy = Whole(Quadratic()) if whole else Quadratic()
    plan = solve(ebm.Problem(model, energy), horizon=15, num_iterations=6)
    np.testing.assert_allclose(plan.actions, riccati_actions(model, 15), rtol=2e-3, atol=2e-3)


def test_the_box_is_part_of_the_problem():
    model = eqx.tree_at(lambda m: (m.action_space.low, m.action_space.high), CART, (jnp.array([-0.8]), jnp.array([0.8])))
    problem = ebm.Problem(model, Quadratic())
    plan = solve(problem, horizon=15, num_iterations=8)
    assert (jnp.abs(plan.actions) <= 0.8).all()
    assert (jnp.abs(plan.actions) > 0.799).any()

    def cost(actions):
        return problem.evaluate(START, actions, now(), key=jax.random.key(0)).energy

    # the first-order condition of a minimum in a box: nothing to gain inside, and no way out at a limit
    slope = jax.grad(cost)(plan.actions)
    inside = jnp.abs(plan.actions) < 0.799
    np.testing.assert_allclose(jnp.where(inside, slope, 0.0), 0.0, atol=2e-3)
    assert (jnp.where(inside, 0.0, slope * jnp.sign(plan.actions)) <= 1e-3).all()


def test_a_smooth_guardrail_is_kept_by_multipliers():
    energy = ebm.Reach("joint:slider", 3.0, tolerance=0.3, name="goal") + Quadratic()
    problem = ebm.Problem(CART, energy, ebm.KeepBelow("joint:slider", 1.4, name="wall"))
    planner = planners.AugmentedLagrangian(planners.ILQR(horizon=15, num_iterations=5, penalty=0.0), num_rounds=6)
    state = START
    plan_state = planner.init(problem, state, key=jax.random.key(0))
    plan = eqx.filter_jit(planner.plan)
    for _ in range(3):
        found, plan_state = plan(problem, state, plan_state, now())
    unlimited = solve(ebm.Problem(problem.model, energy), horizon=15, num_iterations=5)
    assert float(jnp.max(unlimited.trajectory.states.position)) > 1.6
    assert float(jnp.max(found.trajectory.states.position[1:])) < 1.402
    assert float(jnp.max(found.trajectory.states.position[1:])) > 1.35  # close to the wall, where the optimum is


def test_a_pendulum_swings_up_and_stays():
    problem = envs.pendulum()
    agent = planners.Agent(problem, planners.ILQR(horizon=50, num_iterations=5))
    state, memory = problem.model.example_state(), agent.init(key=jax.random.key(1))
    step = eqx.filter_jit(problem.model.step)
    for _ in range(150):
        action, memory = agent.act(state, memory)
        state = step(state, action)
    assert abs(float(jnp.arctan2(jnp.sin(state.angle), jnp.cos(state.angle)))) < 0.05


def test_an_accepted_step_never_raises_the_energy():
    problem = envs.cart_pole()
    energies = [float(solve(problem, problem.model.example_state(), horizon=40, num_iterations=n).energy) for n in (1, 3, 6, 12)]
    assert energies == sorted(energies, reverse=True)


def test_box_qp_meets_the_optimality_conditions():
    for seed in range(20):
        keys = jax.random.split(jax.random.key(seed), 3)
        root = jax.random.normal(keys[0], (6, 6))
        hessian, gradient = root @ root.T + 0.1 * jnp.eye(6), 3.0 * jax.random.normal(keys[1], (6,))
        low, high = -jax.random.uniform(keys[2], (6,)), jnp.full(6, 0.3)
        x, free = box_qp(hessian, gradient, low, high)
        slope = hessian @ x + gradient
        assert ((x >= low) & (x <= high)).all()
        np.testing.assert_allclose(jnp.where(free, slope, 0.0), 0.0, atol=2e-3)
        assert (jnp.where(free, 0.0, jnp.where(x <= low, -slope, slope)) <= 1e-3).all()


def test_the_nearest_convex_hessian():
    np.testing.assert_allclose(to_convex(jnp.diag(jnp.array([2.0, -1.0]))), jnp.diag(jnp.array([2.0, 0.0])), atol=1e-5)
    assert (to_convex(jnp.full((2, 2), jnp.nan)) == 0).all()


def test_adopted_actions_are_where_the_next_plan_begins():
    problem = ebm.Problem(CART, Quadratic())
    best = riccati_actions(problem.model, 12)
    state = START
    for planner in (planners.ILQR(12, 1), planners.MPPI(12, 8, num_knots=12, noise=1e-4), planners.GradientPlanner(12, 1, 1, noise=0.0)):
        plan_state = planner.adopt(problem, planner.init(problem, state, key=jax.random.key(0)), ebm.to_float(best))
        plan, _ = planner.plan(problem, state, plan_state, now())
        np.testing.assert_allclose(plan.actions, best, atol=0.05)
    subgoals = planners.Subgoals(lambda state, target: target, ebm.Box([0.0], [1.0]), horizon=12)
    assert not subgoals.adopts
    with pytest.raises(NotImplementedError, match="Subgoals cannot begin"):
        subgoals.adopt(problem, None, ebm.to_float(best))


def test_a_plan_survives_a_state_that_was_not_expected():
    """A pole that balances is pushed: the last plan's actions alone let it fall, its feedback law does not."""
    problem = envs.cart_pole()
    planner = planners.ILQR(horizon=75, num_iterations=1)
    balanced = envs.CartPoleState(0.0, 0.0, 0.0, 0.0)
    plan = eqx.filter_jit(planner.plan)
    plan_state = planner.init(problem, balanced, key=jax.random.key(0))
    for _ in range(10):
        _, plan_state = plan(problem, balanced, plan_state, now())
    pushed = envs.CartPoleState(0.0, 0.0, 0.1, 0.0)
    kept, _ = plan(problem, pushed, plan_state, now())
    forgotten, _ = plan(problem, pushed, planner.adopt(problem, plan_state, plan_state.last.actions), now())
    assert float(jnp.abs(kept.trajectory.states.angle[-1])) < 0.05
    assert float(kept.energy) < 0.2 * float(forgotten.energy)


def test_refining_never_makes_a_plan_worse():
    problem = envs.pendulum()
    search = planners.MPPI(horizon=20, num_samples=32)
    hybrid = planners.HybridPlanner(search, planners.ILQR(horizon=20, num_iterations=2))
    state = problem.model.example_state()
    for seed in range(3):
        key = jax.random.key(seed)
        alone, _ = eqx.filter_jit(search.plan)(problem, state, search.init(problem, state, key=key), now())
        both, _ = eqx.filter_jit(hybrid.plan)(problem, state, hybrid.init(problem, state, key=key), now())
        assert float(both.energy) <= float(alone.energy) + 1e-4
    with pytest.raises(ValueError, match="one horizon"):
        planners.HybridPlanner(search, planners.ILQR(horizon=21))
