"""Films of two rooms, drawn from a key: what a world model learns from."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from ._two_rooms import (
    FIXED,
    HALF_DOOR,
    HALF_WALL,
    HIGH,
    LOW,
    TwoRooms,
    TwoRoomsState,
    draw_dot,
    draw_layout,
    draw_walls,
    picture,
)

CONCENTRATION = 5.0  # of a change of heading, von Mises
STEP_MEAN, STEP_STD, STEP_LOW, STEP_HIGH = 1.0, 0.4, 0.2, 1.8  # px: the length of an action, normal and cut off
DOOR_STD = 1.4  # px: of where a film goes through the door
APART = 0.01  # px from a wall, at least
NEAR = 6.0  # px: how close to a wall a film begins that is to touch it
ANGLES = np.linspace(-math.pi, math.pi, 513)


class Films(eqx.Module):
    """States and actions of many films; pictures are drawn when they are asked for.

    **Arguments:**

    - `states`: leaves (film, frame, ...). `actions`: shape (film, frame - 1, 2), px.
    """

    states: TwoRoomsState
    actions: Float[Array, "film step 2"]

    def pictures(self) -> UInt8[Array, "film frame 2 size size"]:
        """What is seen: dot and walls."""

        def film(states):
            dots = jax.vmap(draw_dot)(states.position)
            walls = draw_walls(states.wall[0], states.door[0])  # these stay as they are
            return jnp.stack([dots, jnp.broadcast_to(walls, dots.shape)], axis=1)

        return jax.vmap(film)(self.states)


def draw_films(
    key: Key[Array, ""],
    count: int,
    frames: int,
    *,
    through_door: float | Array = 0.35,
    near_wall: float | Array = 0.0,
    fixed: bool = False,
    held: int = 1,
    world: TwoRooms | None = None,
) -> Films:
    """Random films: the heading turns a little at every step, from a start anywhere in the rooms.

    With `held` above 1 every action is held so many steps, of which one film frame shows the last: actions are then of any length up to
    the longest, and in half of the films of any heading.

    **Arguments:**

    - `count`, `frames`: their number, and the length of each. Both are static.
    - `through_door`: share of films that go through the door at some moment. `near_wall`: of those that begin beside the wall between the
      rooms, heading for it.
    - `fixed`: whether wall and door are always at (32, 10).
    - `held`: steps between two frames.
    - `world`: in which things happen, such as one where dots slip. By default the usual one.

    **Raises:**

    `ValueError` for films of less than two frames, and actions held for less than a step.
    """
    if frames < 2:
        raise ValueError(f"`frames` must be at least 2, got {frames}. An action leads from one frame to the next.")
    if held < 1:
        raise ValueError(f"`held` must be positive, got {held}. It counts the steps for which an action is held.")
    draw = eqx.Partial(_draw_film, frames=frames, fixed=fixed, held=held, model=world or TwoRooms())
    shares = jnp.asarray(through_door), jnp.asarray(near_wall)
    return Films(*jax.vmap(draw, in_axes=(0, None, None))(jax.random.split(key, count), *shares))


def play_films(
    key: Key[Array, ""],
    act: Callable[[Array, Array], Array],
    targets: Float[Array, "film target coordinate"],
    frames: int,
    *,
    through_door: float | Array = 0.4,
    near_wall: float | Array = 0.35,
    held: int = 1,
    world: TwoRooms | None = None,
) -> Films:
    """Films of somebody who goes for one target after another: what a planner will do, and random headings rarely do, such as to push on
    against a wall.

    **Arguments:**

    - `act`: `(picture, target) -> action`, px; sees pictures only.
    - `targets`: of each film, taken up one after another at random moments, in the coordinates of whoever acts.
    - `frames`, `through_door`, `near_wall`, `held`: as in `draw_films`, for where the films begin. `world`: as there.
    """
    begin, moments, worlds = jax.random.split(key, 3)
    count, stages = targets.shape[:2]
    starts = draw_films(begin, count, 2, through_door=through_door, near_wall=near_wall, held=held, world=world).states
    changes = jnp.sort(jax.random.randint(moments, (count, stages - 1), 1, frames), axis=1)
    model = world or TwoRooms()

    def film(state, targets, changes, key):
        def advance(state, moment):
            step, key = moment
            action = act(picture(state), targets[jnp.sum(step >= changes)])
            states = model.rollout(state, jnp.broadcast_to(action, (held, 2)), model.sample_latents(held, key=key))
            return jax.tree.map(lambda leaf: leaf[-1], states), (state, action)

        last, (states, actions) = jax.lax.scan(advance, state, (jnp.arange(frames - 1), jax.random.split(key, frames - 1)))
        return jax.tree.map(lambda before, end: jnp.concatenate([before, end[None]]), states, last), actions

    first = jax.tree.map(lambda leaf: leaf[:, 0], starts)
    return Films(*jax.vmap(film)(first, targets, changes, jax.random.split(worlds, count)))


def _walk(key: Key[Array, ""], steps: int) -> tuple[Float[Array, " step"], Float[Array, " step"]]:
    """Headings (rad) that turn a little at every step, and lengths (px)."""
    turn, length = jax.random.split(key)
    turns = jnp.interp(jax.random.uniform(turn, (steps,)), jnp.asarray(_quantiles()), jnp.asarray(ANGLES))
    shortest, longest = (STEP_LOW - STEP_MEAN) / STEP_STD, (STEP_HIGH - STEP_MEAN) / STEP_STD
    return jnp.cumsum(turns.at[0].set(0.0)), STEP_MEAN + STEP_STD * jax.random.truncated_normal(length, shortest, longest, (steps,))


def _held_walk(
    key: Key[Array, ""], steps: int, held: int, longest: Float[Array, ""]
) -> tuple[Float[Array, " step"], Float[Array, " step"]]:
    """The same for actions that are held: of any length, and in half of the films of any heading."""
    wander, free, length, kind = jax.random.split(key, 4)
    turning, _ = _walk(wander, steps)
    heading = jnp.where(jax.random.bernoulli(kind), turning, jax.random.uniform(free, (steps,), maxval=2 * math.pi))
    return jnp.repeat(heading, held), jnp.repeat(jax.random.uniform(length, (steps,), maxval=longest), held)


def _draw_film(
    key: Key[Array, ""], through_door: Array, near_wall: Array, *, frames: int, fixed: bool, held: int, model: TwoRooms
) -> tuple[TwoRoomsState, Array]:
    layout, kind, start, walk, world = jax.random.split(key, 5)
    place = FIXED if fixed else model.layout
    wall, door = draw_layout(layout) if place is None else map(jnp.float32, place)
    share = jax.random.uniform(kind)
    crossing, touching = share < through_door, (share >= through_door) & (share < through_door + near_wall)
    steps = held * (frames - 1)
    turned, length = _walk(walk, steps) if held == 1 else _held_walk(walk, frames - 1, held, model.action_space.high[0])
    keys = jax.random.split(start, 6)
    step = jax.random.randint(keys[0], (), 1, steps + 1)  # of the frame in the door
    side = jnp.where(jax.random.bernoulli(keys[1]), 0.0, math.pi)
    across = side + jax.random.uniform(keys[2], (), minval=-0.25 * math.pi, maxval=0.25 * math.pi)
    anywhere = jax.random.uniform(keys[3], (), maxval=2 * math.pi)
    heading = turned + jnp.where(crossing, across - turned[step - 1], jnp.where(touching, across, anywhere))
    actions = length[:, None] * jnp.stack([jnp.cos(heading), jnp.sin(heading)], axis=-1)
    offset = jnp.stack(
        [jax.random.uniform(keys[4], (), minval=-HALF_WALL, maxval=HALF_WALL), DOOR_STD * _within(keys[5], HALF_DOOR / DOOR_STD)]
    )
    in_door = jnp.stack([wall, door]) + offset - jnp.sum(jnp.where((jnp.arange(steps) < step)[:, None], actions, 0.0), axis=0)
    towards = jnp.where(side == 0.0, 1.0, -1.0)
    apart = model.apart + APART
    free, gap = jax.random.uniform(keys[4], (2,)), HALF_WALL + model.apart + NEAR * jax.random.uniform(keys[5])
    beside = jnp.stack([wall - towards * gap, LOW + (HIGH - LOW) * free[1]])
    position = jnp.where(crossing, in_door, jnp.where(touching, beside, _outside(free, wall, door)))
    begin = TwoRoomsState(_beside(jnp.clip(position, LOW + apart, HIGH - apart), wall, door, apart), wall, door)
    states = model.rollout(begin, actions, model.sample_latents(steps, key=world))
    return jax.tree.map(lambda leaf: leaf[::held], states), actions[::held]


def _outside(free: Float[Array, "2"], wall: Float[Array, ""], door: Float[Array, ""]) -> Float[Array, "2"]:
    """A place anywhere in the rooms or in the door, from two numbers in [0, 1]."""
    y = LOW + (HIGH - LOW) * free[1]
    open_ = jnp.abs(y - door) <= HALF_DOOR
    west, east = wall - HALF_WALL - LOW, HIGH - wall - HALF_WALL
    x = LOW + free[0] * (west + east)
    x = jnp.where(x > wall - HALF_WALL, x + 2 * HALF_WALL, x)
    return jnp.stack([jnp.where(open_, LOW + (HIGH - LOW) * free[0], x), y])


def _beside(position: Float[Array, "2"], wall: Float[Array, ""], door: Float[Array, ""], apart: float) -> Float[Array, "2"]:
    """The place itself, or the nearest beside the wall, if it is in it or nearer than `apart`, px."""
    inside = (jnp.abs(position[0] - wall) < HALF_WALL + apart) & (jnp.abs(position[1] - door) > HALF_DOOR - APART)
    out = wall + jnp.where(position[0] < wall, -1.0, 1.0) * (HALF_WALL + apart)
    return position.at[0].set(jnp.where(inside, out, position[0]))


def _within(key: Key[Array, ""], limit: float) -> Float[Array, ""]:
    return jax.random.truncated_normal(key, -limit, limit)


def _quantiles() -> np.ndarray:
    """The distribution function of a change of heading, at `ANGLES`."""
    density = np.exp(CONCENTRATION * np.cos(ANGLES))
    whole = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return (whole / whole[-1]).astype(np.float32)


def oracle_route(
    state: TwoRoomsState, goal: Float[Array, "2"], horizon: int, speed: float | Array = 2.4, world: TwoRooms | None = None
) -> Float[Array, "horizon 2"]:
    """Actions of someone who knows the layout: before the door, through it, to the goal, each in a straight line.

    **Arguments:**

    - `speed`: px a step. `world`: in which to go, by default the usual one.
    """
    model = world or TwoRooms()
    west = state.position[0] < state.wall
    beyond = (goal[0] < state.wall) != west
    sides = jnp.where(west, -1.0, 1.0) * jnp.array([HALF_WALL + 2.0, -(HALF_WALL + 2.0)])
    stops = jnp.stack([*(jnp.stack([state.wall + side, state.door]) for side in sides), goal])

    def act(carry, _):
        state, stage = carry
        here = jnp.linalg.norm(stops[stage] - state.position) < 0.5
        stage = jnp.minimum(stage + here, 2)
        way = stops[stage] - state.position
        action = way * jnp.minimum(1.0, speed / jnp.maximum(jnp.linalg.norm(way), 1e-6))
        return (model.step(state, action), stage), action

    return jax.lax.scan(act, (state, jnp.where(beyond, 0, 2)), length=horizon)[1]
