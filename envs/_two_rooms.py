"""Two rooms, a wall between them and a door in it, seen from above: a world whose layout is only in the picture."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

import ebm

SIZE = 65  # px along either side of the picture
LOW, HIGH = 4.0, 60.0  # px: the walls around both rooms
HALF_WALL, HALF_DOOR = 1.0, 4.0  # px
WALLS, DOORS = (20, 44), (10, 54)  # px: where the wall (x) and the middle of the door (y) can be
FIXED = (32.0, 10.0)  # px: where they are, if they are always there
DOT = 1.3  # px: deviation of the dot
MAX_STEP = 2.45  # px: the longest action
BOUNCE = 0.5  # px: deviation of where the dot ends up after it has hit a wall
NUDGE = 0.3  # px: at least so far away from it
SLIDE = 6.0  # px: of a slip, sideways


class TwoRoomsState(ebm.AbstractState):
    """The dot's `position`, the `wall` between the rooms (its x) and the middle of the `door` in it (its y), px. Reads by these names."""

    position: Float[Array, "*batch 2"]
    wall: Float[Array, "*batch"]
    door: Float[Array, "*batch"]

    def read(self, name):
        values = {"position": self.position, "wall": self.wall[..., None], "door": self.door[..., None]}
        if name not in values:
            raise KeyError(f"There is no {name!r} in two rooms: {', '.join(values)}.")
        return values[name]


class TwoRooms(ebm.AbstractWorldModel):
    """A dot that goes where it is told (px a step) unless a wall is in the way, from which it bounces a little, at random.

    Without latents it stops at the wall. The dynamics are those of the Two Rooms task of EB-JEPA and PLDM; two chances may
    be added.

    **Arguments:**

    - `slip`: how likely it is, at every step, that a dot that moves slides 6 px to one side besides, either as often as the other.
    - `shut`: how likely it is, at every step, that nobody gets into the door.

    Sobal et al. 2025, "Learning from reward-free offline data: a case for planning with latent dynamics models", arXiv:2502.14819.
    """

    layout: ClassVar[tuple[float, float] | None] = None  # where wall and door always are, px; else each film has others
    apart: ClassVar[float] = 0.0  # px from a wall, at which the dot is stopped

    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-MAX_STEP] * 2, [MAX_STEP] * 2))
    dt: float = eqx.field(static=True, default=1.0)
    slip: Float[Array, ""] = eqx.field(default=0.0, converter=jnp.float32)
    shut: Float[Array, ""] = eqx.field(default=0.0, converter=jnp.float32)

    def example_state(self):
        return TwoRoomsState(jnp.array([16.0, 32.0]), *map(jnp.float32, FIXED))

    def sample_latents(self, horizon, *, key):
        luck = jax.random.uniform(jax.random.fold_in(key, 1), (horizon, 2))
        return ebm.Latents(jnp.zeros(()), Chance(jax.random.normal(key, (horizon, 2)), luck))

    def step(self, state, action, latents=None):
        chance = Chance(jnp.zeros(2), jnp.ones(2)) if latents is None else latents.step
        slips, shut = chance.luck < jnp.stack([self.slip, self.shut])
        side = jnp.where(chance.luck[0] < 0.5 * self.slip, SLIDE, -SLIDE) / jnp.maximum(jnp.linalg.norm(action), 1e-6)
        after = state.position + action + jnp.where(slips, side * jnp.stack([-action[1], action[0]]), 0.0)
        hit = _hit(state, after, shut)
        bounce = BOUNCE * chance.bounce
        bounce = jnp.where(hit.away != 0, hit.away * jnp.abs(bounce), bounce)
        stopped = jnp.clip(hit.place + bounce, hit.low + NUDGE, hit.high - NUDGE)
        return TwoRoomsState(jnp.where(hit.blocked, stopped, after), state.wall, state.door)


class Chance(NamedTuple):
    """What is left to chance in a step: standard normal numbers of a bounce, and two evenly between 0 and 1, of a slip and of the door."""

    bounce: Float[Array | np.ndarray, "*batch 2"]
    luck: Float[Array | np.ndarray, "*batch 2"]


class _Hit(NamedTuple):
    """Whether something is in the way, where, which way leads back from it (-1, 0 or 1 along x and y), and the limits of where one is."""

    blocked: Bool[Array, ""]
    place: Float[Array, "2"]
    away: Float[Array, "2"]
    low: Float[Array, "2"]
    high: Float[Array, "2"]


def _hit(state: TwoRoomsState, after: Float[Array, "2"], shut: Bool[Array, ""]) -> _Hit:
    """The first wall on the straight way from where the dot is to `after`. A door that is shut keeps nobody in it."""
    before, move = state.position, after - state.position
    left, right = state.wall - HALF_WALL, state.wall + HALF_WALL
    west = before[0] < state.wall
    low = jnp.stack([jnp.where(west, LOW, right), LOW])
    high = jnp.stack([jnp.where(west, left, HIGH), HIGH])

    def share(line, axis):
        """Of the way until it crosses a line; +inf if it does not."""
        crosses = jnp.sign(before[axis] - line) * jnp.sign(after[axis] - line) <= 0
        part = (line - before[axis]) / jnp.where(move[axis] == 0, 1.0, move[axis])
        return jnp.where(crosses & (move[axis] != 0), part, jnp.inf)

    def through(part):
        y = before[1] + jnp.where(jnp.isfinite(part), part, 0.0) * move[1]
        return (jnp.abs(y - state.door) <= HALF_DOOR) & (~shut | ((left < before[0]) & (before[0] < right)))

    wall, around = share(jnp.where(west, left, right), 0), share(jnp.where(west, LOW, HIGH), 0)
    sides = jnp.stack([jnp.where(through(wall), jnp.inf, wall), around, share(LOW, 1), share(HIGH, 1)])
    jambs = jnp.stack([share(state.door - HALF_DOOR, 1), share(state.door + HALF_DOOR, 1)])
    x = before[0] + jnp.where(jnp.isfinite(jambs), jambs, 0.0) * move[0]
    inside = jnp.abs(before[1] - state.door) < HALF_DOOR  # of the door, whose jambs can be hit from there only
    jambs = jnp.where(inside & (left <= x) & (x <= right), jambs, jnp.inf)
    parts = jnp.concatenate([jambs, sides])
    first = jnp.argmin(parts)
    place = before + jnp.where(jnp.isfinite(parts[first]), parts[first], 0.0) * move
    along = jnp.array([[0.0, 1.0]] * 2 + [[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)[first]
    blocked, jammed = jnp.isfinite(parts[first]), first < 2
    low = jnp.where(jammed, jnp.stack([LOW, state.door - HALF_DOOR]), low)
    high = jnp.where(jammed, jnp.stack([HIGH, state.door + HALF_DOOR]), high)
    return _Hit(blocked, place, -jnp.sign(move) * along, low, high)


def draw_layout(key: Key[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Where the wall and the door are, px, each at a whole pixel."""
    keys = jax.random.split(key)
    wall, door = (jax.random.randint(k, (), low, high + 1).astype(jnp.float32) for k, (low, high) in zip(keys, (WALLS, DOORS), strict=True))
    return wall, door


def draw_walls(wall: Float[Array, ""], door: Float[Array, ""]) -> UInt8[Array, "size size"]:
    """The walls as they are seen."""
    x, y = jnp.meshgrid(jnp.arange(SIZE), jnp.arange(SIZE))
    between = (jnp.abs(x - wall) <= HALF_WALL) & ~(jnp.abs(y - door) <= HALF_DOOR)
    around = (x == LOW) | (x == HIGH) | (y == LOW) | (y == HIGH)
    return jnp.where(between | around, 255, 0).astype(jnp.uint8)


def draw_dot(position: Float[Array, "2"]) -> UInt8[Array, "size size"]:
    """The dot as it is seen."""
    x, y = jnp.exp(-0.5 * ((jnp.arange(SIZE) - position[:, None]) / DOT) ** 2)
    return (255.0 * y[:, None] * x).astype(jnp.uint8)


def picture(state: Any) -> UInt8[Array, "2 size size"]:
    """What is seen of a state: the dot, and the walls."""
    return jnp.stack([draw_dot(state.position), draw_walls(state.wall, state.door)])
