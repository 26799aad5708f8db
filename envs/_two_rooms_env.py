"""Two rooms as a Gymnasium environment: pictures in, steps out."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import ebm

from ._two_rooms import DOORS, FIXED, HALF_WALL, HIGH, LOW, MAX_STEP, SIZE, WALLS, Chance, TwoRooms, TwoRoomsState, picture

AT_GOAL = 4.5  # px
PADDING = 2.6  # px between a wall and where an episode begins or is to end: two deviations of the dot
OPTIONS = ("wall", "door", "position", "goal")


class TwoRoomsEnv(gymnasium.Env):
    """A dot in one of two rooms is to be in the other, where the goal is. Every episode has another wall and another door.

    Observation: the picture, uint8, shape (2, 65, 65): the dot, and the walls. Action: where to go, px along x and y. Reward: minus the
    distance to the goal, px. Nothing ends an episode before its time. `info` says "distance" and "position" (px), "goal" (px),
    "goal_picture", "wall" and "door" (px).

    Sobal et al. 2025, arXiv:2502.14819; the protocol is EB-JEPA's: success is being within 4.5 px of the goal after the last of 200 steps.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (Gymnasium's)
    at_goal = AT_GOAL
    size = SIZE

    def __init__(self, *, layout: str = "random", steps: int = 200, slip: float = 0.0, shut: float = 0.0, render_mode: str | None = None):
        """**Arguments:**

        - `layout`: "random", or "fixed" with the wall at 32 and the door at 10.
        - `steps`: of an episode.
        - `slip`, `shut`: chances at every step that the dot slides to one side, and that nobody gets into the door, as in `TwoRooms`.

        **Raises:**

        `ValueError` for another layout, less than one step, or a chance that is none.
        """
        if layout not in ("random", "fixed"):
            raise ValueError(f'`layout` must be "random" or "fixed", got {layout!r}.')
        if steps < 1:
            raise ValueError(f"`steps` must be positive, got {steps}. It counts the steps of an episode.")
        for name, chance in (("slip", slip), ("shut", shut)):
            if not 0 <= chance <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {chance}. It is a chance.")
        self.layout, self.steps, self.render_mode, self.tick = layout, steps, render_mode, 0
        self.observation_space = gymnasium.spaces.Box(0, 255, (2, SIZE, SIZE), np.uint8)
        self.action_space = gymnasium.spaces.Box(-MAX_STEP, MAX_STEP, (2,), np.float32)
        self.model, self.goal = TwoRooms(slip=jnp.float32(slip), shut=jnp.float32(shut)), np.zeros(2, np.float32)
        self._chancy = slip > 0 or shut > 0  # where nothing is left to luck, episodes are as they always were
        self.state: TwoRoomsState = self.model.example_state()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode.

        **Arguments:**

        - `options`: "wall", "door", "position" and "goal" (px) are set over what was drawn at random.

        **Raises:**

        `ValueError` for options there are not.
        """
        super().reset(seed=seed)
        given = options or {}
        unknown = [name for name in given if name not in OPTIONS]
        if unknown:
            raise ValueError(f"`options` has no {unknown[0]!r}. It has {', '.join(OPTIONS)}.")
        self.tick = 0
        wall, door = self.draw_layout()
        wall, door = float(given.get("wall", wall)), float(given.get("door", door))
        position, self.goal = (
            np.asarray(given.get(name, place), np.float32) for name, place in zip(("position", "goal"), self.draw_ends(wall), strict=True)
        )
        self.state = TwoRoomsState(jnp.asarray(position), jnp.float32(wall), jnp.float32(door))
        return self._observe(), self._info()

    def draw_layout(self) -> tuple[float, float]:
        """Where wall and door are in this episode, px."""
        rng = self.np_random
        return FIXED if self.layout == "fixed" else (float(rng.integers(*WALLS, endpoint=True)), float(rng.integers(*DOORS, endpoint=True)))

    def draw_ends(self, wall: float) -> tuple[Any, Any]:
        """Where the dot is, and where it is to be, px, given where the wall is."""
        rng = self.np_random
        west, east = (LOW + PADDING, wall - HALF_WALL - PADDING), (wall + HALF_WALL + PADDING, HIGH - PADDING)
        here, there = (west, east) if rng.random() < 0.5 else (east, west)
        places = [(rng.uniform(*side), rng.uniform(LOW + PADDING, HIGH - PADDING)) for side in (here, there)]
        return places[0], places[1]

    def step(self, action: Any):
        """Go that way, as far as the walls let one."""
        wanted = np.asarray(action, np.float32)
        longest = self.action_space.high  # pyright: ignore[reportAttributeAccessIssue]
        if wanted.shape != (2,) or np.isnan(wanted).any():
            raise ValueError(f"`action` must be 2 numbers, none of them NaN, got {action}.")
        bounce = self.np_random.standard_normal(2).astype(np.float32)
        luck = self.np_random.random(2).astype(np.float32) if self._chancy else np.ones(2, np.float32)
        self.state = _step(self.model, self.state, np.clip(wanted, -longest, longest), Chance(bounce, luck))
        self.tick += 1
        info = self._info()
        return self._observe(), -info["distance"], False, self.tick >= self.steps, info

    def render(self) -> np.ndarray | None:
        """The picture in colours, 6 times as large: the dot red, the goal green."""
        if self.render_mode is None:
            gymnasium.logger.warn('`render` draws nothing without a render mode. Pass `render_mode="rgb_array"`.')
            return None
        dot, walls = (channel.astype(np.float32) for channel in self._observe())
        goal = np.asarray(_picture(eqx.tree_at(lambda s: s.position, self.state, jnp.asarray(self.goal)))[0], np.float32)
        colours = np.stack([255 - walls - goal, 255 - walls - dot, 255 - walls - dot - goal], axis=-1)
        return np.kron(np.clip(colours, 0, 255).astype(np.uint8), np.ones((6, 6, 1), np.uint8))

    def problem(self) -> ebm.Problem:
        """Reach the goal of this episode, in the true world: what a world model is compared with."""
        return ebm.Problem(self.model, ebm.Reach("position", self.goal, tolerance=AT_GOAL, name="goal"))

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the dot was at the goal at the end.

        **Arguments:**

        - `history`: the `info` of every step of the episode, to its end.
        """
        return bool(history) and history[-1]["distance"] < AT_GOAL

    def _observe(self) -> np.ndarray:
        return np.asarray(_picture(self.state))

    def _info(self) -> dict[str, Any]:
        position = np.asarray(self.state.position)
        there = eqx.tree_at(lambda s: s.position, self.state, jnp.asarray(self.goal))
        info = {"position": position, "goal": self.goal.copy(), "distance": float(np.linalg.norm(position - self.goal))}
        return info | {"goal_picture": np.asarray(_picture(there)), "wall": float(self.state.wall), "door": float(self.state.door)}


_picture = jax.jit(picture)


@eqx.filter_jit
def _step(model: TwoRooms, state: TwoRoomsState, action: Any, chance: Any) -> TwoRoomsState:
    return model.step(state, action, ebm.Latents(jnp.zeros(()), chance))
