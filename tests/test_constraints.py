"""What must never happen: filters, barriers, multipliers, and the check of a plan."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from worlds import Cart, Slider

import ebm
import planners

WALL = 1.0  # m


class Stops(ebm.AbstractGuardrail):
    """The cart could still stop before the wall."""

    scale: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    name: str = eqx.field(static=True, default="could stop")

    def stage(self, state, action, previous_action, time):
        return state.position + jnp.maximum(state.speed, 0.0) ** 2 / (2 * 4.0) - WALL


def problem(*guardrails, goal=3.0):
    rails = guardrails or (ebm.KeepBelow("joint:slider", WALL, name="wall"),)
    return ebm.Problem(Cart(), ebm.Reach("joint:slider", goal, name="goal") + 0.01 * ebm.Effort(), rails)


def drive(filter, rails, policy, steps=200):
    """Positions of the cart behind a filter, and how often an action was changed."""
    task = problem(*rails)

    @eqx.filter_jit
    def go(state, previous, tick, key):
        action, changed = filter(task, state, policy(key), ebm.Now(tick, previous, task.dt))
        return task.model.step(state, action), action, changed

    state, previous, places, changes = task.model.example_state(), jnp.zeros(1), [], 0
    for tick in range(steps):
        state, previous, changed = go(state, previous, jnp.array(tick), jax.random.key(tick))
        places.append(float(state.position))
        changes += int(changed)
    return np.array(places), changes


@pytest.mark.parametrize(
    ("filter", "rails"),
    [(planners.BackupFilter(horizon=30), ()), (planners.BarrierFilter(), (Stops(),))],
    ids=["backup", "barrier"],
)
def test_a_filter_stops_a_controller_that_would_run_into_the_wall(filter, rails):
    places, changes = drive(filter, rails, lambda key: jnp.array([5.0]))
    assert places.max() <= WALL + 5e-3  # the barrier's own formula for the braking distance knows nothing of control periods
    assert places.max() > 0.8 * WALL
    assert 0 < changes < 200


@pytest.mark.parametrize("filter", [planners.BackupFilter(horizon=30), planners.BarrierFilter()], ids=["backup", "barrier"])
def test_a_safe_action_passes_unchanged(filter):
    task = problem(Stops())
    action, changed = filter(task, task.model.example_state(), jnp.array([2.0]), ebm.Now(0, jnp.zeros(1), task.dt))
    assert not bool(changed)
    np.testing.assert_allclose(action, [2.0], atol=1e-5)


@pytest.mark.parametrize("filter", [planners.BackupFilter(horizon=10), planners.BarrierFilter()], ids=["backup", "barrier"])
def test_a_filter_never_sends_what_is_not_finite_or_outside(filter):
    task = problem(Stops())
    run = eqx.filter_jit(lambda state, action: filter(task, state, action, ebm.Now(0, jnp.zeros(1), task.dt))[0])
    states = [Slider(jnp.float32(x), jnp.float32(v)) for x in (0.0, 0.99, 5.0, jnp.nan, jnp.inf) for v in (0.0, 3.0, jnp.nan, 1e30)]
    for state in states:
        for wanted in (0.0, 99.0, jnp.nan, -jnp.inf):
            action = run(state, jnp.array([wanted]))
            assert jnp.isfinite(action).all()
            assert (jnp.abs(action) <= 5.0).all()


def test_a_guardrail_that_is_not_a_number_lets_nothing_pass():
    class Unknown(Stops):
        def stage(self, state, action, previous_action, time):
            return jnp.float32(jnp.nan)

    task = problem(Stops(), Unknown(name="unknown"))
    state, now = task.model.example_state(), ebm.Now(0, jnp.zeros(1), task.dt)
    action, changed = planners.BackupFilter(horizon=20)(task, state, jnp.array([5.0]), now)
    np.testing.assert_array_equal(action, [0.0])
    assert bool(changed)


def test_a_hopeless_filter_brakes_at_once():
    task = problem(Stops())
    state = Slider(jnp.float32(0.9), jnp.float32(3.0))
    for filter in (planners.BackupFilter(horizon=20), planners.BarrierFilter()):
        action, changed = filter(task, state, jnp.array([5.0]), ebm.Now(0, jnp.zeros(1), task.dt))
        assert bool(changed)
        np.testing.assert_allclose(action, [-5.0], atol=0.05)


def test_an_agent_sends_what_its_filter_lets_pass():
    task = problem()
    short = planners.MPPI(horizon=8, num_samples=32)  # sees the wall too late to stop
    furthest = []
    for filter in (None, planners.BackupFilter(horizon=40)):
        agent = planners.Agent(task, short, filter=filter)
        state, memory, step = task.model.example_state(), agent.init(key=jax.random.key(0)), eqx.filter_jit(task.model.step)
        places = []
        for _ in range(120):
            action, memory = agent.act(state, memory)
            state = step(state, action)
            places.append(float(state.position))
        furthest.append(max(places))
    assert furthest[0] > WALL + 0.05
    assert 0.8 * WALL < furthest[1] <= WALL + 1e-3


def test_a_backup_policy_is_tried_beside_the_simple_ones():
    calls = planners.follow(lambda state, time: -4.0 * state.speed[None])
    filter = planners.BackupFilter(horizon=30, backup=calls)
    places, _ = drive(filter, (), lambda key: jnp.array([5.0]))
    assert places.max() <= WALL + 1e-3


def test_validation_says_what_is_wrong():
    task = ebm.Problem(Cart(), ebm.Effort(), ebm.KeepBelow("joint:slider", WALL, name="wall"), rate_limit=20.0)
    state, now = task.model.example_state(), ebm.Now(0, jnp.zeros(1), task.dt)

    def check(actions):
        return planners.validate(task, state, ebm.to_float(actions), now, key=jax.random.key(0))

    still = check(np.zeros((20, 1)))
    assert bool(still.valid)
    assert not bool(check(np.full((20, 1), 6.0)).inside)
    assert not bool(check(np.full((20, 1), 3.0)).within_rate)  # 20 N/s allow 0.4 N in the first period
    assert not bool(check(np.full((20, 1), np.nan)).finite)
    gentle = np.minimum(0.4 * np.arange(1, 101), 5.0)[:, None]
    fast = check(gentle)
    assert bool(fast.within_rate)
    assert bool(fast.inside)
    assert float(fast.violations["wall"]) > 0
    assert not bool(fast.valid)
    several = jax.vmap(check)(jnp.stack([jnp.zeros((100, 1)), jnp.asarray(gentle, jnp.float32), jnp.full((100, 1), jnp.nan)]))
    np.testing.assert_array_equal(several.valid, [True, False, False])
    assert np.isinf(several.energy[2])


def test_multipliers_move_on_in_time_and_stay_positive():
    task = problem(goal=1.5)
    planner = planners.AugmentedLagrangian(planners.GradientPlanner(horizon=20, num_starts=1, num_iterations=10), num_rounds=4)
    state = Slider(jnp.float32(0.8), jnp.float32(0.8))
    plan_state = planner.init(task, state, key=jax.random.key(0))
    _, after = eqx.filter_jit(planner.plan)(task, state, plan_state, ebm.Now(0, jnp.zeros(1), 0.0))
    assert (after.multipliers >= 0).all()
    assert float(jnp.max(after.multipliers)) > 0
    with pytest.raises(ValueError, match="num_rounds"):
        planners.AugmentedLagrangian(planners.MPPI(), num_rounds=0)
