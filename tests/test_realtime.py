"""The thread beside the loop: never waited for, late plans known, faults survived."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Cart, Slider

import ebm
import planners
from planners._ahead import Published
from planners._limits import Limits


class Slow(ebm.AbstractStageEnergy):
    """Takes its time, and fails on demand."""

    seconds: float = eqx.field(static=True, default=0.0)

    def stage(self, state, action, previous_action, time):
        return (state.position - 1.0) ** 2 + 0.1 * state.speed**2 + 1e-3 * action[0] ** 2

    def final(self, state, time):
        if self.seconds == 0.0:
            return jnp.zeros(())
        return jax.pure_callback(self.wait, jax.ShapeDtypeStruct((), jnp.float32), state.position, vmap_method="expand_dims")

    def wait(self, position):
        time.sleep(self.seconds)
        if np.isnan(position).any():
            raise RuntimeError("broken on purpose")
        return np.zeros(np.shape(position), np.float32)


def wait_until(holds):
    """For two seconds at most; whether it came true is for the test to say."""
    for _ in range(100):
        if holds():
            return
        time.sleep(0.02)


def agent(seconds=0.0, horizon=25):
    return planners.Agent(ebm.Problem(Cart(), Slow(seconds)), planners.MPPI(horizon=horizon, num_samples=16))


class Plant:
    """A cart in real time, whose actions take effect `latency` s after they were sent."""

    def __init__(self, latency=0.0):
        self.model, self.state, self.sent = Cart(), Cart().example_state(), []
        self.latency, self.step = round(latency / self.model.dt), eqx.filter_jit(self.model.step)
        self.step(self.state, jnp.zeros(1))

    def advance(self, action):
        self.sent.append(action)
        due = self.sent[-1 - self.latency] if len(self.sent) > self.latency else np.zeros(1)
        self.state = self.step(self.state, jnp.asarray(due, jnp.float32))


def drive(controller, plant, steps):
    waits, next_tick = [], time.perf_counter()
    for _ in range(steps):
        controller.observe(plant.state)
        start = time.perf_counter()
        action = controller.action()
        waits.append(time.perf_counter() - start)
        assert action.shape == (1,)
        assert np.isfinite(action).all()
        assert (np.abs(action) <= 5.0).all()
        plant.advance(action)
        next_tick += plant.model.dt
        time.sleep(max(0.0, next_tick - time.perf_counter()))
    return waits


def test_the_loop_never_waits_for_a_slow_planner():
    plant = Plant()
    with planners.Realtime(agent(seconds=0.06)).start(plant.state) as controller:
        waits = drive(controller, plant, 100)
        seen = controller.statistics
    assert seen.error is None
    assert seen.plans > 5
    assert seen.planning_p50 >= 0.06
    assert np.median(waits) < 2e-3


def test_a_plan_begins_in_the_state_in_which_its_first_action_will_act():
    clock, latency = [100.0], 0.1
    model = Cart()
    controller = planners.Realtime(agent(), latency=latency, clock=lambda: clock[0]).start(model.example_state())
    try:
        state = Slider(jnp.float32(0.2), jnp.float32(0.5))
        for _ in range(3):
            clock[0] += model.dt
            sent = controller._ahead.plans
            controller._ahead.think(state, clock[0])
            plan = controller.plan
            assert plan is not None
            # five periods from now, under the actions that the plans so far have scheduled until then
            due = [
                next((p for p in sent if p.begins <= clock[0] + (k + 0.5) * model.dt), sent[-1]).at(clock[0] + k * model.dt, model.dt)
                for k in range(5)
            ]
            expected = model.rollout(state, jnp.asarray(np.stack(due)))
            np.testing.assert_allclose(plan.trajectory.states.position[0], expected.position[-1], atol=1e-5)
            np.testing.assert_allclose(plan.trajectory.states.speed[0], expected.speed[-1], atol=1e-5)
            np.testing.assert_allclose(plan.trajectory.now.previous_action, due[-1], atol=1e-5)
            assert controller._ahead.plans[0].begins == pytest.approx(clock[0] + latency)
    finally:
        controller.stop()


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.2])
def test_a_loop_that_ticks_twice_a_step_sends_every_action_twice(late):
    plan = Published(np.arange(4.0)[:, None], 7.0, 7.0, None)  # pyright: ignore[reportArgumentType]
    twice = [float(plan.at(7.0 + 0.02 * (0.5 * k + late), 0.02)[0]) for k in range(6)]
    assert twice == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    once = [float(plan.at(7.0 + 0.02 * (k + late), 0.02)[0]) for k in range(6)]
    assert once == [0.0, 1.0, 2.0, 3.0, 3.0, 3.0]


@pytest.mark.parametrize("taken", [0.0, 0.007, 0.013, 0.03])
def test_a_plan_begins_whole_steps_after_what_was_seen(taken):
    clock, latency, model = [50.0], 0.05, Cart()
    controller = planners.Realtime(agent(), latency=latency, clock=lambda: clock[0]).start(model.example_state())
    try:
        clock[0] += 0.1
        state = Slider(jnp.float32(0.1), jnp.float32(0.8))
        controller._ahead.durations.append(taken)
        sent = controller._ahead
        actions = [[0.5 * (sent._sent(clock[0] + k * model.dt) + sent._sent(clock[0] + (k + 0.5) * model.dt))] for k in range(5)]
        sent.think(state, clock[0])
        begins, plan = sent.plans[0].begins, controller.plan
        assert plan is not None
        steps = (begins - clock[0]) / model.dt
        assert steps == pytest.approx(round(steps), abs=1e-6)
        assert abs(begins - clock[0] - latency - np.percentile(list(sent.durations)[:-1], 90)) <= 0.5 * model.dt + 1e-9
        expected = model.rollout(state, jnp.asarray(np.reshape(actions, (5, 1))))
        np.testing.assert_allclose(plan.trajectory.states.position[0], expected.position[round(steps)], atol=1e-5)
    finally:
        controller.stop()


@pytest.mark.slow
def test_a_delayed_cart_stops_at_the_goal_if_the_delay_is_foreseen():
    latency, errors = 0.2, {}  # s; at half of it, it stops without foresight as well
    for compensate in (True, False):
        plant = Plant(latency)
        with planners.Realtime(agent(), latency=latency if compensate else 0.0, compensate=compensate).start(plant.state) as controller:
            drive(controller, plant, 200)
            places = []
            for _ in range(25):
                drive(controller, plant, 1)
                places.append(float(plant.state.position))
        errors[compensate] = np.max(np.abs(np.array(places) - 1.0))
    assert errors[True] < 0.15
    assert errors[True] < 0.5 * errors[False]


def test_stale_plans_give_way_to_the_fallback():
    plant = Plant()
    controller = planners.Realtime(agent(seconds=0.3), max_age=0.05, fallback=lambda observation: [-9.0]).start(plant.state)
    try:
        time.sleep(0.1)
        controller.observe(plant.state)
        np.testing.assert_array_equal(controller.action(), [-5.0])
        assert controller.statistics.stale == 1
    finally:
        controller.stop()


def test_a_fallback_that_fails_leaves_the_old_plan():
    plant = Plant()

    def fail(observation):
        raise OSError("no radio")

    for fallback, error in ((fail, OSError), (lambda observation: [1.0, 2.0, 3.0], ValueError)):
        with planners.Realtime(agent(seconds=0.3), max_age=0.05, fallback=fallback).start(plant.state) as controller:
            time.sleep(0.1)
            assert np.isfinite(controller.action()).all()
            assert isinstance(controller.statistics.error, error)


def test_the_loop_survives_what_planning_raises_and_recovers():
    plant = Plant()
    controller = planners.Realtime(agent(seconds=1e-3)).start(plant.state)
    controller.observe(Slider(jnp.float32(jnp.nan), jnp.float32(0.0)))
    wait_until(lambda: controller.statistics.error is not None)
    assert controller.statistics.error is not None
    assert np.isfinite(controller.action()).all()
    before = controller.statistics.plans
    controller.observe(plant.state)
    wait_until(lambda: controller.statistics.plans > before)
    assert controller.statistics.plans > before
    assert np.isfinite(controller.action()).all()
    controller.stop()
    controller.start(plant.state)  # and it can be started anew
    assert controller.statistics.error is None
    with pytest.raises(RuntimeError, match="running already"):
        controller.start(plant.state)
    controller.stop()


class Restless(ebm.AbstractStageEnergy):
    """Wants to be far away."""

    def stage(self, state, action, previous_action, time):
        return (state.position - 3.0) ** 2

    def final(self, state, time):
        return jnp.zeros(())


@pytest.mark.parametrize("with_fallback", [True, False])
def test_every_action_of_a_plan_passes_fallback_and_filter(with_fallback):
    wall = ebm.KeepBelow("joint:slider", -1.0 if with_fallback else 1.0, name="wall")
    options = {"fallback": lambda state, now: jnp.array([1.5])} if with_fallback else {"filter": planners.BackupFilter(40)}
    state = Slider(jnp.float32(0.6), jnp.float32(0.0 if with_fallback else 1.75))
    careful = planners.Agent(ebm.Problem(Cart(), Restless(), wall), planners.MPPI(6, 32), **options)
    memory, world, alone = careful.init(key=jax.random.key(0)), state, []
    clock = [10.0]
    with planners.Realtime(careful, clock=lambda: clock[0]).start(state) as controller:
        beside = []
        for _ in range(5):  # all from one plan
            action, memory = careful.act(world, memory)
            world = Cart().step(world, action)
            alone.append(float(action[0]))
            beside.append(float(controller.action()[0]))
            clock[0] += Cart().dt
    assert alone == [1.5] * 5 if with_fallback else alone[-1] == -5.0
    np.testing.assert_allclose(beside, alone)


def test_limits_of_the_lower_level_are_those_of_a_hierarchy():
    limits = ebm.Box([[-1.0], [0.5], [-2.0]], [[1.0], [1.0], [3.0]])
    below = ebm.Problem(Cart(), Restless(), rate_limit=50.0, limits=limits)
    above = ebm.Problem(Cart(dt=0.1), Restless())
    both = planners.HierarchicalProblem(above, below, lambda state: state)
    for problem in (below, both):
        kept = Limits(problem)
        np.testing.assert_allclose([kept.keep(np.full(1, 9.0), tick, 1.0 + 0.02 * tick)[0] for tick in range(3)], [1.0, 1.0, 2.0])


def test_what_was_seen_is_what_is_planned_from():
    seen = np.zeros(1)

    class Live(ebm.Direct):
        """Reads a simulator that goes on, as `envs.FromGym` does."""

        def sense(self, model, observation):
            return Slider(jnp.float32(seen[0]), jnp.float32(0.0))

    live = planners.Agent(ebm.Problem(Cart(), Slow(0.05)), planners.MPPI(10, 16), Live())
    with planners.Realtime(live, compensate=False).start(None) as controller:
        before = controller.statistics.plans
        seen[0] = 0.5
        controller.observe(None)
        seen[0] = 0.7
        wait_until(lambda: controller.statistics.plans > before)
        assert controller.plan is not None
        assert float(controller.plan.trajectory.states.position[0]) == 0.5


def test_news_that_come_late_do_not_displace_newer_ones():
    moment = [100.0]
    controller = planners.Realtime(agent(), max_age=0.3, clock=lambda: moment[0], fallback=lambda observation: np.full(1, -5.0))
    with pytest.raises(RuntimeError, match="start"):
        controller.action()
    with controller.start(Cart().example_state()):
        for now, seen in ((100.6, None), (100.62, 100.05)):
            moment[0], before = now, controller.statistics.plans
            controller.observe(Cart().example_state(), at=seen)
            wait_until(lambda before=before: controller.statistics.plans > before)
        assert controller.action() != -5.0
        assert controller.statistics.stale == 0
        moment[0], before = 3.0, controller.statistics.plans  # a clock that was set back is another matter
        controller.observe(Cart().example_state())
        wait_until(lambda: controller.statistics.plans > before)
        assert controller.statistics.plans > before


def test_what_was_observed_before_the_start_is_no_plan():
    controller = planners.Realtime(agent())
    controller.observe(Cart().example_state())
    with pytest.raises(RuntimeError, match="start"):
        controller.action()


def test_a_deadline_is_used_for_more_rounds():
    plant = Plant()
    controller = planners.Realtime(agent(seconds=5e-3), deadline=0.1).start(plant.state)
    controller.stop()
    assert len(controller._ahead.rounds) > 2 * controller.statistics.plans
    assert 0.03 < controller.statistics.planning_p50 < 0.2


@pytest.mark.parametrize("options", [{"max_age": 0.0}, {"latency": -0.1}, {"deadline": 0.0}, {"deadline": np.inf}])
def test_times_must_make_sense(options):
    with pytest.raises(ValueError, match="max_age"):
        planners.Realtime(agent(), **options)
