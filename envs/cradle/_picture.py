"""From poses to pictures: only what can have changed is cast anew."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from .._camera import Camera
from ._scene import FRAMES, KINDS, RATE, SIZE, Cast, Stage, geom, words

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


def shoot(stage: Stage, cast: Cast, poses: Float[np.ndarray, "frame slot 7"]) -> Shot:
    """Film what stands at these poses, to the same bytes as if every ray of every frame were cast."""
    slots = [slot for slot, thing in enumerate(cast) if thing is not None]
    camera, data = look_at(stage, cast)
    poses_there = poses[:, slots]
    moving = np.flatnonzero((poses_there != poses_there[:1]).any((0, 2)))
    _place(camera.model, data, poses_there[0])
    data.mocap_pos[moving, 2] = AWAY
    mujoco.mj_kinematics(camera.model, data)
    ids, colors = camera.glance(data, np.arange(SIZE * SIZE))
    frames, masks = np.repeat(colors[None], FRAMES, 0), np.repeat(ids[None], FRAMES, 0)
    half = camera.model.geom_aabb.reshape(-1, 6)[SCENERY:][moving, 3:]
    for frame in range(FRAMES):
        if frame and (poses_there[frame] == poses_there[frame - 1]).all():
            masks[frame], frames[frame] = masks[frame - 1], frames[frame - 1]
            continue
        _place(camera.model, data, poses_there[frame])
        pixels = _around(camera, data, moving + SCENERY, half)
        masks[frame, pixels], frames[frame, pixels] = camera.glance(data, pixels)
    labels = np.zeros(SCENERY + len(slots) + 1, np.uint8)  # the last is the sky's, whose id is -1
    labels[SCENERY:-1] = np.array(slots, np.uint8) + 1
    masks = labels[masks]
    seen = np.stack([(masks == slot + 1).any(1) for slot in range(len(cast))], 1)
    return Shot(frames.reshape(FRAMES, SIZE, SIZE, 3), masks.reshape(FRAMES, SIZE, SIZE), describe(cast, poses), seen)


def look_at(stage: Stage, cast: Cast) -> tuple[Camera, mujoco.MjData]:
    """A camera on a model in which everything can be put anywhere, and its data."""
    rgb1, rgb2 = map(words, stage.floor)
    assets, paint = "", f'rgba="{rgb1} 1"'
    if stage.tile:
        repeat, paint = repr(1 / (2 * stage.tile)), 'material="floor"'
        assets = f"""
    <texture name="floor" type="2d" builtin="checker" rgb1="{rgb1}" rgb2="{rgb2}" width="16" height="16"/>
    <material name="floor" texture="floor" texuniform="true" texrepeat="{repeat} {repeat}"/>"""
    things = [f'{geom(thing.look)} rgba="{words(thing.look.color)} 1"' for thing in cast if thing is not None]
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
    camera, data = look_at(stage, cast)
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


def _place(model: mujoco.MjModel, data: mujoco.MjData, poses: np.ndarray) -> None:
    data.mocap_pos[:], data.mocap_quat[:] = poses[:, :3], poses[:, 3:]
    mujoco.mj_kinematics(model, data)


def _around(camera: Camera, data: mujoco.MjData, geoms: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The pixels in which these geoms can be seen: those in the boxes around their boxes' corners."""
    axes = data.geom_xmat[geoms].reshape(-1, 1, 3, 3)
    corners = data.geom_xpos[geoms][:, None] + (axes @ (half[:, None] * CORNERS)[..., None])[..., 0]
    where = camera.project(corners.reshape(-1, 3), data)[0].reshape(-1, 8, 2)
    least, most = np.nan_to_num(where.min(1), nan=0.0), np.nan_to_num(where.max(1), nan=SIZE)  # behind the camera: it might be anywhere
    low, high = (np.clip(edge, 0, SIZE).astype(int) for edge in (np.floor(least - MARGIN), np.ceil(most + MARGIN) + 1))
    inside = np.zeros((SIZE, SIZE), bool)
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        inside[top:bottom, left:right] = True
    return np.flatnonzero(inside)
