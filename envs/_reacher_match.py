"""Gymnasium's Reacher, asked to bring its joints where they were seen: what world models are compared on, from states or from pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, UInt8

import ebm

from ._camera import Camera
from ._env import LARGEST, AbstractMujocoEnv
from ._load import load

XML = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "reacher.xml"
PERIOD, STEPS, AHEAD = 0.02, 50, 25  # s, and steps of an episode, and until the goal was reached
HELD = 5  # steps for which whoever wanders holds an action
STRENGTH = 0.2  # of the actuators' range: more turns the arm about faster than a picture a tenth of a second can show
TOLERANCE = 0.1  # rad, for either joint
ELBOW = 2.6  # rad: where it may begin; it bends up to 3
SPEED = 1.5  # rad/s: deviation at the beginning
SLOW = 10.0  # rad/s, which is shown as 1
SIZE, VIEW = 64, {"distance": 0.62, "azimuth": 90.0, "elevation": -90.0, "lookat": (0.0, 0.0, 0.0)}


class ReacherMatchEnv(AbstractMujocoEnv):
    """The arm of Reacher-v5 without its target. In 50 steps its joints are to be, once, where they had been 25 steps after the same start
    under random torques: within 0.1 rad of that, both at once. How fast it is then does not count.

    The random torques are those of `wander`; torques are at most a fifth of Reacher-v5's. Observation: cosines and sines of both joints and
    their speeds (10 rad/s), or a grey picture from above, uint8, shape (1, 64, 64). Reward: minus the larger of both angles to the goal,
    rad. `info` says "distance" (the same, positive), "there", "goal" (rad), "angles" (rad), and "goal_observation", the goal at rest.

    The protocol, 25 steps ahead and 50 to go, is LeWorldModel's for DeepMind Control's reacher; arm, data and tolerance are not.
    """

    slow = SLOW

    def __init__(self, *, sees: str = "state", render_mode: str | None = None):
        """**Arguments:**

        - `sees`: "state" or "picture".

        **Raises:**

        `ValueError` for anything else.
        """
        if sees not in ("state", "picture"):
            raise ValueError(f'`sees` must be "state" or "picture", got {sees!r}.')
        spec = mujoco.MjSpec.from_file(str(XML))
        spec.delete(spec.body("target"))
        self.actions = ebm.Box([-STRENGTH] * 2, [STRENGTH] * 2)
        options: dict[str, Any] = {"period": PERIOD, "seconds": STEPS * PERIOD, "render_mode": render_mode}
        options["action_space"] = self.actions
        super().__init__(spec, view={"view": VIEW, "width": 384, "height": 384}, **options)
        self.sees, self.goal, self._eye = sees, np.zeros(2), None
        if sees == "state":
            self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (6,), np.float64)
        else:
            self.observation_space = gymnasium.spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)  # pyright: ignore[reportAttributeAccessIssue]

    def problem(self):
        goal = jnp.concatenate([jnp.cos(self.goal), jnp.sin(self.goal)])
        return ebm.Problem(load(self), ebm.Reach(turned, goal, tolerance=TOLERANCE, name="goal"))

    def randomise(self, rng):
        self.data.qpos[:], self.data.qvel[:] = self.begin(rng)
        start = self.data.qpos.copy(), self.data.qvel.copy()
        for action in self.wander(rng, AHEAD):
            self.data.ctrl[:] = action
            mujoco.mj_step(self.model, self.data, self.frame_skip)
        self.goal = self.data.qpos.copy()
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = start

    def observation(self):
        return self.look(self.data.qpos, self.data.qvel)

    def look(self, angles: np.ndarray, speeds: np.ndarray) -> Float[np.ndarray, "6"] | UInt8[np.ndarray, "1 64 64"]:
        """What would be observed: for goals, and for data from elsewhere."""
        if self.sees == "state":
            return np.concatenate([np.cos(angles), np.sin(angles), speeds / SLOW])
        if self._eye is None:
            self._eye = Camera(self.model, view=VIEW, height=SIZE, width=SIZE, samples=2), mujoco.MjData(self.model)
        camera, data = self._eye
        data.qpos[:] = angles
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        return camera.render(data).mean(axis=-1).astype(np.uint8)[None]

    def reward(self):
        return -self._distance()

    def terminated(self):
        return False

    def info(self):
        distance = self._distance()
        known = {"distance": distance, "there": distance <= TOLERANCE, "goal": self.goal.copy(), "angles": self.data.qpos.copy()}
        return known | {"goal_observation": self.look(self.goal, np.zeros(2))}

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the joints were at the goal at any step.

        **Arguments:**

        - `history`: the `info` of every step of the episode.
        """
        return any(info["there"] for info in history)

    @staticmethod
    def begin(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Angles (rad) and speeds (rad/s) at the beginning of an episode."""
        return rng.uniform([-math.pi, -ELBOW], [math.pi, ELBOW]), rng.normal(0.0, SPEED, 2)

    @staticmethod
    def wander(rng: np.random.Generator, steps: int) -> Float[np.ndarray, "step 2"]:
        """Torques drawn evenly, each held for 5 steps, all made weaker by one factor in [0, 1]: the policy that data come from."""
        holds = rng.uniform(-STRENGTH, STRENGTH, (-(-steps // HELD), 2)) * rng.uniform()
        return np.repeat(holds, HELD, axis=0)[:steps]

    def _distance(self) -> float:
        return float(np.abs(apart(self.data.qpos, self.goal)).max())


def apart(angles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The shorter way round, rad."""
    return (angles - others + math.pi) % (2 * math.pi) - math.pi


def turned(state: Any) -> Array:
    """Cosines and sines of the joints, which know nothing of whole turns."""
    angles = jnp.asarray(state.qpos)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)])
