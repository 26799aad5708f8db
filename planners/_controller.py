"""An agent for those who want NumPy in and NumPy out."""

from typing import Any

import jax
import numpy as np

from ._agent import Agent
from ._planner import Plan


class Controller:
    """An agent with its memory inside: `predict(observation)` gives a NumPy action. Call `reset()` between episodes.

    **Arguments:**

    - `agent`: what decides.
    - `seed`: of the planner's random numbers.
    """

    def __init__(self, agent: Agent, *, seed: int = 0):
        self.agent = agent
        self.plan: Plan | None = None
        self._episode = 0
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget the episode. Random numbers go on, so that two episodes differ."""
        self._state = self.agent.init(key=jax.random.fold_in(jax.random.key(self._seed), self._episode))
        self._episode += 1
        self.plan = None

    def predict(self, observation: Any, *, elapsed: float | None = None) -> np.ndarray:
        """The action to send now, shape (action,), float32; the plan behind it is in `plan`."""
        action, self.plan, self._state = self.agent.decide(observation, self._state, elapsed=elapsed)
        return np.asarray(action)
