"""Planning beside the control loop: a thread that never makes it wait."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ._agent import Agent
from ._ahead import Ahead
from ._planner import Plan


@dataclasses.dataclass(frozen=True)
class RealtimeStatistics:
    """How it went so far.

    **Arguments:**

    - `plans`: published. `late`: of these, ready only when their first action was already due.
    - `stale`: calls of `action` that found no plan from an observation younger than `max_age`.
    - `planning_p50`, `planning_p99`, `planning_p999`: how long a plan took, s.
    - `error`: what planning or the fallback raised last, if anything; the loop goes on, and plans again from the next observation.
    """

    plans: int
    late: int
    stale: int
    planning_p50: float
    planning_p99: float
    planning_p999: float
    error: BaseException | None


class Realtime:
    """An agent whose plans are made in a thread: `observe` and `action` return at once, whatever the planner does.

    A plan starts from the state predicted for the moment when its first action will take effect: the observation, moved on in the plan
    model under what has been and will be sent until then. Use it as `with planners.Realtime(agent).start(observation) as controller:`;
    its loop calls `controller.observe(observation)`, and sends `controller.action()`.

    **Arguments:**

    - `agent`: decides. Every action of a plan passes its fallback, which is held, and its filter.
    - `max_age`: s since its observation after which a plan is too old to follow; then `fallback` acts.
    - `latency`: s from sending an action to its taking effect.
    - `deadline`: s that a plan may take: the planner improves it as long as another round is expected to fit. By default one round.
    - `fallback`: `observation -> action` in NumPy, quick. Without one, or if it raises, the old plan is followed, its last action held.
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
        if not (max_age > 0 and 0 <= latency < np.inf and (deadline is None or 0 < deadline < np.inf)):
            raise ValueError(f"`max_age` and `deadline` must be > 0, `latency` ≥ 0 and both finite: {max_age}, {deadline}, {latency}.")
        self.max_age, self.latency, self.fallback, self.clock, self.seed = max_age, latency, fallback, clock, seed
        self._ahead = Ahead(agent, latency, deadline, compensate, clock)
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: tuple[Any, Any, float] | None = None  # an observation, what was sensed of it, and when
        self._stopping, self._error, self._stale = False, None, 0

    def start(self, observation: Any) -> "Realtime":
        """Compile, make a first plan from `observation`, and start the thread."""
        if self._thread is not None:
            raise RuntimeError("It is running already. Call `stop` first.")
        self._stopping, self._error, self._stale = False, None, 0
        self._seen = observation, self._ahead.sense(observation), self.clock()
        self._ahead.begin(self._seen[1], self.seed)
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
        """Tell what was seen just now, or at the time `at` (s on the clock), which passes if there is newer news. Never blocks.
        Afterwards the observation may change."""
        try:
            now = self.clock()
            at = now if at is None else at
            if self._seen is None or not at < self._seen[2] <= now:  # else it came late, and there is newer news
                self._seen = observation, self._ahead.sense(observation), at
        except Exception as error:  # the control loop must go on, with what was seen before
            self._error = error
        self._news.set()

    def action(self) -> np.ndarray:
        """What to send now, shape (action,), float32, finite and inside the limits. Never blocks and never calls JAX."""
        now, ahead = self.clock(), self._ahead
        if self._seen is None or np.isnan(ahead.began):
            raise RuntimeError("There is no plan yet. Call `start(observation)` first.")
        plan = ahead.due(now + self.latency)
        if plan is None or now - plan.seen > self.max_age:
            self._stale += 1
            if self.fallback is not None:
                try:
                    return ahead.send(np.asarray(self.fallback(self._seen[0]), np.float32).reshape(ahead.rest.shape), now)
                except Exception as error:  # the control loop must go on, with the old plan
                    self._error = error
        return ahead.send(ahead.rest if plan is None else plan.at(now + self.latency, ahead.agent.problem.dt), now)

    @property
    def plan(self) -> Plan | None:
        """The newest plan."""
        return next((published.plan for published in self._ahead.plans), None)

    @property
    def statistics(self) -> RealtimeStatistics:
        """How it went since `start`."""
        ahead = self._ahead
        p50, p99, p999 = np.percentile(list(ahead.durations) or [0.0], [50, 99, 99.9]).tolist()
        return RealtimeStatistics(ahead.made, ahead.late, self._stale, p50, p99, p999, self._error)

    def _work(self) -> None:
        planned: Any = self._seen
        while not self._stopping:
            self._news.wait()
            self._news.clear()
            if self._seen is not planned and not self._stopping:
                planned = self._seen
                try:
                    self._ahead.think(*planned[1:])
                except Exception as error:  # the next observation may be a better one
                    self._error = error
