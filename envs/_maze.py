"""Mazes drawn from a seed: a ball between walls as a MuJoCo plant, and the same maze as its map, one cell a step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float

import ebm

from ._env import LARGEST, AbstractMujocoEnv
from ._load import load

XML = Path(__file__).parent / "assets" / "point_maze.xml"
ROOMS = 6  # along either side
CELL = 1.0  # m
WALL = 0.1  # m thick
HEIGHT = 0.3  # m
PERIOD = 0.1  # s
AT_GOAL = 0.3  # m
LOOPS = 2  # walls taken out of a maze in which any two rooms are joined by one way only
BANDS = {"near": (5, 8), "middle": (9, 12), "far": (13, 16)}  # rooms between start and goal, along the shortest way
WALLS = (ROOMS - 1) ** 2  # that separate the rooms of a maze without loops
NOWHERE = (-10.0, -10.0, -2.0)  # where a wall is put that is not there
STEP = 0.7  # s that a cell takes on the map
MOVES = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.0, 0.0))


class PointMazeEnv(AbstractMujocoEnv):
    """A ball of 1 kg, pushed with at most 2 N, between the walls of a maze of 6 x 6 rooms of 1 m; every episode has another maze.

    Observation: the ball's position (m) and velocity (m/s), and the goal's position (m). Action: force along x and y, N. Reward: −1 a
    second. The episode ends when the ball is within 0.3 m of the goal. `info` says "distance" (m, as the crow flies), "rooms" (to the goal
    at the start, along the shortest way) and "reached".
    """

    def __init__(
        self,
        *,
        band: str = "far",
        loops: int = LOOPS,
        seconds: float | int = 30.0,
        render_mode: str | None = None,
        view: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `band`: "near" (the goal is 5–8 rooms away), "middle" (9–12) or "far" (13–16).
        - `loops`: walls that are taken out of a maze in which any two rooms are joined by one way only.

        **Raises:**

        `ValueError` for a band or a number of loops that does not exist.
        """
        if band not in BANDS:
            raise ValueError(f"`band` must be one of {', '.join(BANDS)}, got {band!r}.")
        if not 0 <= loops <= WALLS:
            raise ValueError(f"`loops` must be in 0 … {WALLS}, got {loops}. It counts walls that are taken out.")
        self.band, self.loops, self.rooms = band, loops, 0
        view = {"camera": "top", "width": 480, "height": 480} | dict(view or {})
        super().__init__(_spec(), period=PERIOD, seconds=seconds, render_mode=render_mode, view=view)
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (6,), np.float64)

    def problem(self):
        return ebm.Problem(load(self), maze_energy())

    def randomise(self, rng):
        low, high = BANDS[self.band]
        while True:
            walls = draw_walls(rng, self.loops)
            start = (int(rng.integers(ROOMS)), int(rng.integers(ROOMS)))
            away = distances(walls, start)
            ends = np.argwhere((away >= low) & (away <= high))
            if len(ends):
                break
        end = ends[rng.integers(len(ends))]
        self.rooms = int(away[tuple(end)])
        self.data.qpos[:] = centre(np.asarray(start))
        self.data.mocap_pos[0, :2] = centre(end)
        for i, (a, b) in enumerate(walls):
            self.data.mocap_pos[i + 1] = (*(0.5 * (centre(np.asarray(a)) + centre(np.asarray(b)))), HEIGHT / 2)
            self.data.mocap_quat[i + 1] = (1, 0, 0, 0) if a[0] == b[0] else (np.sqrt(0.5), 0, 0, np.sqrt(0.5))
        self.data.mocap_pos[len(walls) + 1 :] = NOWHERE

    def observation(self):
        return np.concatenate([self.data.qpos, self.data.qvel, self.data.mocap_pos[0, :2]])

    def reward(self):
        return -self.dt

    def terminated(self):
        return self._distance() <= AT_GOAL

    def info(self):
        return {"distance": self._distance(), "rooms": self.rooms, "reached": self.terminated()}

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the goal was reached in time.

        **Arguments:**

        - `history`: the `info` of every step of the episode, to its end.
        """
        return any(info["reached"] for info in history)

    def _distance(self) -> float:
        return float(np.linalg.norm(self.data.qpos - self.data.mocap_pos[0, :2]))


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
        rooms = centre(jnp.stack(jnp.meshgrid(jnp.arange(ROOMS), jnp.arange(ROOMS), indexing="ij"), axis=-1)).reshape(-1, 2)
        moves = CELL * jnp.asarray(MOVES)
        targets = rooms[:, None] + moves
        free = jax.vmap(lambda a, bs: jax.vmap(lambda b: passable(seen.walls, a, b))(bs))(rooms, targets)
        index = jnp.argmin(jnp.linalg.norm(targets[:, :, None] - rooms, axis=-1), axis=-1)
        start = jnp.where(jnp.linalg.norm(rooms - middle(seen.goal), axis=-1) < 0.5 * CELL, 0.0, jnp.inf)

        def relax(value, _):
            return jnp.minimum(value, jnp.min(jnp.where(free, value[index] + CELL, jnp.inf), axis=1)), None

        value = jax.lax.scan(relax, start, None, length=ROOMS * ROOMS)[0]
        here = jnp.argmin(jnp.linalg.norm(rooms - seen.position, axis=-1))
        onwards = jnp.linalg.norm(seen.position - rooms[index[here]], axis=-1) + value[index[here]]
        direct = jnp.linalg.norm(seen.position - seen.goal)
        return jnp.where(value[here] == 0.0, direct, jnp.min(jnp.where(free[here], onwards, jnp.inf)))


class MazeWalk(ebm.AbstractWorldModel):
    """A point seen from above that moves as fast as it is told (m/s), and minds no walls: what lies between the map and the physics."""

    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-1.6, -1.6], [1.6, 1.6]))
    dt: float = eqx.field(static=True, default=0.3)

    def example_state(self):
        return MazeMap().example_state()

    def step(self, state, action, latents=None):
        return MazeState(state.position + self.dt * action, state.goal, state.walls)


def maze_energy(*, way_left: bool = False) -> ebm.AbstractEnergy:
    """What is wanted in `PointMaze-v0`: be at the goal, and slow.

    **Arguments:**

    - `way_left`: measure the distance along the shortest way between the walls, at the end of a plan; by default as the crow flies, all
      along, under the name "goal".
    """
    calm = 0.1 * ebm.Velocity(how_fast, tolerance=1.0, name="slow") + 0.01 * ebm.Effort(2.0)
    return calm + (WayLeft() if way_left else ebm.Reach(where, goal, tolerance=AT_GOAL, name="goal"))


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


def centre(room: Any) -> Any:
    """The middle of a room, m, from its column and row."""
    return (room - 0.5 * (ROOMS - 1)) * CELL


def middle(position: Float[Array, "2"]) -> Float[Array, "2"]:
    """The middle of the room that a position (m) is in, or is nearest to."""
    return centre(jnp.clip(jnp.round(position / CELL + 0.5 * (ROOMS - 1)), 0, ROOMS - 1))


def passable(walls: Float[Array, "wall 2"], here: Float[Array, "2"], there: Float[Array, "2"]) -> Bool[Array, ""]:
    """Whether there is no wall between the middles of two neighbouring rooms, and both are in the maze."""
    inside = jnp.all(jnp.abs(there) < 0.5 * ROOMS * CELL)
    return inside & ~jnp.any(jnp.linalg.norm(walls - 0.5 * (here + there), axis=-1) < 0.25 * CELL)


def draw_walls(rng: np.random.Generator, loops: int = LOOPS) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The walls of a random maze, each as the two rooms that it separates: a random walk that backtracks opens the rest."""
    opened, visited, path = set(), {(0, 0)}, [(0, 0)]
    while path:
        x, y = path[-1]
        near = [room for room in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if _inside(room) and room not in visited]
        if not near:
            path.pop()
            continue
        following = near[rng.integers(len(near))]
        opened.add(_edge(path[-1], following))
        visited.add(following)
        path.append(following)
    pairs = [_edge((x, y), other) for x in range(ROOMS) for y in range(ROOMS) for other in ((x + 1, y), (x, y + 1)) if _inside(other)]
    walls = [pair for pair in pairs if pair not in opened]
    return [walls[i] for i in sorted(rng.permutation(len(walls))[loops:])]


def distances(walls: Sequence[tuple[tuple[int, int], tuple[int, int]]], start: tuple[int, int]) -> np.ndarray:
    """How many rooms every room is away from `start`, along the shortest way."""
    closed, found, front = {_edge(*pair) for pair in walls}, np.full((ROOMS, ROOMS), -1), [tuple(map(int, start))]
    found[front[0]] = 0
    while front:
        x, y = front.pop(0)
        for other in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if _inside(other) and found[other] < 0 and _edge((x, y), other) not in closed:
                found[other] = found[x, y] + 1
                front.append(other)
    return found


def _edge(a: tuple[int, int], b: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (a, b) if a < b else (b, a)


def _inside(room: tuple[int, int]) -> bool:
    return all(0 <= i < ROOMS for i in room)


def _spec() -> mujoco.MjSpec:
    spec = mujoco.MjSpec.from_file(str(XML))
    half, style = 0.5 * ROOMS * CELL, spec.find_default("wall")
    world = spec.worldbody
    for i in range(WALLS):
        wall = world.add_body(name=f"wall{i}", mocap=True, pos=NOWHERE)
        wall.add_geom(style, name=f"wall{i}", size=[0.5 * (CELL + WALL), 0.5 * WALL, 0.5 * HEIGHT])
    for i, (x, y) in enumerate(((half, 0.0), (-half, 0.0), (0.0, half), (0.0, -half))):
        size = [0.5 * WALL, half + 0.5 * WALL, 0.5 * HEIGHT] if x else [half + 0.5 * WALL, 0.5 * WALL, 0.5 * HEIGHT]
        world.add_geom(style, name=f"side{i}", pos=[x, y, 0.5 * HEIGHT], size=size)
    world.add_camera(name="top", pos=[0.0, 0.0, 1.35 * ROOMS * CELL], fovy=45.0)
    spec.stat.center, spec.stat.extent = [0.0, 0.0, 0.0], ROOMS * CELL
    return spec
