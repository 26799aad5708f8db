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
from planners._multipliers import Multipliers

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


class Hover(Cart):
    """Gravity of 1 m/s² against a thrust of 0 to 2 N: at rest it falls."""

    action_space: ebm.Box = ebm.Box([0.0], [2.0])

    def step(self, state, action, latents=None):
        return super().step(state, action - 1.0)


def test_what_was_held_before_does_not_make_another_action_safe():
    task = ebm.Problem(Hover(dt=0.1), ebm.Effort(), ebm.KeepInside("velocity:joint:slider", -0.1, 0.1, name="speed"))
    filter = eqx.filter_jit(planners.BackupFilter(horizon=25))
    for wanted in (1.05, 1.3):
        state, held = task.model.example_state(), jnp.array([1.0])  # which is safe for ever
        for tick in range(30):
            held, _ = filter(task, state, jnp.array([wanted]), ebm.Now(tick, held, task.dt))
            state = task.model.step(state, held)
            assert abs(float(state.speed)) <= 0.1 + 1e-5


class Unstable(Cart):
    """Flees from the middle."""

    action_space: ebm.Box = ebm.Box([-1.0], [1.0])

    def step(self, state, action, latents=None):
        return super().step(state, action + 4.0 * state.position)


def test_a_backup_policy_is_asked_where_the_action_leads():
    task = ebm.Problem(Unstable(dt=0.1), ebm.Effort(), ebm.KeepInside("joint:slider", -0.15, 0.15, name="near"))

    def balance(state, time):
        return -(8.0 * state.position + 5.0 * state.speed)[None]

    follow = planners.follow(balance)
    filter = planners.BackupFilter(horizon=30, backup=follow)

    @eqx.filter_jit
    def go(state, held, tick, wanted):
        now = ebm.Now(tick, held, task.dt)
        action, changed = filter(task, state, wanted, now)
        after = task.model.step(state, wanted)
        states = task.model.rollout(after, follow(task, after, ebm.Now(tick + 1, wanted, task.dt), 30)[0])
        return task.model.step(state, action), action, changed & jnp.all(jnp.abs(states.position) <= 0.15)

    state, held, furthest, too_strict = task.model.example_state(), jnp.zeros(1), 0.0, 0
    for tick in range(100):
        wanted = jax.random.uniform(jax.random.key(tick // 4), (1,), minval=-1.0, maxval=1.0)
        state, held, strict = go(state, held, jnp.array(tick), wanted)
        furthest, too_strict = max(furthest, abs(float(state.position))), too_strict + int(strict)
    assert furthest <= 0.15 + 1e-4
    assert too_strict == 0


@pytest.mark.parametrize("filter", [planners.BackupFilter(horizon=30), planners.BarrierFilter()], ids=["backup", "barrier"])
def test_a_filter_says_whenever_it_sends_something_else(filter):
    task = problem(Stops())
    for wanted, sent, other in ((99.0, 5.0, True), (np.nan, 0.5, True), (0.5, 0.5, False)):
        action, changed = filter(task, task.model.example_state(), jnp.array([wanted]), ebm.Now(0, jnp.array([0.5]), task.dt))
        np.testing.assert_allclose(action, [sent], atol=1e-5)
        assert bool(changed) == other


@pytest.mark.parametrize("scale", [1e-3, 100.0])
def test_no_scale_softens_a_barrier(scale):
    places, _ = drive(planners.BarrierFilter(), (Stops(scale=scale),), lambda key: jnp.array([5.0]))
    assert places.max() <= WALL + 5e-3
    assert places.max() > 0.8 * WALL


class Speeding(Stops):
    """A speed limit whose slope is no number."""

    def stage(self, state, action, previous_action, time):
        return state.speed - 0.5 + 0.0 * jnp.sqrt(jnp.maximum(state.position, 0.0))


def test_a_barrier_without_a_slope_lets_nothing_pass_that_breaks_it():
    task = problem(Speeding(scale=1.0))
    for speed, sent in ((2.0, -5.0), (0.0, 3.0)):
        state, now = Slider(jnp.zeros(()), jnp.float32(speed)), ebm.Now(0, jnp.zeros(1), task.dt)
        action, changed = planners.BarrierFilter(rate=1.0, steps=1)(task, state, jnp.array([3.0]), now)
        np.testing.assert_allclose(action, [sent], atol=1e-5)
        assert bool(changed) == (sent < 0)


class Gain(Cart):
    """Nobody knows how strong the motor is."""

    def step(self, state, action, latents=None):
        return super().step(state, action if latents is None else action * jnp.exp(0.5 * latents.episode))

    def sample_latents(self, horizon, *, key):
        return ebm.Latents(jax.random.normal(key), jnp.zeros((horizon, 1)))


def test_a_barrier_holds_in_every_world_that_is_drawn():
    rails = ebm.KeepBelow("velocity:joint:slider", 0.4, name="speed")
    task = ebm.Problem(Gain(dt=0.1), ebm.Effort(), rails, num_latents=16)
    state, now = Slider(jnp.zeros(()), jnp.float32(0.3)), ebm.Now(0, jnp.zeros(1), 0.1)
    action, changed = planners.BarrierFilter(rate=1.0, steps=1)(task, state, jnp.array([1.0]), now)
    assert bool(changed)
    checked = planners.validate(task, state, action[None], now, key=jax.random.key(0))
    assert float(checked.violations["speed"].max()) <= 5e-3


def test_of_plans_that_break_a_guardrail_without_measure_the_later_one_is_better():
    class Cliff(Stops):
        def stage(self, state, action, previous_action, time):
            return jnp.where(state.position > 0.05, jnp.inf, -1.0)

    task = problem(Cliff(), goal=-3.0)
    state, now = Slider(jnp.zeros(()), jnp.float32(1.0)), ebm.Now(0, jnp.zeros(1), 0.02)
    action, changed = planners.BackupFilter(horizon=10)(task, state, jnp.array([5.0]), now)
    assert bool(changed)
    np.testing.assert_allclose(action, [-5.0])


def test_multipliers_around_ilqr_do_not_stand_still_before_a_wall():
    task, planner = problem(), planners.AugmentedLagrangian(planners.ILQR(50))
    start = task.model.example_state()

    def advance(carry, tick):
        state, held, plan_state = carry
        plan, plan_state = planner.plan(task, state, plan_state, ebm.Now(tick, held, task.dt))
        after = task.model.step(state, plan.actions[0])
        return (after, plan.actions[0], plan_state), after.position

    begin = start, jnp.zeros(1), planner.init(task, start, key=jax.random.key(0))
    places = eqx.filter_jit(lambda: jax.lax.scan(advance, begin, jnp.arange(60))[1])()
    assert 0.9 * WALL < places.max() <= WALL + 1e-4


@pytest.mark.parametrize("tick", [2**22 + 1, 3 * 10**7 + 7, 10**9, ebm.LAST_TICK - 40])
def test_no_time_is_too_late_for_multipliers(tick):
    task, actions, due = problem(), jnp.zeros((30, 1)), jnp.linspace(1.0, 9.0, 30)[None]
    states = task.model.rollout(Slider(jnp.float32(0.9), jnp.float32(1.0)), actions)  # passes the wall on the way

    def energy(tick):
        multipliers = Multipliers(task.guardrails, due, jnp.float32(10.0), jnp.float32(0.0), jnp.int32(tick), 1, task.dt)
        return float(multipliers(ebm.Trajectory(states, actions, ebm.Now(tick, jnp.zeros(1), task.dt), task.dt)))

    if tick < 2**23:
        np.testing.assert_allclose(energy(tick), energy(0), rtol=1e-3)
    else:  # float32 has one number for several times, and the last of their multipliers stands for all
        assert energy(tick) >= 0.9 * energy(0)


def test_multipliers_move_on_by_the_clock():
    task = problem()
    state, key = task.model.example_state(), jax.random.key(0)
    adopting = planners.AugmentedLagrangian(planners.GradientPlanner(horizon=30, num_iterations=1), num_rounds=1)
    ready = adopting.init(task, state, key=key)
    before = eqx.tree_at(lambda s: s.multipliers, ready, ready.multipliers.at[0, 20].set(500.0))
    told = adopting.adopt(task, before, jnp.zeros((30, 1)))  # as a planner that refines another's plan is
    _, after = eqx.filter_jit(adopting.plan)(task, state, told, ebm.Now(4, jnp.zeros(1), 0.0))
    assert int(jnp.argmax(after.multipliers[0])) == 16


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
