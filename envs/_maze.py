"""Mazes drawn from a seed: a ball between walls as a MuJoCo plant. Its map is in `_maze_map.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

import ebm

from ._env import LARGEST, AbstractMujocoEnv
from ._load import load
from ._maze_layout import CELL, LOOPS, ROOMS, WALLS, centre, distances, draw_panes, draw_walls
from ._maze_map import NOWHERE, WayLeft, goal, how_fast, where

XML = Path(__file__).parent / "assets" / "point_maze.xml"
WALL = 0.1  # m thick
HEIGHT = 0.3  # m
PERIOD = 0.1  # s
AT_GOAL = 0.3  # m
PANES = 3  # of glass that there can be
BANDS = {"near": (5, 8), "middle": (9, 12), "far": (13, 16)}  # rooms between start and goal, along the shortest way


class PointMazeEnv(AbstractMujocoEnv):
    """A ball of 1 kg, pushed with at most 2 N, between the walls of a maze of 6 x 6 rooms of 1 m; every episode has another maze.

    Observation: the ball's position (m) and velocity (m/s), and the goal's position (m). Action: force along x and y, N. Reward: −1 a
    second. The episode ends when the ball is within 0.3 m of the goal. `info` says "distance" (m, as the crow flies), "rooms" (to the goal
    at the start, along the shortest way on the map) and "reached".

    Panes of glass close passages that the map shows as open. The physics, the plan model's included, knows them; whoever plans on the map
    finds out when it is tried.
    """

    def __init__(
        self,
        *,
        band: str = "far",
        loops: int = LOOPS,
        glass: int = 0,
        seconds: float | int = 30.0,
        render_mode: str | None = None,
        view: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `band`: "near" (the goal is 5–8 rooms away), "middle" (9–12) or "far" (13–16).
        - `loops`: walls that are taken out of a maze in which any two rooms are joined by one way only.
        - `glass`: panes, each across the shortest way that the others have left; another way remains, so there must be loops.

        **Raises:**

        `ValueError` for a band, or a number of loops or panes, that does not exist.
        """
        if band not in BANDS:
            raise ValueError(f"`band` must be one of {', '.join(BANDS)}, got {band!r}.")
        if not 0 <= loops <= WALLS:
            raise ValueError(f"`loops` must be in 0 … {WALLS}, got {loops}. It counts walls that are taken out.")
        if not 0 <= glass <= min(PANES, loops):
            raise ValueError(f"`glass` must be in 0 … {min(PANES, loops)}, got {glass}: at most {PANES} panes, and no more than loops.")
        self.band, self.loops, self.glass, self.rooms = band, loops, glass, 0
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
            if not len(ends):
                continue
            end = ends[rng.integers(len(ends))]
            panes = draw_panes(rng, walls, start, tuple(end.tolist()), self.glass)
            if panes is not None:
                break
        self.rooms = int(away[tuple(end)])
        self.data.qpos[:] = centre(np.asarray(start))
        self.data.mocap_pos[0, :2] = centre(end)
        self.data.mocap_pos[1:] = NOWHERE
        numbered = [*enumerate(walls, start=1), *enumerate(panes, start=1 + WALLS)]
        for i, (a, b) in numbered:
            self.data.mocap_pos[i] = (*(0.5 * (centre(np.asarray(a)) + centre(np.asarray(b)))), HEIGHT / 2)
            self.data.mocap_quat[i] = (1, 0, 0, 0) if a[0] == b[0] else (np.sqrt(0.5), 0, 0, np.sqrt(0.5))

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


def maze_energy(*, way_left: bool = False) -> ebm.AbstractEnergy:
    """What is wanted in `PointMaze-v0`: be at the goal, and slow.

    **Arguments:**

    - `way_left`: measure the distance along the shortest way between the walls, at the end of a plan; by default as the crow flies, all
      along, under the name "goal".
    """
    calm = 0.1 * ebm.Velocity(how_fast, tolerance=1.0, name="slow") + 0.01 * ebm.Effort(2.0)
    return calm + (WayLeft() if way_left else ebm.Reach(where, goal, tolerance=AT_GOAL, name="goal"))


def _spec() -> mujoco.MjSpec:
    spec = mujoco.MjSpec.from_file(str(XML))
    half, style = 0.5 * ROOMS * CELL, spec.find_default("wall")
    world = spec.worldbody
    for i in range(WALLS):
        wall = world.add_body(name=f"wall{i}", mocap=True, pos=NOWHERE)
        wall.add_geom(style, name=f"wall{i}", size=[0.5 * (CELL + WALL), 0.5 * WALL, 0.5 * HEIGHT])
    for i in range(PANES):
        pane = world.add_body(name=f"glass{i}", mocap=True, pos=NOWHERE)
        pane.add_geom(style, name=f"glass{i}", size=[0.5 * (CELL + WALL), 0.25 * WALL, 0.5 * HEIGHT], rgba=[0.4, 0.75, 0.85, 1.0])
    for i, (x, y) in enumerate(((half, 0.0), (-half, 0.0), (0.0, half), (0.0, -half))):
        size = [0.5 * WALL, half + 0.5 * WALL, 0.5 * HEIGHT] if x else [half + 0.5 * WALL, 0.5 * WALL, 0.5 * HEIGHT]
        world.add_geom(style, name=f"side{i}", pos=[x, y, 0.5 * HEIGHT], size=size)
    world.add_camera(name="top", pos=[0.0, 0.0, 1.35 * ROOMS * CELL], fovy=45.0)
    spec.stat.center, spec.stat.extent = [0.0, 0.0, 0.0], ROOMS * CELL
    return spec
