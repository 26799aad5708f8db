"""A maze from above: the same maze as its map, one room a step, and what is to be reached in it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

import ebm

from ._maze_layout import CELL, ROOMS, WALLS, centre

NOWHERE = (-10.0, -10.0, -2.0)  # where a wall is put that is not there
REMEMBERED = 8  # closed passages that notes hold
STEP = 0.7  # s that a room takes on the map
MOVES = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.0, 0.0))


class MazeState(ebm.AbstractState):
    """A maze from above, m: where one is, where the goal is, and the middle of every wall."""

    position: Float[Array, "*batch 2"]
    goal: Float[Array, "*batch 2"]
    walls: Float[Array, "*batch wall 2"]

    def read(self, name):
        return {"place": self.position, "goal": self.goal}[name]


class MazeMap(ebm.AbstractWorldModel):
    """The map of a maze: a step goes from the middle of a room to that of the next, if no wall is between.

    The action's stronger component says where to; one below ½ stays.
    """

    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-1.0, -1.0], [1.0, 1.0]))
    dt: float = eqx.field(static=True, default=STEP)

    @staticmethod
    def moves() -> ebm.Discrete:
        """To the four neighbours, and staying."""
        return ebm.Discrete(jnp.asarray(MOVES))

    def example_state(self):
        return MazeState(jnp.zeros(2), jnp.zeros(2), jnp.full((WALLS, 2), NOWHERE[0]))

    def step(self, state, action, latents=None):
        stronger = jnp.arange(2) == jnp.argmax(jnp.abs(action))
        move = jnp.where(stronger & (jnp.abs(action) > 0.5), jnp.sign(action), 0.0)
        here = middle(state.position)
        there = here + CELL * move
        free = passable(state.walls, here, there)
        return MazeState(jnp.where(free, there, here), state.goal, state.walls)


class Away(ebm.AbstractStageEnergy):
    """1 per second until the goal's room is reached, and the rest of the way (m, as the crow flies) at the end."""

    def stage(self, state, action, previous_action, time):
        return jnp.where(self._left(state) > 0.5 * CELL, 1.0, 0.0)

    def final(self, state, time):
        return self._left(state)

    def _left(self, state: Any) -> Float[Array, ""]:
        return jnp.linalg.norm(state.position - middle(state.goal))


class WayLeft(ebm.AbstractStageEnergy):
    """The length of the shortest way to the goal at the end of a plan, m: the value of the map, for the ball's own states."""

    def stage(self, state, action, previous_action, time):
        return jnp.float32(0.0)

    def final(self, state, time):
        seen = from_above(state)
        left, neighbours, onwards = _ways(seen)
        direct = jnp.linalg.norm(seen.position - seen.goal)
        return jnp.where(left == 0.0, direct, jnp.min(jnp.linalg.norm(seen.position - neighbours, axis=-1) + onwards))


class MazeWalk(ebm.AbstractWorldModel):
    """A point seen from above that moves as fast as it is told (m/s), and minds no walls: what lies between the map and the physics."""

    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-1.6, -1.6], [1.6, 1.6]))
    dt: float = eqx.field(static=True, default=0.3)

    def example_state(self):
        return MazeMap().example_state()

    def step(self, state, action, latents=None):
        return MazeState(state.position + self.dt * action, state.goal, state.walls)


class MazeNotes(eqx.Module):
    """Passages that the map shows as open, and that have turned out to be closed: for `planners.HierarchicalProblem`."""

    def init(self) -> tuple[Array, Array]:
        """The middles of closed passages (m), and how many were noted."""
        return jnp.full((REMEMBERED, 2), NOWHERE[0]), jnp.int32(0)

    def learn(self, notes: tuple[Array, Array], here: MazeState, there: MazeState) -> tuple[Array, Array]:
        """Notes in which there is a wall on the way from one room to the next, as the newest; the oldest gives way to it."""
        closed, count = notes
        between = 0.5 * (middle(here.position) + there.position)
        moved = jnp.linalg.norm(there.position - middle(here.position)) > 0.5 * CELL
        known = jnp.linalg.norm(closed - between, axis=-1, keepdims=True) < 0.25 * CELL
        newer = jnp.where(known, NOWHERE[0], closed).at[count % REMEMBERED].set(between)
        return jnp.where(moved, newer, closed), count + moved

    def recall(self, state: MazeState, notes: tuple[Array, Array]) -> MazeState:
        """The map with what is noted as walls, but for the oldest notes if no way were left: one of them is wrong, and is tried again."""
        closed, count = notes
        age = (count - 1 - jnp.arange(REMEMBERED)) % REMEMBERED

        def drawn(believed):
            walls = jnp.where((age < believed)[:, None], closed, NOWHERE[0])
            return MazeState(state.position, state.goal, jnp.concatenate([state.walls, walls]))

        counts = jnp.arange(REMEMBERED + 1)
        way = jax.vmap(lambda believed: jnp.isfinite(_ways(drawn(believed))[0]))(counts)
        return drawn(jnp.max(jnp.where(way, counts, 0)))


def maze_map() -> ebm.Problem:
    """The problem of finding the way on the map. See `from_above` for its states."""
    return ebm.Problem(MazeMap(), Away())


def from_above(state: Any) -> MazeState:
    """What the map shows of a state of `PointMaze-v0`."""
    walls = jnp.stack([state.read(f"mocap:wall{i}")[..., :2] for i in range(WALLS)], axis=-2)
    return MazeState(where(state), goal(state), walls)


def where(state: Any) -> Float[Array, "2"]:
    """The ball's position, m."""
    return jnp.concatenate([state.read("joint:x"), state.read("joint:y")], axis=-1)


def how_fast(state: Any) -> Float[Array, "2"]:
    """The ball's velocity, m/s."""
    return jnp.concatenate([state.read("velocity:joint:x"), state.read("velocity:joint:y")], axis=-1)


def goal(state: Any) -> Float[Array, "2"]:
    """The goal's position, m."""
    return state.read("mocap:goal")[..., :2]


def middle(position: Float[Array, "2"]) -> Float[Array, "2"]:
    """The middle of the room that a position (m) is in, or is nearest to."""
    return centre(jnp.clip(jnp.round(position / CELL + 0.5 * (ROOMS - 1)), 0, ROOMS - 1))


def passable(walls: Float[Array, "wall 2"], here: Float[Array, "2"], there: Float[Array, "2"]) -> Bool[Array, ""]:
    """Whether there is no wall between the middles of two neighbouring rooms, and both are in the maze."""
    inside = jnp.all(jnp.abs(there) < 0.5 * ROOMS * CELL)
    return inside & ~jnp.any(jnp.linalg.norm(walls - 0.5 * (here + there), axis=-1) < 0.25 * CELL)


def _ways(seen: MazeState) -> tuple[Float[Array, ""], Float[Array, "move 2"], Float[Array, " move"]]:
    """The length of the shortest way to the goal from the room one is in, m; the middles of the rooms next to it, and the lengths from
    there. +inf where there is none."""
    rooms = centre(jnp.stack(jnp.meshgrid(jnp.arange(ROOMS), jnp.arange(ROOMS), indexing="ij"), axis=-1)).reshape(-1, 2)
    targets = rooms[:, None] + CELL * jnp.asarray(MOVES)
    free = jax.vmap(lambda a, bs: jax.vmap(lambda b: passable(seen.walls, a, b))(bs))(rooms, targets)
    index = jnp.argmin(jnp.linalg.norm(targets[:, :, None] - rooms, axis=-1), axis=-1)
    start = jnp.where(jnp.linalg.norm(rooms - middle(seen.goal), axis=-1) < 0.5 * CELL, 0.0, jnp.inf)

    def relax(value, _):
        return jnp.minimum(value, jnp.min(jnp.where(free, value[index] + CELL, jnp.inf), axis=1)), None

    value = jax.lax.scan(relax, start, None, length=ROOMS * ROOMS)[0]
    here = jnp.argmin(jnp.linalg.norm(rooms - seen.position, axis=-1))
    return value[here], targets[here], jnp.where(free[here], value[index[here]], jnp.inf)
