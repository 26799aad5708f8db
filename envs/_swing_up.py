"""Swing up and stay: a pendulum whose motor is too weak to lift it, and a pole on a cart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ebm

from ._env import AbstractMujocoEnv
from ._load import load

ASSETS = Path(__file__).parent / "assets"
UPRIGHT = 0.2  # rad from the top that count as up
SETTLED = 1.0  # s up that count as success
START = 0.1  # rad, rad/s, m around hanging at rest
PERIOD = 0.04  # s


class AbstractSwingUp(AbstractMujocoEnv):
    """Something hangs from the joint `hinge`, starts nearly at rest, and shall stand on its head at the end of the episode.

    Observation: joint positions (m, rad; 0 is up) and velocities. Reward: 1 at the top, 0 hanging. `info` says "angle" (rad from the top)
    and "up".
    """

    def randomise(self, rng):
        self.data.qpos[:] += rng.uniform(-START, START, self.model.nq)
        self.data.qvel[:] += rng.uniform(-START, START, self.model.nv)

    def reward(self):
        return float(0.5 + 0.5 * np.cos(self._angle()))

    def terminated(self):
        return False

    def info(self):
        angle = (self._angle() + np.pi) % (2.0 * np.pi) - np.pi
        return {"angle": angle, "up": bool(abs(angle) <= UPRIGHT)}

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether it stood on its head during the whole last second.

        **Arguments:**

        - `history`: the `info` of every step of the episode, to its end.
        """
        last = history[-round(SETTLED / self.dt) :]
        return len(history) >= round((self.seconds or 0.0) / self.dt) and all(info["up"] for info in last)

    def _angle(self) -> float:
        return float(self.data.qpos[self.model.joint("hinge").qposadr[0]])


class PendulumSwingUpEnv(AbstractSwingUp):
    """A rod of 1 kg and 1 m on a hinge with at most 2 N m, less than half of what would lift it. Action: torque, N m."""

    def __init__(self, *, seconds: float | int = 8.0, render_mode: str | None = None, view: Mapping[str, Any] | None = None):
        path = ASSETS / "pendulum_swing_up.xml"
        view = {"camera": "side"} | dict(view or {})
        super().__init__(path, period=PERIOD, seconds=seconds, keyframe="hanging", render_mode=render_mode, view=view)

    def problem(self):
        up = ebm.Upright("body:rod", tolerance=0.3, name="up")
        energy = up + 0.1 * ebm.Velocity("joint:hinge", tolerance=1.0, name="swing") + 0.01 * ebm.Effort(2.0)
        return posed(self, energy + 0.5 * ebm.Terminal(up))


class CartPoleSwingUpEnv(AbstractSwingUp):
    """A cart of 1 kg, pushed with at most 10 N on a rail of ± 1.8 m, and a pole of 0.2 kg and 1 m that hangs from it. Action: force, N."""

    def __init__(self, *, seconds: float | int = 8.0, render_mode: str | None = None, view: Mapping[str, Any] | None = None):
        path = ASSETS / "cart_pole_swing_up.xml"
        view = {"camera": "side"} | dict(view or {})
        super().__init__(path, period=PERIOD, seconds=seconds, keyframe="hanging", render_mode=render_mode, view=view)

    def problem(self):
        up = ebm.Upright("body:pole", tolerance=0.3, name="up")
        middle = ebm.Reach("joint:slider", 0.0, tolerance=0.6, name="middle")
        slow = ebm.Velocity("joint:hinge", tolerance=1.5, name="swing") + ebm.Velocity("joint:slider", tolerance=1.5, name="roll")
        energy = up + middle + 0.1 * slow + 0.01 * ebm.Effort(10.0)
        return posed(self, energy + 0.5 * ebm.Terminal(up))


def posed(env: AbstractMujocoEnv, energy: ebm.AbstractEnergy) -> ebm.Problem:
    """The energy, on a model of the environment that offers what it reads."""
    return ebm.Problem(load(env, read=ebm.readings(energy)), energy)
