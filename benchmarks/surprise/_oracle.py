"""MuJoCo as the world model: what was seen is simulated on while it is hidden, and surprising is what then looks otherwise.

It is told which thing is which, and no more than can be seen: no state of a hidden thing, no friction, no restitution, no label. How fast a
thing slows down it takes from its motion; whether things bounce it weighs by what came true.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float, UInt8

from envs import Camera, cradle

from .._workers import pool

STRIDE = 2  # px between rays of what is foreseen
SHARPNESS = 0.01  # of all pixels: by so many more a hypothesis is e times less likely
STRANGE = 0.03  # of all pixels, as much as is in a thing: so wrong is one that comes from nowhere, or looks otherwise, or is elsewhere
ASTRAY = 0.35  # m from where it was thought to be
MUTED = 0.5  # saturation below which a thing is furniture, which moves as it likes and is moved by nothing
SLOWS, MAX_SLOWING = 0.3, 5.0  # m/s²; what slows down as much is not elastic, and what slows down more was hit
ALIKE = 1e-3  # of sizes (m) and colours, which are the same if they differ by less
TOUCH = 0.02  # m between what holds and what is held
FALLING = -9.81 / cradle.RATE  # m/s between two frames
LEVEL = 0.4  # m/s between two frames: what changes its vertical speed by more falls
NOWHERE = (0.0, 0.0, 0.0)
POSE, LOOK = slice(0, 7), slice(10, 17)
PROCESSES = 2


class Sight(NamedTuple):
    """What is seen of one film; states of what is hidden are not numbers."""

    states: Float[np.ndarray, "frame slot feature"]
    seen: Bool[np.ndarray, "frame slot"]
    masks: UInt8[np.ndarray, "frame height width"]
    camera: Float[np.ndarray, " number"]


def watch(films: cradle.Films) -> Float[np.ndarray, "quadruplet 4 frame"]:
    """The surprise at every frame of all films."""
    everything = list(sights(films))
    with pool(PROCESSES) as workers:
        curves = list(workers.map(curve, everything, chunksize=25))
    return np.array(curves).reshape(films.frames.shape[:3])


def sights(films: cradle.Films) -> Iterator[Sight]:
    """What is seen of all films, one after another."""
    for quadruplet, camera in enumerate(films.cameras):
        for cell in range(len(cradle.CELLS)):
            seen = films.seen[quadruplet, cell]
            states = np.where(seen[..., None], films.states[quadruplet, cell], np.nan)
            yield Sight(states, seen, films.masks[quadruplet, cell], camera)


def curve(sight: Sight) -> Float[np.ndarray, " frame"]:
    """The surprise at every frame: minus the logarithm of how likely what is seen was, in the better of the two hypotheses."""
    beliefs, chances, surprise = [Belief(elastic) for elastic in (False, True)], np.zeros(2), np.zeros(len(sight.masks))
    for frame in range(1, len(sight.masks)):
        before, now = (Moment(sight.states[at], sight.seen[at], sight.masks[at]) for at in (frame - 1, frame))
        wrong = np.array([belief.judge(before, now, sight.camera) for belief in beliefs])
        likely = chances - wrong / SHARPNESS
        surprise[frame] = np.logaddexp.reduce(chances) - np.logaddexp.reduce(likely)
        chances = likely - np.logaddexp.reduce(likely)
    return surprise


class Moment(NamedTuple):
    """One frame of a `Sight`."""

    states: Float[np.ndarray, "slot feature"]
    seen: Bool[np.ndarray, " slot"]
    masks: UInt8[np.ndarray, "height width"]


@dataclass
class Track:
    """What is known of a thing: how it looked, and where it was and how fast, when it was seen or as it was simulated."""

    look: Float[np.ndarray, " feature"]
    pose: Float[np.ndarray, "7"]
    velocity: Float[np.ndarray, "6"] = field(default_factory=lambda: np.zeros(6))
    sighted: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    mean_velocity: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    slowing: list[float] = field(default_factory=list)
    seen: bool = False
    sightings: int = 0
    holder: "Track | None" = None

    @property
    def furniture(self) -> bool:
        """Whether it is a screen, a wall or a table: these have mild colours."""
        color = self.look[3:6]
        return bool(1 - color.min() / color.max() < MUTED)

    @property
    def mocap(self) -> bool:
        """Whether physics has no say in where it is."""
        return self.furniture or self.holder is not None

    def thing(self, elastic: bool) -> "cradle.Fixed | cradle.Free":
        """As the physics takes it, at no place yet."""
        look = cradle.Look(cradle.KINDS[round(float(self.look[6])) - 1], _triple(self.look[:3]), _triple(self.look[3:6]))
        if self.mocap:
            return cradle.Fixed(look, NOWHERE)
        slowing = round(float(np.median(self.slowing)), 1) if self.slowing else 0.0
        elastic = elastic and slowing < SLOWS
        return cradle.Free(look, NOWHERE, slowing=0.0 if elastic else slowing, elastic=elastic)

    def holds(self, other: "Track") -> bool:
        """Whether it stands on the other's top, as an arm does that carries something."""
        beside = np.abs(self.pose[:2] - other.pose[:2]) < self.look[:2] + other.look[:2]
        gap = self.pose[2] - self.look[2] - other.pose[2] - other.look[2]
        return self.furniture and bool(beside.all() and abs(gap) < TOUCH)

    def update(self, state: Float[np.ndarray, " feature"]) -> None:
        """It is seen: velocities come from two sights, one after the other, and what its last change says about now."""
        pose, velocity = state[POSE].astype(float), np.zeros(6)
        velocity[:3] = cradle.RATE * (pose[:3] - self.sighted) if self.seen else self.velocity[:3]
        self.sighted, self.sightings = pose[:3].copy(), self.sightings + 1
        if self.seen:
            change = velocity[:3] - self.mean_velocity
            slower = cradle.RATE * (np.hypot(*self.mean_velocity[:2]) - np.hypot(*velocity[:2]))
            self.mean_velocity = velocity[:3].copy()
            level = abs(change[2]) < LEVEL
            if 0 <= slower < MAX_SLOWING and level:
                self.slowing = [*self.slowing[-6:], slower]
            if 0 <= slower < MAX_SLOWING and (level or abs(change[2] - FALLING) < LEVEL):
                velocity[:3] += change / 2  # from between the frames to now
            velocity[3:] = _turning(self.pose[3:], pose[3:])
        self.look, self.pose, self.velocity, self.seen = state[LOOK].astype(float), pose, velocity, True


class Belief:
    """What is where, if things bounce, or if they do not."""

    def __init__(self, elastic: bool):
        self.elastic, self.tracks = elastic, {}

    def judge(self, before: Moment, now: Moment, camera: Float[np.ndarray, " number"]) -> float:
        """The share of the pixels in which something else is seen than was foreseen, and what is strange."""
        for slot, track in self.tracks.items():
            track.seen = track.seen and bool(before.seen[slot])
        for slot in np.flatnonzero(before.seen):
            state = before.states[slot]
            track = self.tracks.setdefault(int(slot), Track(state[LOOK].astype(float), state[POSE].astype(float)))
            track.update(state)
        for track in self.tracks.values():
            track.holder = None if track.furniture else next((other for other in self.tracks.values() if other.holds(track)), None)
        self.step()
        for slot, track in self.tracks.items():  # what furniture does is taken as given, and goes on where it is not seen
            if track.furniture:
                goes = now.states[slot, :3] - track.pose[:3] if now.seen[slot] else track.velocity[:3] / cradle.RATE
                for moved in (track, *(other for other in self.tracks.values() if other.holder is track)):
                    moved.pose[:3] += goes
        foreseen = self.draw(camera)
        seen = now.masks[::STRIDE, ::STRIDE].ravel()
        changed = [slot for slot, track in self.tracks.items() if (np.abs(now.states[slot, LOOK] - track.look) > ALIKE).any()]
        new = [slot for slot in np.flatnonzero(now.seen) if slot not in self.tracks]
        edge = np.concatenate([now.masks[0], now.masks[-1], now.masks[:, 0], now.masks[:, -1]])
        expected = [slot for slot in new if _muted(now.states[slot]) or slot + 1 in edge]  # and what comes in from outside
        expected += [slot for slot, track in self.tracks.items() if track.sightings == 1]  # and nobody knows yet how fast it is
        judged = ~(np.isin(seen, np.array(expected, int) + 1) | np.isin(foreseen, np.array(expected, int) + 1))
        wrong = (foreseen != seen) & judged
        astray = [slot for slot, track in self.tracks.items() if np.linalg.norm(now.states[slot, :3] - track.pose[:3]) > ASTRAY]
        return float(wrong.mean()) + STRANGE * len({*changed, *astray, *(slot for slot in new if slot not in expected)})

    def step(self) -> None:
        """One frame of physics."""
        slots = [slot for slot, track in self.tracks.items() if not track.mocap]
        if not slots:
            return
        model, data = _world(tuple(track.thing(self.elastic) for track in self.tracks.values()))
        mujoco.mj_resetData(model, data)
        for body, track in enumerate(self.tracks.values(), 1):
            model.body_pos[body], model.body_quat[body] = track.pose[:3], track.pose[3:]
        tracks = [self.tracks[slot] for slot in slots]
        for track, pose, velocity in zip(tracks, data.qpos.reshape(-1, 7), data.qvel.reshape(-1, 6), strict=True):
            pose[:], velocity[:] = track.pose, track.velocity
        mujoco.mj_step(model, data, cradle.SUBSTEPS)
        for track, pose, velocity in zip(tracks, data.qpos.reshape(-1, 7), data.qvel.reshape(-1, 6), strict=True):
            track.pose, track.velocity = pose.copy(), velocity.copy()

    def draw(self, camera: Float[np.ndarray, " number"]) -> UInt8[np.ndarray, " pixel"]:
        """Which thing each of some pixels would show: 1 + slot, or 0."""
        eye, data = _eye(tuple(map(float, camera)), tuple(track.thing(False).look for track in self.tracks.values()))
        for index, track in enumerate(self.tracks.values()):
            data.mocap_pos[index], data.mocap_quat[index] = track.pose[:3], track.pose[3:]
        mujoco.mj_kinematics(eye.model, data)
        ids, _ = eye.glance(data, [PIXELS])
        labels = np.array([0] * cradle.SCENERY + [slot + 1 for slot in self.tracks] + [0], np.uint8)
        return labels[ids]


PIXELS = np.arange(cradle.SIZE**2).reshape(cradle.SIZE, cradle.SIZE)[::STRIDE, ::STRIDE].ravel()


@lru_cache(256)
def _world(cast: "cradle.Cast") -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(cradle.mjcf(-9.81, None, cast))
    return model, mujoco.MjData(model)


@lru_cache(256)
def _eye(camera: tuple[float, ...], looks: "tuple[cradle.Look, ...]") -> tuple[Camera, mujoco.MjData]:
    distance, azimuth, elevation, x, y, z = camera
    view = {"distance": distance, "azimuth": azimuth, "elevation": elevation, "lookat": (x, y, z)}
    grey = (0.5, 0.5, 0.5)
    return cradle.look_at(cradle.Stage((grey, grey), 0.0, grey, view), looks)


def _muted(state: Float[np.ndarray, " feature"]) -> bool:
    return Track(state[LOOK].astype(float), state[POSE].astype(float)).furniture


def _turning(before: Float[np.ndarray, "4"], now: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3"]:
    """rad/s in the frame of the body, as MuJoCo has it."""
    turning = np.zeros(3)
    mujoco.mju_subQuat(turning, now, before)
    return turning * cradle.RATE if np.abs(turning).max() < math.pi * 0.9 else np.zeros(3)


def _triple(numbers: np.ndarray) -> "cradle.Vector":
    x, y, z = map(float, numbers)
    return x, y, z
