"""An arm that shall reach around a place where its tip must not be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import ebm

from ._env import LARGEST, AbstractMujocoEnv
from ._load import load

XML = Path(__file__).parent / "assets" / "disc_reach.xml"
PERIOD = 0.04  # s
DISC, RADIUS = (0.5, 0.0), 0.12  # m
LINK = 0.4  # m
AT_TARGET = 0.03  # m
SETTLED = 0.4  # s at the target that count as success
ASIDE, REACH = (0.5, 0.9), (0.35, 0.7)  # rad and m: where tip and target lie, seen from the shoulder
UNCERTAIN = {"mass": (0.7, 1.6)}  # what the plan model believes possible, as a factor


class DiscReachEnv(AbstractMujocoEnv):
    """Two links of 0.4 m, of 1 and 0.5 kg, lie on a table. The tip starts on one side of a disc of 12 cm, the target is on the other.

    Observation: joint angles (rad) and speeds (rad/s), and the target's position (m). Action: torques, N m, at most 2 and 1. Reward: minus
    the distance from tip to target, m. The episode ends when the tip enters the disc. `info` says "distance" (m), "entered" and "there".
    """

    def __init__(self, *, seconds: float | int = 8.0, render_mode: str | None = None, view: Mapping[str, Any] | None = None):
        view = {"camera": "top", "width": 480, "height": 480} | dict(view or {})
        super().__init__(XML, period=PERIOD, seconds=seconds, render_mode=render_mode, view=view)
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (6,), np.float64)

    def problem(self):
        reach = ebm.Reach("site:tip", _target, tolerance=AT_TARGET, name="target")
        slow = ebm.Velocity("joint:shoulder", tolerance=1.0, name="shoulder") + ebm.Velocity("joint:elbow", tolerance=1.0, name="elbow")
        energy = reach + 0.3 * slow + 0.1 * ebm.Effort(2.0)
        apart = ebm.KeepApart("site:tip", (*DISC, 0.0), RADIUS, scale=0.03, name="tip outside the disc")
        model = load(self, read=ebm.readings((energy, apart)), parameters={"mass": 1.0}).randomise(UNCERTAIN)
        return ebm.Problem(model, energy, apart, num_latents=3)

    def randomise(self, rng):
        side = rng.choice((-1.0, 1.0))
        start, target = (_polar(rng, side), _polar(rng, -side))
        self.data.qpos[:] = _angles(start, rng.choice((-1.0, 1.0)))
        self.data.mocap_pos[0, :2] = target

    def observation(self):
        return np.concatenate([self.data.qpos, self.data.qvel, self.data.mocap_pos[0, :2]])

    def reward(self):
        return -self._distance()

    def terminated(self):
        return bool(np.linalg.norm(self._tip() - DISC) < RADIUS)

    def info(self):
        return {"distance": self._distance(), "entered": self.terminated(), "there": self._distance() <= AT_TARGET}

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the tip was at the target at the end of the episode, and never in the disc.

        **Arguments:**

        - `history`: the `info` of every step of the episode, to its end.
        """
        last = history[-round(SETTLED / self.dt) :]
        return len(history) >= round((self.seconds or 0.0) / self.dt) and all(info["there"] and not info["entered"] for info in last)

    def _tip(self) -> np.ndarray:
        return self.data.site("tip").xpos[:2]

    def _distance(self) -> float:
        return float(np.linalg.norm(self._tip() - self.data.mocap_pos[0, :2]))


def _target(state: Any) -> Any:
    return state.read("mocap:target")


def _polar(rng: np.random.Generator, side: float) -> np.ndarray:
    angle, radius = side * rng.uniform(*ASIDE), rng.uniform(*REACH)
    return radius * np.array([np.cos(angle), np.sin(angle)])


def _angles(tip: np.ndarray, bend: float) -> np.ndarray:
    """Joint angles with the tip there (the law of cosines), bent one way or the other."""
    elbow = bend * np.arccos(np.clip((tip @ tip - 2.0 * LINK**2) / (2.0 * LINK**2), -1.0, 1.0))
    return np.array([np.arctan2(tip[1], tip[0]) - np.arctan2(LINK * np.sin(elbow), LINK + LINK * np.cos(elbow)), elbow])
