"""Two Rooms in another geometry: the wall stays, steps are shorter, and the goal is where somebody had been later."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import ebm

from ._two_rooms import HALF_DOOR, HIGH, LOW, TwoRooms, TwoRoomsState
from ._two_rooms_env import TwoRoomsEnv

SCALE = 3.5  # px of the original picture, which is 224 px wide, for one of ours
LAYOUT = (112 / SCALE, 49 / SCALE)  # px: wall and door
MAX_STEP = 5.0 / SCALE  # px
RADIUS, HALF_WALL, MARGIN, BACK = 7 / SCALE, 5 / SCALE, 1.75 / SCALE, 0.5 / SCALE  # px: of the dot; of the wall; of the door; off the wall
AT_GOAL = 16 / SCALE  # px
AHEAD, STEPS = 75, 150  # steps until the goal was reached, and until it must be
NOISE, AGAIN = 2.0, 0.05  # deviation of who wanders, of the longest step, and how likely an action is the last one once more
AT_DOOR = 10.5 / SCALE  # px: there the wanderer turns to its target


class TwoRoomsMatch(TwoRooms):
    """A dot of some width that stops before walls, and never bounces. Only its middle needs to fit through the door.

    Dynamics and geometry are those of `swm/TwoRoom-v1` in stable-worldmodel, in pictures of 65 px instead of 224.
    """

    layout: ClassVar[tuple[float, float] | None] = LAYOUT
    apart: ClassVar[float] = RADIUS + HALF_WALL - 1.0  # its wall is not quite as wide as it is drawn

    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-MAX_STEP] * 2, [MAX_STEP] * 2))

    def step(self, state, action, latents=None):
        after = jnp.clip(state.position + action, LOW + RADIUS, HIGH - RADIUS)
        side = jnp.where(state.position[0] < state.wall, -1.0, 1.0)
        into = side * (after[0] - state.wall) < HALF_WALL + RADIUS
        through = jnp.abs(after[1] - state.door) <= HALF_DOOR + MARGIN
        stopped = state.wall + side * (HALF_WALL + RADIUS + BACK)
        return TwoRoomsState(after.at[0].set(jnp.where(into & ~through, stopped, after[0])), state.wall, state.door)


class TwoRoomsMatchEnv(TwoRoomsEnv):
    """The dot is to be, once in 150 steps, within 4.6 px of where somebody who began at the same place was after 75.

    That somebody makes for a place anywhere, through the door if need be, with noise twice as large as a step, and has not arrived before.
    Observation, reward and `info` as in `TwoRoomsEnv`; an action is at most 1.43 px along x and y.

    Geometry and data policy are stable-worldmodel's, which looks 25 steps ahead and has 50; here it is 75 and 150.
    """

    at_goal = AT_GOAL

    def __init__(self, *, render_mode: str | None = None):
        super().__init__(layout="fixed", steps=STEPS, render_mode=render_mode)
        self.model = TwoRoomsMatch()
        self.action_space = gymnasium.spaces.Box(-MAX_STEP, MAX_STEP, (2,), np.float32)

    def draw_layout(self):
        return LAYOUT

    def draw_ends(self, wall):
        rng = self.np_random
        while True:
            west = rng.random() < 0.5
            limits = (LOW + RADIUS, wall - HALF_WALL - RADIUS) if west else (wall + HALF_WALL + RADIUS, HIGH - RADIUS)
            start = np.array([rng.uniform(*limits), rng.uniform(LOW + RADIUS, HIGH - RADIUS)], np.float32)
            target = rng.uniform(LOW, HIGH, 2).astype(np.float32)
            places = np.asarray(_wander(self.model, start, target, jax.random.key(rng.integers(2**31))))
            if np.linalg.norm(places - target, axis=-1).min() >= AT_GOAL:
                return start, places[-1]

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the dot was at the goal at any step.

        **Arguments:**

        - `history`: the `info` of every step of the episode.
        """
        return any(info["distance"] < AT_GOAL for info in history)


@eqx.filter_jit
def _wander(model: TwoRoomsMatch, start: Any, target: Any, key: Key[Array, ""]) -> Float[Array, "place 2"]:
    """Where the wanderer is at each of the steps until the goal."""
    begin = TwoRoomsState(jnp.asarray(start), *map(jnp.float32, LAYOUT))
    door = jnp.stack([begin.wall, begin.door])

    def advance(carry, key):
        state, last = carry
        noise, again = jax.random.split(key)
        beyond = (state.position[0] > state.wall) != (target[0] > state.wall)
        far = jnp.linalg.norm(door - state.position) > AT_DOOR
        way = jnp.where(beyond & far, door, target) - state.position
        wish = way / jnp.maximum(jnp.linalg.norm(way), 1e-6) + NOISE * jax.random.normal(noise, (2,))
        wish = jnp.where(jax.random.bernoulli(again, AGAIN), last, jnp.clip(wish, -1.0, 1.0))
        state = model.step(state, MAX_STEP * wish)
        return (state, wish), state.position

    places = jax.lax.scan(advance, (begin, jnp.zeros(2)), jax.random.split(key, AHEAD))[1]
    return jnp.concatenate([begin.position[None], places])
