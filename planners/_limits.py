"""Limits in NumPy, for a loop that must not wait for JAX."""

from typing import Any

import numpy as np

EARLY = 0.25  # of a control period, by which an action may come before its time: a loop's clock is not exact, and may tick twice in it


class Limits:
    """The action box of every control period and the rate limit of a problem, and what was sent last.

    **Arguments:**

    - `problem`: whose limits these are.
    """

    def __init__(self, problem: Any):
        box, limits, rate = problem.action_space, getattr(problem, "limits", None), getattr(problem, "rate_limit", None)
        self.dt, self.rate = problem.dt, None if rate is None else np.asarray(rate)
        box = limits if limits is not None and limits.low.ndim > 1 else box  # one for every control period, or one for all
        self.low, self.high = (np.atleast_2d(np.asarray(end)) for end in (box.low, box.high))
        self.rest = np.clip(np.zeros(problem.action_space.size, np.float32), *self.at(0))
        self.reset()

    def reset(self) -> None:
        """Nothing was sent yet: the actuators are at rest."""
        self._last, self._changed = self.rest, -np.inf

    def at(self, tick: int) -> tuple[np.ndarray, np.ndarray]:
        """Both ends of the box in this control period."""
        period = min(max(tick, 0), len(self.low) - 1)
        return self.low[period], self.high[period]

    def keep(self, action: np.ndarray, tick: int, now: float) -> np.ndarray:
        """The action, as near as it can be sent at `now` (s on a clock), which is in the control period `tick`; it counts as sent.

        A change that the rate limit allows in one control period is allowed at once, as soon as one has passed since the last.
        """
        action = np.where(np.isfinite(action), action, self._last)
        if self.rate is not None:
            reach = self.rate * self.dt * (1.0 if now - self._changed >= (1.0 - EARLY) * self.dt else 0.0)
            action = np.clip(action, self._last - reach, self._last + reach)
        action = np.clip(action, *self.at(tick)).astype(np.float32)
        if not np.array_equal(action, self._last):
            self._last, self._changed = action, now
        return action
