"""Our own MuJoCo worlds as Gymnasium environments: plants for whoever brings an MJCF file."""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from jaxtyping import ArrayLike, Float, UInt8

import ebm

from ._camera import Camera
from ._load import as_spec, compile_spec
from ._mujoco import substeps

OPTIONS = ("keyframe", "qpos", "qvel")
LARGEST = float(mujoco.mjMAXVAL)  # of any coordinate: MuJoCo starts a world anew beyond it
DIVERGED = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


class AbstractMujocoEnv(gymnasium.Env, abc.ABC):
    """A Gymnasium environment on any MuJoCo model, rendered without OpenGL. An engine shell, hence a plain class.

    A subclass says what is rewarded and when an episode ends, and may say what is observed and what differs between episodes. All
    randomness comes from `np_random`, so that a seed decides an episode. `envs.load(env)` gives the world model of what this environment
    is now.

    `model` and `data` are MuJoCo's; `nominal` is the model before `randomise` touched it; `tick` counts control periods since `reset`;
    `mj_spec`, `frame_skip` and `dt` (s) are what the environment was built from.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012  Gymnasium sets it per instance, too

    def __init__(
        self,
        plant: str | Path | mujoco.MjSpec,
        *,
        period: float | int | None = None,
        seconds: float | int | None = None,
        action_space: ebm.Box | None = None,
        keyframe: str | int | None = None,
        render_mode: str | None = None,
        view: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `plant`: the path of an MJCF file, or an `MjSpec`, which is copied.
        - `period`: control period in s, a multiple of the timestep; default about 0.02 s.
        - `seconds`: after which an episode is truncated; default never.
        - `action_space`: default the actuators' `ctrlrange`.
        - `keyframe`: where episodes start; default the model's initial state.
        - `render_mode`: `"rgb_array"` or `None`.
        - `view`: arguments of `Camera`, such as `{"camera": "side", "width": 640}`.

        **Raises:**

        `FileNotFoundError` or `ValueError` in one line that names the remedy.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"`render_mode` must be None or one of {self.metadata['render_modes']}, got {render_mode!r}.")
        if seconds is not None and not seconds > 0:
            raise ValueError(f"`seconds` must be positive, got {seconds}. It is the duration of an episode.")
        spec = as_spec(plant)
        self.mj_spec = spec.copy() if isinstance(plant, mujoco.MjSpec) else spec
        self.nominal = compile_spec(self.mj_spec)
        self.model = self.nominal.__copy__()
        self.data = mujoco.MjData(self.model)
        self.frame_skip = substeps(self.model.opt.timestep, period)
        self.dt = self.frame_skip * self.model.opt.timestep
        self.seconds, self.keyframe, self.render_mode, self.tick = seconds, keyframe, render_mode, 0
        self.metadata = {**self.metadata, "render_fps": max(1, round(1 / self.dt))}
        self._view, self._camera = dict(view or {}), None
        self._keyframe(keyframe)
        box = _limits(self.model) if action_space is None else action_space
        if box.low.shape != (self.model.nu,):
            raise ValueError(f"`action_space` must have one entry for each of {self.model.nu} actuators, got shape {box.low.shape}.")
        self._low, self._high = np.asarray(box.low, np.float32), np.asarray(box.high, np.float32)
        self.action_space = gymnasium.spaces.Box(self._low, self._high, dtype=np.float32)
        mujoco.mj_forward(self.model, self.data)
        shape = AbstractMujocoEnv.observation(self).shape
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, shape, np.float64)

    @abc.abstractmethod
    def reward(self) -> float:
        """What the step that just ended was worth."""

    @abc.abstractmethod
    def terminated(self) -> bool:
        """Whether the episode has come to its end, other than by the clock."""

    def observation(self) -> Float[np.ndarray, " observation"]:
        """What the agent is shown: by default every joint position and velocity. A subclass that changes it sets `observation_space`."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def problem(self) -> ebm.Problem | None:
        """The problem that comes with this environment, as it is now: what `envs.problem(env)` gives. By default none."""
        return None

    def info(self) -> dict[str, Any]:
        """What else is worth knowing."""
        return {}

    def randomise(self, rng: np.random.Generator) -> None:
        """Draw what differs between episodes, once at the start of each: physics into `model` (from `nominal`), the start into `data`."""
        del rng

    def disturb(self) -> None:
        """What happens to the world at the start of a control period, whatever the agent does: by default nothing."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode.

        **Arguments:**

        - `options`: `"keyframe"` (a name or number), `"qpos"` and `"qvel"` set the start, over whatever was drawn at random.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise ValueError(f"`options` has no {unknown[0]!r}. It has {', '.join(OPTIONS)}.")
        self.tick = 0
        self._start(self.keyframe)
        self.randomise(self.np_random)
        if options.get("keyframe") is not None:
            self._start(options["keyframe"])
        for name in ("qpos", "qvel"):
            if options.get(name) is not None:
                value, place = np.asarray(options[name], np.float64), getattr(self.data, name)
                if value.shape != place.shape or not np.isfinite(value).all():
                    raise ValueError(f"`{name}` must be {place.size} finite numbers, got {options[name]}.")
                place[:] = value
        mujoco.mj_forward(self.model, self.data)
        return self.observation(), self.info()

    def step(self, action: ArrayLike | Sequence):
        """Hold `action`, clipped into the box, for one control period."""
        wanted = np.asarray(action, np.float64)
        if wanted.shape != self._low.shape or np.isnan(wanted).any():
            raise ValueError(f"`action` must be {self.model.nu} number(s), none of them NaN, got {action}.")
        self.disturb()
        self.data.ctrl[:] = np.clip(wanted, self._low, self._high)
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        self.tick += 1
        _refresh(self.model, self.data)
        diverged = any(self.data.warning[kind].number for kind in DIVERGED)
        info = self.info() | ({"diverged": True} if diverged else {})
        truncated = self.seconds is not None and self.tick >= round(self.seconds / self.dt)
        return self.observation(), float(self.reward()), bool(self.terminated() or diverged), truncated, info

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The picture, if `render_mode` is `"rgb_array"`."""
        if self.render_mode is None:
            gymnasium.logger.warn('`render` draws nothing without a render mode. Pass `render_mode="rgb_array"`.')
            return None
        if self._camera is None:
            self._camera = Camera(self.model, **self._view)
        return self._camera.render(self.data)

    def _start(self, keyframe: str | int | None) -> None:
        key = self._keyframe(keyframe)
        if key is None:
            mujoco.mj_resetData(self.model, self.data)
        else:
            mujoco.mj_resetDataKeyframe(self.model, self.data, key)
            self.data.time = 0.0

    def _keyframe(self, keyframe: str | int | None) -> int | None:
        names = [self.model.key(i).name or str(i) for i in range(self.model.nkey)]
        if keyframe is None:
            return None
        if isinstance(keyframe, str) and keyframe in names:
            return names.index(keyframe)
        if isinstance(keyframe, int | np.integer) and 0 <= keyframe < len(names):
            return int(keyframe)
        raise ValueError(f"There is no keyframe {keyframe!r}: this model has {', '.join(names) or 'none'}.")


class MjcfEnv(AbstractMujocoEnv):
    """Any MJCF file as a plant: observes all joints, rewards nothing, never ends. What is wanted is said by an energy, not here."""

    def reward(self):
        return 0.0

    def terminated(self):
        return False


def _limits(model: mujoco.MjModel) -> ebm.Box:
    free = [model.actuator(i).name or f"number {i}" for i in range(model.nu) if not model.actuator_ctrllimited[i]]
    if free:
        raise ValueError(f"Actuator {', '.join(free)} has no `ctrlrange`. Add one, or give `action_space=ebm.Box(low, high)`.")
    return ebm.Box(*np.asarray(model.actuator_ctrlrange).reshape(-1, 2).T)


def _refresh(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Let body, site and camera poses describe the state after a step; the dynamics are not touched."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
