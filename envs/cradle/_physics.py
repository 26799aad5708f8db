"""Where everything is at every frame."""

import math
from collections.abc import Generator

import mujoco
import numpy as np
from jaxtyping import Float

from ._scene import FRAMES, RATE, Cast, Fixed, Free, Look, Moved, Stage, Vector, geom, words

SUBSTEPS = 20  # of the physics, between two frames; at half of them what slides hops
DIGITS = 4  # after the point, of a pose: what rests is still to the last bit
SPRING = 20000.0  # 1/s²: how hard an elastic touch is
GRIP = 0.8  # friction of what rolls
ROLLERS = ("sphere", "capsule")


def simulate(stage: Stage, cast: Cast) -> Float[np.ndarray, "frame slot 7"]:
    """Poses of every thing at every frame: position (m) and quaternion; zeros where there is no thing."""
    poses = resting(cast)
    if slots := free_slots(cast):
        poses[:, slots] = list(falling(stage, cast))
    return np.round(poses, DIGITS) + 0.0  # and no zero is negative


def resting(cast: Cast) -> Float[np.ndarray, "frame slot 7"]:
    """Poses of everything but what is free."""
    poses = np.zeros((FRAMES, len(cast), 7))
    poses[..., 3] = 1
    for slot, thing in enumerate(cast):
        match thing:
            case None:
                poses[:, slot] = 0
            case Moved():
                poses[:, slot, :3] = thing.path
            case Fixed():
                poses[:, slot, :3] = thing.position
                poses[:, slot, 3], poses[:, slot, 5] = math.cos(thing.tilt / 2), math.sin(thing.tilt / 2)
    return poses


def free_slots(cast: Cast) -> list[int]:
    """Where physics decides."""
    return [slot for slot, thing in enumerate(cast) if isinstance(thing, Free)]


def falling(stage: Stage, cast: Cast) -> Generator[Float[np.ndarray, "thing 7"], Vector | None, None]:
    """Poses of everything free at one frame after another; an acceleration (m/s²) that is sent pushes the first of them until the next."""
    free = [thing for thing in cast if isinstance(thing, Free)]
    model = mujoco.MjModel.from_xml_string(mjcf(stage.gravity, stage.ceiling, cast))
    data = mujoco.MjData(model)
    for thing, velocity in zip(free, data.qvel.reshape(-1, 6), strict=True):
        velocity[:3] = thing.velocity
        if thing.look.kind in ROLLERS and not thing.elastic:
            up = -math.copysign(1, stage.gravity)
            velocity[3:5] = -up * thing.velocity[1] / thing.look.size[0], up * thing.velocity[0] / thing.look.size[0]
    start, push, held = data.qpos.reshape(-1, 7).copy(), data.qvel.reshape(-1, 6).copy(), np.array([thing.held for thing in free])
    body = model.jnt_bodyid[0]
    for frame in range(FRAMES):
        pushed = yield data.qpos.reshape(-1, 7).copy()
        data.xfrc_applied[body, :3] = 0.0 if pushed is None else np.array(pushed) * model.body_mass[body]
        still = held > frame
        if not still.any():
            mujoco.mj_step(model, data, SUBSTEPS)
            continue
        for _ in range(SUBSTEPS):
            mujoco.mj_step(model, data)
            data.qpos.reshape(-1, 7)[still], data.qvel.reshape(-1, 6)[still] = start[still], push[still]


def mjcf(gravity: float, ceiling: float | None, cast: Cast) -> str:
    """What is free and what it can bump into; things that go their own way touch nothing."""
    bodies, elastic, solid = [], [], []
    for slot, thing in enumerate(cast):
        match thing:
            case Fixed():
                turn = math.cos(thing.tilt / 2), 0.0, math.sin(thing.tilt / 2), 0.0
                pose = f'pos="{words(thing.position)}" quat="{words(turn)}"'
                bodies.append(f'<body {pose}><geom name="{slot}" {geom(thing.look)} friction="0 0 0"/></body>')
                solid.append(slot)
            case Free():
                body = f'<geom name="{slot}" {geom(_solid(thing.look))} {_contact(thing, abs(gravity))}/>'
                bodies.append(f'<body pos="{words(thing.position)}"><freejoint/>{body}</body>')
                if thing.elastic:
                    elastic.append(slot)
    touches = [(a, b) for i, a in enumerate(elastic) for b in elastic[i + 1 :] + solid]
    pairs = [f'<pair geom1="{a}" geom2="{b}" condim="1" solref="{-SPRING} 0" solimp="0.99 0.99 0.001"/>' for a, b in touches]
    above = f'<geom type="plane" size="0 0 1" pos="0 0 {ceiling!r}" zaxis="0 0 -1" friction="0 0 0"/>'
    return f"""
<mujoco>
  <option timestep="{1 / (RATE * SUBSTEPS)}" gravity="0 0 {gravity!r}" cone="elliptic" jacobian="dense"/>
  <worldbody><geom type="plane" size="0 0 1" friction="0 0 0"/>{"" if ceiling is None else above}{"".join(bodies)}</worldbody>
  <contact>{"".join(pairs)}</contact>
</mujoco>"""


def _solid(look: Look) -> Look:
    """What its touch is like: an ellipsoid stands on a flat side, which is not seen, lest it roll without end."""
    return look._replace(kind="cylinder") if look.kind == "ellipsoid" else look


def _contact(thing: Free, gravity: float) -> str:
    """Friction that slows it down as asked: of two geoms that touch, the larger counts."""
    if thing.elastic:
        return 'friction="0 0 0"'
    if thing.look.kind in ROLLERS:
        return f'condim="6" friction="{GRIP} 0.001 {(1 + _inertia(thing.look)) * thing.slowing * thing.look.size[0] / gravity!r}"'
    return f'friction="{thing.slowing / gravity!r} 0.001 0"'


def _inertia(look: Look) -> float:
    """Of a roller about its axis, in units of mass times radius²."""
    if look.kind == "sphere":
        return 0.4
    radius, length = look.size[0], 2 * (look.size[1] - look.size[0])
    ball, tube = 4 / 3 * radius, length  # volumes per π radius²
    return (0.4 * ball + 0.5 * tube) / (ball + tube)
