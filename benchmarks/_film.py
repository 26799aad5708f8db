"""The video of a run: rendered without OpenGL, with the plan and its predecessors drawn over the picture."""

import copy
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np

import envs

from ._episodes import Decision
from ._plant import Bench

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
RATE = 25.0  # frames per second, at most
LEAST_RATE = 5.0  # frames per second, below which the film is cut short instead
MAX_SECONDS = 20.0  # of film
BUDGET = 8.0  # s for rendering one film, after which frames are left out
SIZE = (272, 480)  # height, width
FAN = 6  # plans drawn
PLAN, EARLIER = (225, 60, 130), (250, 205, 222)  # RGB: the plan now, the oldest one shown


class Frame(NamedTuple):
    """What one picture shows: the state of the plant, and the joint positions along the latest plans."""

    state: np.ndarray
    plans: tuple[np.ndarray, ...]


class Film:
    """Remembers the first episode as it happens, and renders it afterwards, so that rendering does not disturb the timing of replans."""

    def __init__(self, bench: Bench, tracked: str | None):
        self.inner: Any = bench.plant.unwrapped
        self.stride = max(1, round(1.0 / (RATE * bench.period)))
        self.period = bench.period
        self.tracked = tracked
        self.frames: list[Frame] = []
        self.model: mujoco.MjModel | None = None
        self._plans: list[np.ndarray] = []

    def watch(self, episode: int, step: int, decision: Decision | None) -> None:
        """To be called before the first step of an episode and after each."""
        if episode > 0 or step % self.stride or step * self.period > MAX_SECONDS:
            return
        if step == 0:
            self.model = copy.copy(self.inner.model)
        state = np.empty(mujoco.mj_stateSize(self.inner.model, STATE))
        mujoco.mj_getState(self.inner.model, self.inner.data, state, STATE)
        if decision is not None and decision.plan is not None:
            positions = getattr(decision.plan.trajectory.states, "qpos", None)
            if positions is not None:
                self._plans = [*self._plans[1 - FAN :], np.asarray(positions, float)[1:]]
        self.frames.append(Frame(state, tuple(self._plans)))

    def write(self, path: Path, progress: Callable[[float], None]) -> Path | None:
        """Render and encode; `None` if there is nothing to show.

        **Arguments:**

        - `progress`: told the share that is done.
        """
        if self.model is None or len(self.frames) < 2:
            return None
        frames, rate = self._select()
        painters = [Painter(self.model, self.inner, self.tracked) for _ in range(2)]
        with Encoder(path, rate) as encode, ThreadPoolExecutor(len(painters)) as pool:  # MuJoCo lets other threads run while it casts rays
            for first in range(0, len(frames), len(painters)):
                batch = frames[first : first + len(painters)]
                for picture in pool.map(lambda painter, frame: painter.paint(frame), painters, batch):
                    encode(picture)
                progress(min(1.0, (first + len(painters)) / len(frames)))
        return path

    def _select(self) -> tuple[list[Frame], float]:
        """The frames that can be rendered in time, evenly spaced, and their rate."""
        assert self.model is not None
        painter = Painter(self.model, self.inner, self.tracked)
        painter.paint(self.frames[0])
        start = time.perf_counter()
        painter.paint(self.frames[-1])
        cost = time.perf_counter() - start
        rate = 1.0 / (self.stride * self.period)
        affordable = max(10, int(1.5 * BUDGET / cost))
        skip = max(1, min(-(-len(self.frames) // affordable), int(max(rate / LEAST_RATE, 1))))
        frames = self.frames[::skip][: max(affordable, 10)]
        return frames, rate / skip


class Encoder:
    """Turns pictures into an MP4 file, with the `ffmpeg` that imageio-ffmpeg brings; use it in a `with` statement."""

    def __init__(self, path: Path, rate: float, size: tuple[int, int] = SIZE):
        import imageio_ffmpeg  # of the extra `report`

        shape, codec = f"{size[1]}x{size[0]}", ["-c:v", "libx264", "-crf", "23", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", shape, "-r", f"{rate:.6g}", "-i", "-"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *given, *codec, "-movflags", "+faststart", str(path)]
        # A group of its own: Ctrl-C is for us, and the film is finished. imageio-ffmpeg's own writer forks, which JAX's threads forbid.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)

    def __enter__(self) -> Callable[[np.ndarray], None]:
        return self._take

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _take(self, picture: np.ndarray) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(np.ascontiguousarray(picture).tobytes())


class Painter:
    """One camera, one scratch simulation: what a thread needs to paint frames."""

    def __init__(self, model: mujoco.MjModel, inner: Any, tracked: str | None):
        self.model, self.data, self.scratch = model, mujoco.MjData(model), mujoco.MjData(model)
        self.camera = make_camera(model, inner)
        self.place = find_place(model, tracked)

    def paint(self, frame: Frame) -> np.ndarray:
        """The picture, shape (height, width, 3)."""
        mujoco.mj_setState(self.model, self.data, frame.state, STATE)
        mujoco.mj_forward(self.model, self.data)
        image = self.camera.render(self.data)
        for number, positions in enumerate(frame.plans, start=FAN - len(frame.plans)):
            share = (number + 1) / FAN
            color = tuple(round(share * now + (1 - share) * before) for now, before in zip(PLAN, EARLIER, strict=True))
            pixels, _ = self.camera.project(self._path(positions), self.data)
            thick = np.array([[0.0, row] for row in ((0, 1) if share < 1 else (-1, 0, 1))])
            image = envs.draw_lines(image, pixels + thick[:, None], (color[0], color[1], color[2]))
        return image

    def _path(self, positions: np.ndarray) -> np.ndarray:
        """Where the tracked thing is along a plan, in m, world axes."""
        points = np.full((len(positions), 3), np.nan)
        self.scratch.mocap_pos[:], self.scratch.mocap_quat[:] = self.data.mocap_pos, self.data.mocap_quat
        for point, qpos in zip(points, positions, strict=True):
            if np.isfinite(qpos).all():
                self.scratch.qpos[:] = qpos
                mujoco.mj_kinematics(self.model, self.scratch)
                point[:] = getattr(self.scratch, self.place[0])[self.place[1]]
        return points


def make_camera(model: mujoco.MjModel, inner: Any) -> envs.Camera:
    """The view that an environment prefers, or the model's first camera, or the whole model."""
    size: dict[str, Any] = {"height": SIZE[0], "width": SIZE[1], "shadows": True}
    renderer = getattr(inner, "mujoco_renderer", None)
    view = getattr(renderer, "default_cam_config", None)
    try:
        if view:
            return envs.Camera(model, view=view, **size)
        if model.ncam:
            return envs.Camera(model, 0, **size)
    except ValueError:  # one that this renderer cannot serve
        pass
    return envs.Camera(model, **size)


def find_place(model: mujoco.MjModel, tracked: str | None) -> tuple[str, int]:
    """The field of `MjData` and the row that say where a reading is; for joints and unknown readings, the centre of a body."""
    last = (tracked or "").removeprefix("velocity:").removeprefix("up:").removeprefix("orientation:").removeprefix("spin:")
    kind, _, name = last.partition(":")
    fields: dict[str, tuple[str, Any]] = {
        "site": ("site_xpos", model.site),
        "body": ("xipos" if (tracked or "").startswith("up:") else "xpos", model.body),
        "geom": ("geom_xpos", model.geom),
        "com": ("xipos", model.body),
    }
    try:
        if kind in fields:
            field, get = fields[kind]
            return field, int(get(name).id)
        if kind == "joint":
            return "xipos", int(model.joint(name).bodyid[0])
    except KeyError:
        pass
    return "xipos", int(model.jnt_bodyid[-1]) if model.njnt else model.nbody - 1
