"""Plans with times, made for the moment at which they will take effect."""

import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

import ebm

from ._agent import Agent, to_arrays
from ._compile import compiled
from ._limits import EARLY, Limits
from ._planner import Plan
from ._settle import ask, settle

RECENT = 2048  # planning times that are looked at
CAUTION = 90  # percentile of recent planning times that the next plan is expected to take
KEPT = 4  # plans: what was sent while a plan was being made may come from an older one


class Published(NamedTuple):
    """A plan in NumPy; times in s on the clock: when its first action takes effect, and of the observation behind it."""

    actions: np.ndarray
    begins: float
    seen: float
    plan: Plan

    def at(self, effect: float, dt: float) -> np.ndarray:
        """The action that takes effect then (s on the clock); the first or last one outside the plan."""
        index = math.floor((effect - self.begins) / dt + EARLY)
        return self.actions[min(max(index, 0), len(self.actions) - 1)]


@compiled
def foresee(agent: Agent, observation: PyTree, memory: Any, action: Array, committed: Any, ahead: Int[Array, ""]) -> tuple[Any, Any]:
    """The state `ahead` control periods after the observation, under the actions that will have been sent; and the perceiver's memory."""
    model = agent.problem.model
    state, perceived = agent.perceiver.observe(model, memory, action, observation)
    good = ebm.all_finite(perceived)
    perceived = jax.tree.map(lambda new, old: jnp.where(good, new, old), perceived, memory)
    states = model.rollout(state, ebm.to_float(committed))
    return jax.tree.map(lambda leaf: leaf[ahead], states), perceived


@compiled
def replan(agent: Agent, state: Any, plan_state: Any, now: ebm.Now) -> tuple[Plan, Array, Any]:
    """A plan; its actions behind the agent's fallback and filter; and the planner's state."""
    plan, plan_state = ask(agent, state, plan_state, now)
    return plan, settle(agent, state, now, plan.actions, plan.result), plan_state


class Ahead:
    """Makes one plan after the other, each from the state predicted for the moment when its first action takes effect.

    **Arguments:** those of `Realtime`.
    """

    def __init__(self, agent: Agent, latency: float, deadline: float | None, compensate: bool, clock: Callable[[], float]):
        if not isinstance(agent, Agent):
            raise TypeError(f"`agent` must be a `planners.Agent(problem, planner)`, got {agent!r}.")
        self.agent, self.latency, self.deadline, self.compensate, self.clock = agent, latency, deadline, compensate, clock
        self.limits = Limits(agent.problem)
        self.rest = self.limits.rest
        self.durations: deque[float] = deque(maxlen=RECENT)  # of whole plans, s
        self.rounds: deque[float] = deque(maxlen=RECENT)  # of single calls of the planner, s
        self.plans: tuple[Published, ...] = ()  # newest first; replaced as a whole, so that no reader needs a lock
        self.made = self.late = 0
        self.began = math.nan  # s on the clock, once there is a plan to follow

    def sense(self, observation: Any) -> Any:
        """What the perceiver takes from an observation, which may have changed by the time it is planned from."""
        sensed = self.agent.perceiver.sense(self.agent.problem.model, observation)
        return jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, sensed)

    def begin(self, sensed: Any, seed: int) -> None:
        """Forget everything, compile, and make a first plan."""
        for _ in range(2):  # the first one compiles
            self.durations.clear()
            self.rounds.clear()
            self.plans, self.made, self.late = (), 0, 0
            self.limits.reset()
            self._memory = self.agent.init(key=jax.random.key(seed))
            self.began = self.clock()
            self.think(sensed, self.began)
            self.late = 0

    def due(self, effect: float) -> Published | None:
        """The newest plan that has begun by then; a plan made ahead of time waits for its moment."""
        plans, early = self.plans, EARLY * self.agent.problem.dt
        return next((plan for plan in plans if plan.begins <= effect + early), plans[-1] if plans else None)

    def _sent(self, effect: float) -> np.ndarray:
        """What takes effect then, as far as it is known."""
        plan = self.due(effect)
        return self.rest if plan is None else plan.at(effect, self.agent.problem.dt)

    def send(self, action: np.ndarray, now: float) -> np.ndarray:
        """What of an action that takes effect after `now` (s on the clock) can be sent: inside the limits, near what was sent before."""
        tick = math.floor((now + self.latency - self.began) / self.agent.problem.dt + EARLY)
        return self.limits.keep(action, tick, now)

    def think(self, sensed: Any, seen: float) -> None:
        """Make one plan from what was sensed at the time `seen`, and publish it."""
        began, dt = self.clock(), self.agent.problem.dt
        expected = float(np.percentile(list(self.durations) or [0.0], CAUTION)) if self.deadline is None else self.deadline
        wait = began + expected + self.latency - seen if self.compensate else 0.0
        ahead = min(round(max(wait, 0.0) / dt), self.agent.planner.horizon)
        effect = seen + ahead * dt  # whole steps of the model, which knows no state between them
        committed = np.tile(self.rest, (self.agent.planner.horizon, 1))
        for k in range(ahead):
            committed[k] = 0.5 * (self._sent(seen + k * dt) + self._sent(seen + (k + 0.5) * dt))
        held = self._sent(effect - 0.5 * dt) if ahead else self._memory.action
        elapsed = effect - self.plans[0].begins if self.plans else 0.0
        tick = max(round((effect - self.began) / dt), 0)
        state, memory = foresee(self.agent, to_arrays(sensed), self._memory.memory, self._memory.action, committed, jnp.int32(ahead))
        now = ebm.Now(tick, held, max(elapsed, 0.0))
        plan, actions, plan_state = replan(self.agent, state, self._memory.plan_state, now)
        actions = np.asarray(actions)
        self.rounds.append(self.clock() - began)
        while self.deadline is not None and self.clock() - began + np.percentile(list(self.rounds), CAUTION) < self.deadline:
            start = self.clock()
            plan, actions, plan_state = replan(self.agent, state, plan_state, ebm.Now(tick, held, 0.0))
            actions = np.asarray(actions)
            self.rounds.append(self.clock() - start)
        ready = self.clock()
        self.durations.append(ready - began)
        after = memory, plan_state, jnp.asarray(actions[0])
        self._memory = eqx.tree_at(lambda m: (m.memory, m.plan_state, m.action), self._memory, after)
        begins = effect if self.compensate else ready + self.latency
        self.late += ready + self.latency > begins + 0.5 * dt
        self.made += 1
        self.plans = (Published(actions, begins, seen, plan), *self.plans[: KEPT - 1])
