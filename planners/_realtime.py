"""Planning beside the control loop: a thread that never makes it wait."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ebm

from ._agent import Agent, to_arrays
from ._ahead import Published, RealtimeStatistics, foresee, replan
from ._planner import Plan

RECENT = 2048  # planning times that the statistics and the forecast look at
CAUTION = 90  # percentile of recent planning times that the next plan is expected to take
KEPT = 4  # plans: what was sent while a plan was being made may come from an older one


class Realtime:
    """An agent whose plans are made in a thread: `observe` and `action` return at once, whatever the planner does.

    A plan starts from the state predicted for the moment when its first action will take effect: the observation, moved on in the plan
    model under what has been and will be sent until then. Use it in a `with` statement:

        with planners.Realtime(agent).start(observation) as controller:
            while ...:
                controller.observe(observation)
                robot.send(controller.action())

    **Arguments:**

    - `agent`: decides.
    - `max_age`: s since its observation after which a plan is too old to follow; then `fallback` acts.
    - `latency`: s from sending an action to its taking effect.
    - `deadline`: s that a plan may take: the planner improves it as long as another round is expected to fit. By default one round.
    - `fallback`: `observation -> action` in NumPy, quick. Without one, the old plan is followed to its end and its last action held.
    - `compensate`: whether to predict at all; without it plans are as late as they are, for comparison.
    - `clock`: s; another one for tests.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        max_age: float = 0.5,
        latency: float = 0.0,
        deadline: float | None = None,
        fallback: Callable[[Any], Any] | None = None,
        compensate: bool = True,
        clock: Callable[[], float] = time.perf_counter,
        seed: int = 0,
    ):
        if not (max_age > 0 and latency >= 0 and (deadline is None or deadline > 0)):
            raise ValueError(f"`max_age` and `deadline` must be positive, `latency` not negative (s): {max_age}, {deadline}, {latency}.")
        self.agent, self.max_age, self.latency, self.deadline = agent, max_age, latency, deadline
        self.fallback, self.compensate, self.clock, self.seed = fallback, compensate, clock, seed
        box = agent.problem.action_space
        self._low, self._high = np.asarray(box.low), np.asarray(box.high)
        self._rest = np.clip(np.zeros(box.size, np.float32), self._low, self._high)
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._durations: deque[float] = deque(maxlen=RECENT)  # of whole plans
        self._rounds: deque[float] = deque(maxlen=RECENT)  # of single calls of the planner
        self._plans: tuple[Published, ...] = ()  # newest first; replaced as a whole, so that no reader needs a lock

    def start(self, observation: Any) -> "Realtime":
        """Compile, make a first plan from `observation`, and start the thread."""
        if self._thread is not None:
            raise RuntimeError("It is running already. Call `stop` first.")
        self._stopping, self._error = False, None
        for _ in range(2):  # the first one compiles
            self._durations.clear()
            self._rounds.clear()
            self._plans, self._late, self._stale, self._made = (), 0, 0, 0
            self._memory = self.agent.init(key=jax.random.key(self.seed))
            self._seen = (observation, self.clock())
            self._began = self._seen[1]
            self._think(*self._seen)
        self._late = 0
        self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread, after the plan that it is making."""
        self._stopping = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> "Realtime":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def observe(self, observation: Any, *, at: float | None = None) -> None:
        """Tell what was seen just now, or at the time `at` (s on the clock). Never blocks."""
        self._seen = (observation, self.clock() if at is None else at)
        self._news.set()

    def action(self) -> np.ndarray:
        """What to send now, shape (action,), float32, finite and inside the box. Never blocks and never calls JAX."""
        now = self.clock()
        plan = self._due(now + self.latency)
        if plan is None or now - plan.seen > self.max_age:
            self._stale += 1
            if self.fallback is not None:
                action = np.asarray(self.fallback(self._seen[0]), np.float32).reshape(self._rest.shape)
                return np.clip(np.where(np.isfinite(action), action, self._rest), self._low, self._high)
        return self._rest if plan is None else plan.at(now + self.latency, self.agent.problem.dt)

    @property
    def plan(self) -> Plan | None:
        """The newest plan."""
        return self._plans[0].plan if self._plans else None

    @property
    def statistics(self) -> RealtimeStatistics:
        """How it went since `start`."""
        p50, p99, p999 = np.percentile(list(self._durations) or [0.0], [50, 99, 99.9]).tolist()
        return RealtimeStatistics(self._made, self._late, self._stale, p50, p99, p999, self._error)

    def _due(self, effect: float) -> Published | None:
        """The newest plan that has begun by then; a plan made ahead of time waits for its moment."""
        plans, half = self._plans, 0.5 * self.agent.problem.dt
        return next((plan for plan in plans if plan.begins <= effect + half), plans[-1] if plans else None)

    def _work(self) -> None:
        planned = self._seen
        try:
            while not self._stopping:
                self._news.wait()
                self._news.clear()
                if self._seen is not planned and not self._stopping:
                    planned = self._seen
                    self._think(*planned)
        except Exception as error:  # the control loop must go on
            self._error = error

    def _think(self, observation: Any, seen: float) -> None:
        """Make one plan and publish it."""
        began, dt = self.clock(), self.agent.problem.dt
        expected = float(np.percentile(list(self._durations) or [0.0], CAUTION)) if self.deadline is None else self.deadline
        effect = began + expected + self.latency if self.compensate else seen
        ahead = min(round(max(effect - seen, 0.0) / dt), self.agent.planner.horizon)
        committed = np.tile(self._rest, (self.agent.planner.horizon, 1))
        for k in range(ahead):
            plan = self._due(seen + k * dt)
            committed[k] = self._rest if plan is None else plan.at(seen + k * dt, dt)
        held = committed[ahead - 1] if ahead else self._memory.action
        elapsed = effect - self._plans[0].begins if self._plans else 0.0
        tick = max(round((effect - self._began) / dt), 0)
        sensed = to_arrays(self.agent.perceiver.sense(self.agent.problem.model, observation))
        state, memory = foresee(self.agent, sensed, self._memory.memory, self._memory.action, committed, jnp.int32(ahead))
        now = ebm.Now(tick, held, max(elapsed, 0.0))
        plan, actions, plan_state = replan(self.agent, state, self._memory.plan_state, now)
        actions = np.asarray(actions)
        self._rounds.append(self.clock() - began)
        while self.deadline is not None and self.clock() - began + np.percentile(list(self._rounds), CAUTION) < self.deadline:
            start = self.clock()
            plan, actions, plan_state = replan(self.agent, state, plan_state, ebm.Now(tick, held, 0.0))
            actions = np.asarray(actions)
            self._rounds.append(self.clock() - start)
        ready = self.clock()
        self._durations.append(ready - began)
        after = memory, plan_state, jnp.asarray(actions[0])
        self._memory = eqx.tree_at(lambda m: (m.memory, m.plan_state, m.action), self._memory, after)
        begins = effect if self.compensate else ready + self.latency
        self._late += ready + self.latency > begins + 0.5 * dt
        self._made += 1
        self._plans = (Published(actions, begins, seen, plan), *self._plans[: KEPT - 1])
