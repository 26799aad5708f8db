"""The scenes of the experiments as a Gymnasium environment: somebody in them can act."""

from collections.abc import Generator
from typing import Any

import gymnasium
import numpy as np

from ._draw import Draw
from ._films import MADE, modes
from ._physics import DIGITS, falling, free_slots, resting
from ._picture import Studio
from ._scene import FRAMES, RATE, SIZE, Cast, Stage

PUSH = 6.0  # m/s² at most
ZOOM = 6


class CradleEnv(gymnasium.Env):
    """A possible scene of a concept, in which one of the things can be pushed; every episode draws another.

    Observation: the picture, uint8, shape (64, 64, 3). Action: how to push the thing, m/s² along x (to the right) and y (away). Reward: 0;
    what is wanted, an energy says. An episode has 32 frames. `info` says "position" of the thing (m), "seen", whether the camera sees it,
    and "mask", as films have it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE}  # noqa: RUF012  (Gymnasium's)

    def __init__(self, *, concept: str = "gravity", mode: str | None = None, render_mode: str | None = None):
        """**Arguments:**

        - `concept`, `mode`: as in `CONCEPTS` and `modes`; the first mode if none is given.

        **Raises:**

        `ValueError` for a concept or mode there is not.
        """
        known = modes(concept)
        if mode is not None and mode not in known:
            raise ValueError(f"`mode` of {concept} must be one of {known}, got {mode!r}.")
        self.concept, self.mode, self.render_mode, self.frame = concept, mode or known[0], render_mode, 0
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-PUSH, PUSH, (2,), np.float32)
        self._picture = np.zeros((SIZE, SIZE, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode.

        **Arguments:**

        - `options`: "number" (int) names a scene instead of drawing one.

        **Raises:**

        `ValueError` for options there are not.
        """
        super().reset(seed=seed)
        given = options or {}
        unknown = [name for name in given if name != "number"]
        if unknown:
            raise ValueError(f"`options` has no {unknown[0]!r}. It has number.")
        number = int(given.get("number", self.np_random.integers(2**31)))
        pair = MADE[self.concept][self.mode].pair(Draw(f"scene/{self.concept}/{self.mode}/{number}"))
        casts = [cast for cast in (pair.a, pair.b) if free_slots(cast)]
        self._stage: Stage = pair.stage
        self._cast: Cast = casts[number % len(casts)]
        self._studio, self._slots = Studio(self._stage, (self._cast,)), free_slots(self._cast)
        self._still = resting(self._cast)
        self._motion: Generator[np.ndarray, Any, None] = falling(self._stage, self._cast)
        self.frame, poses = 0, next(self._motion)
        return self._observe(poses)

    def step(self, action: Any):
        """Push, and see what comes of it one frame later."""
        push = np.asarray(action, float)
        if push.shape != (2,) or np.isnan(push).any():
            raise ValueError(f"`action` must be 2 numbers, none of them NaN, got {action}.")
        if self.frame >= FRAMES - 1:
            raise RuntimeError("The episode is over. Call `reset`.")
        self.frame += 1
        x, y = np.clip(push, -PUSH, PUSH)
        picture, info = self._observe(self._motion.send((float(x), float(y), 0.0)))
        return picture, 0.0, False, self.frame == FRAMES - 1, info

    def render(self) -> np.ndarray | None:
        """The picture, 6 times as large."""
        if self.render_mode is None:
            gymnasium.logger.warn('`render` draws nothing without a render mode. Pass `render_mode="rgb_array"`.')
            return None
        return np.kron(self._picture, np.ones((ZOOM, ZOOM, 1), np.uint8))

    def _observe(self, free: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        poses = self._still[self.frame].copy()
        poses[self._slots] = free
        self._picture, mask = self._studio.picture(self._cast, np.round(poses, DIGITS))
        slot = self._slots[0]
        return self._picture, {"position": poses[slot, :3].copy(), "seen": bool((mask == slot + 1).any()), "mask": mask}
