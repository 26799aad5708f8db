"""From poses to pictures: only what can have changed is cast anew."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from .._camera import Camera
from ._scene import FRAMES, KINDS, RATE, SIZE, Cast, Look, Stage, geom, words

FEATURES = ("x", "y", "z", "qw", "qx", "qy", "qz", "vx", "vy", "vz", "half_x", "half_y", "half_z", "red", "green", "blue", "kind")
AWAY = -1000.0  # m: under the floor, where nothing is seen
MARGIN = 1.0  # pixels around the box that a thing is in
SCENERY = 2  # geoms that are no things: the floor and the wall behind
CORNERS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(8, 3)


class Shot(NamedTuple):
    """One film. Masks hold 0 where there is scenery, and 1 + slot where there is a thing."""

    frames: UInt8[np.ndarray, "frame height width 3"]
    masks: UInt8[np.ndarray, "frame height width"]
    states: Float32[np.ndarray, "frame slot feature"]
    seen: Bool[np.ndarray, "frame slot"]


class Studio:
    """A stage, and a model that holds whatever any film on it shows; each film puts its own things in place, and the rest away."""

    def __init__(self, stage: Stage, casts: Iterable[Cast]):
        """**Arguments:** `casts`: of all films. A slot may hold another thing in each, and all of them may be anywhere."""
        begin = time.process_time()
        looks = [(slot, thing.look) for cast in casts for slot, thing in enumerate(cast) if thing is not None]
        self._geoms = {look: number for number, look in enumerate(dict.fromkeys(looks))}  # by slot and look, without the scenery
        self._camera, self._data = look_at(stage, [look for _, look in self._geoms])
        self._half = self._camera.model.geom_aabb.reshape(-1, 6)[SCENERY:, 3:]
        labels = [0] * SCENERY + [slot + 1 for slot, _ in self._geoms] + [0]  # the last is the sky's, whose id is -1
        self._labels = np.array(labels, np.uint8)
        self._empty = np.tile([0.0, 0.0, AWAY, 1.0, 0.0, 0.0, 0.0], (len(self._geoms), 1))
        self._scenery = self._glance([(self._empty, np.arange(SIZE * SIZE))])
        self.seconds = time.process_time() - begin

    def shoot(self, cast: Cast, poses: Float[np.ndarray, "frame slot 7"]) -> Shot:
        """Film what stands at these poses, to the same bytes as if every ray of every frame were cast.

        What stands still all the time is cast once; in every frame in which something has moved, only the boxes around what moves.
        """
        begin = time.process_time()
        placed, geoms = self._placed(cast, poses)
        changes = (placed[1:] != placed[:-1]).any(2)
        moves = changes.any(0)
        rest = np.where(moves[:, None], self._empty, placed[0])
        standing = self._around(rest[None, geoms[~moves[geoms]]], geoms[~moves[geoms]])
        still = tuple(part.copy() for part in self._scenery)
        for part, cast_anew in zip(still, self._glance([(rest, standing[0])]), strict=True):
            part[standing[0]] = cast_anew
        anew = np.concatenate([[0], 1 + np.flatnonzero(changes.any(1))]) if moves.any() else np.arange(0)
        pixels = self._around(placed[anew][:, moves], np.flatnonzero(moves))
        ids, colors = (np.repeat(part[None], FRAMES, 0) for part in still)
        if len(anew):
            at = np.concatenate([frame * SIZE * SIZE + chosen for frame, chosen in zip(anew, pixels, strict=True)])
            found = self._glance(zip(placed[anew], pixels, strict=True))
            ids.reshape(-1)[at], colors.reshape(-1, 3)[at] = found
            shown = anew[np.searchsorted(anew, np.arange(FRAMES), side="right") - 1]
            ids, colors = ids[shown], colors[shown]
        masks = self._labels[ids]
        seen = np.stack([(masks == slot + 1).any(1) for slot in range(len(cast))], 1)
        shot = Shot(colors.reshape(FRAMES, SIZE, SIZE, 3), masks.reshape(FRAMES, SIZE, SIZE), describe(cast, poses), seen)
        self.seconds += time.process_time() - begin
        return shot

    def picture(
        self, cast: Cast, poses: Float[np.ndarray, "slot 7"]
    ) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """One frame and its mask, as in a `Shot`."""
        ids, colors = self._glance([(self._placed(cast, poses)[0], np.arange(SIZE * SIZE))])
        return colors.reshape(SIZE, SIZE, 3), self._labels[ids].reshape(SIZE, SIZE)

    def _placed(self, cast: Cast, poses: Float[np.ndarray, "*frame slot 7"]) -> tuple[Float[np.ndarray, "*frame geom 7"], np.ndarray]:
        """Poses of everything that any film shows, and what of it this one does."""
        slots = [slot for slot, thing in enumerate(cast) if thing is not None]
        geoms = np.array([self._geoms[slot, thing.look] for slot, thing in enumerate(cast) if thing is not None], int)
        placed = np.broadcast_to(self._empty, (*poses.shape[:-2], *self._empty.shape)).copy()
        placed[..., geoms, :] = poses[..., slots, :]
        return placed, geoms

    def _glance(self, views: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Geom ids and colours of pixels, one array after another, for poses of everything and the pixels to cast."""
        data = self._data

        def placed():
            for poses, pixels in views:
                data.mocap_pos[:], data.mocap_quat[:] = poses[:, :3], poses[:, 3:]
                mujoco.mj_kinematics(self._camera.model, data)
                yield pixels

        return self._camera.glance(data, placed())

    def _around(self, poses: Float[np.ndarray, "frame thing 7"], geoms: np.ndarray) -> list[np.ndarray]:
        """The pixels in which these geoms can be seen in each frame: those in the boxes around their boxes' corners."""
        corners = poses[..., None, :3] + _turned(poses[..., None, 3:], self._half[geoms][:, None] * CORNERS)
        where = self._camera.project(corners.reshape(-1, 3), self._data)[0].reshape(*corners.shape[:-1], 2)
        least, most = np.nan_to_num(where.min(2), nan=0.0), np.nan_to_num(where.max(2), nan=SIZE)  # behind the camera: anywhere
        low, high = (np.clip(edge, 0, SIZE).astype(int) for edge in (np.floor(least - MARGIN), np.ceil(most + MARGIN) + 1))
        found, inside = [], np.empty((SIZE, SIZE), bool)
        for lows, highs in zip(low.tolist(), high.tolist(), strict=True):
            inside[:] = False
            for (left, top), (right, bottom) in zip(lows, highs, strict=True):
                inside[top:bottom, left:right] = True
            found.append(np.flatnonzero(inside))
        return found


def shoot(stage: Stage, cast: Cast, poses: Float[np.ndarray, "frame slot 7"]) -> Shot:
    """One film on a stage of its own."""
    return Studio(stage, (cast,)).shoot(cast, poses)


def _turned(quaternion: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors turned by unit quaternions (w, x, y, z)."""
    axis = quaternion[..., 1:]
    twice = 2 * np.cross(axis, vectors)
    return vectors + quaternion[..., :1] * twice + np.cross(axis, twice)


def look_at(stage: Stage, looks: Iterable[Look]) -> tuple[Camera, mujoco.MjData]:
    """A camera on a model in which things of these looks can be put anywhere, and its data."""
    rgb1, rgb2 = map(words, stage.floor)
    assets, paint = "", f'rgba="{rgb1} 1"'
    if stage.tile:
        repeat, paint = repr(1 / (2 * stage.tile)), 'material="floor"'
        assets = f"""
    <texture name="floor" type="2d" builtin="checker" rgb1="{rgb1}" rgb2="{rgb2}" width="16" height="16"/>
    <material name="floor" texture="floor" texuniform="true" texrepeat="{repeat} {repeat}"/>"""
    things = [f'{geom(look)} rgba="{words(look.color)} 1"' for look in looks]
    bodies = [f'<body mocap="true"><geom {thing} contype="0" conaffinity="0"/></body>' for thing in things]
    model = mujoco.MjModel.from_xml_string(f"""
<mujoco>
  <visual><headlight ambient="0.45 0.45 0.45" diffuse="0.25 0.25 0.25" specular="0 0 0"/></visual>
  <asset>{assets}</asset>
  <worldbody>
    <light type="directional" dir="0.4 0.5 -1" diffuse="0.4 0.4 0.4" castshadow="false"/>
    <geom type="plane" size="0 0 1" contype="0" conaffinity="0" {paint}/>
    <geom type="plane" size="0 0 1" pos="0 3 0" zaxis="0 -1 0" contype="0" conaffinity="0" rgba="{words(stage.wall)} 1"/>
    {"".join(bodies)}
  </worldbody>
</mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return Camera(model, height=SIZE, width=SIZE, view=stage.view), data


def cast_all(stage: Stage, cast: Cast) -> Callable[[], None]:
    """What casts all rays of a picture when it is called, and does no more: the measure of how fast films are made."""
    camera, data = look_at(stage, [thing.look for thing in cast if thing is not None])
    image = camera.cast(data)
    rays, count = image.rays.astype(float), SIZE * SIZE
    found = np.flatnonzero(image.geom_id.ravel() >= 0)[0]
    eye = (image.points - image.depth[..., None] * rays).reshape(-1, 3)[found]
    geom_id, part, normal = np.empty(count, np.int32), np.empty(count), np.empty(3 * count)
    return partial(
        mujoco.mj_multiRay,
        *(camera.model, data, eye, rays.ravel(), None, True, -1, geom_id, part, normal, count, mujoco.mjMAXVAL),
    )


def describe(cast: Cast, poses: Float[np.ndarray, "frame slot 7"]) -> Float32[np.ndarray, "frame slot feature"]:
    """`FEATURES` of every slot: zeros where there is no thing; kinds are counted from 1."""
    velocity = np.diff(poses[..., :3], axis=0, prepend=poses[:1, :, :3]) * RATE
    velocity[0] = velocity[1]
    fixed = np.zeros((len(cast), len(FEATURES) - 10))
    for slot, thing in enumerate(cast):
        if thing is not None:
            fixed[slot] = *thing.look.size, *thing.look.color, 1 + KINDS.index(thing.look.kind)
    return np.concatenate([poses, velocity, np.broadcast_to(fixed, (FRAMES, *fixed.shape))], -1).astype(np.float32)
