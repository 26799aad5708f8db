"""From an MJCF file, a spec or an environment to a world model whose readings have names."""

import difflib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import gymnasium
import mujoco
import numpy as np

import ebm

from ._mujoco import MujocoModel

if TYPE_CHECKING:
    from ._mjx import MjxModel

KINDS = {
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "body": mujoco.mjtObj.mjOBJ_XBODY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "camera": mujoco.mjtObj.mjOBJ_CAMERA,
}
QUANTITIES = {
    "": mujoco.mjtSensor.mjSENS_FRAMEPOS,
    "velocity": mujoco.mjtSensor.mjSENS_FRAMELINVEL,
    "orientation": mujoco.mjtSensor.mjSENS_FRAMEQUAT,
    "up": mujoco.mjtSensor.mjSENS_FRAMEZAXIS,
    "spin": mujoco.mjtSensor.mjSENS_FRAMEANGVEL,
}
STORED = {"joint": ("", "velocity"), "mocap": ("",), "sensor": ("",)}  # what needs no sensor, and what of it there is
SAME_ACTIONS = (gymnasium.wrappers.ClipAction, gymnasium.wrappers.StickyAction)  # wrappers under which an action means what it meant
WHOLE = {"com": mujoco.mjtSensor.mjSENS_SUBTREECOM, "velocity:com": mujoco.mjtSensor.mjSENS_SUBTREELINVEL}

Plant = str | os.PathLike | mujoco.MjSpec | gymnasium.Env


@overload
def load(
    plant: Plant,
    *,
    read: Sequence[str] = ...,
    action_space: ebm.Box | None = ...,
    period: float | None = ...,
    parameters: Mapping[str, Any] | None = ...,
    engine: Literal["c"] = ...,
) -> MujocoModel: ...
@overload
def load(
    plant: Plant,
    *,
    read: Sequence[str] = ...,
    action_space: ebm.Box | None = ...,
    period: float | None = ...,
    parameters: Mapping[str, Any] | None = ...,
    engine: Literal["c", "mjx"],
) -> "MujocoModel | MjxModel": ...
def load(
    plant: Plant,
    *,
    read: Sequence[str] = (),
    action_space: ebm.Box | None = None,
    period: float | None = None,
    parameters: Mapping[str, Any] | None = None,
    engine: Literal["c", "mjx"] = "c",
) -> ebm.AbstractWorldModel:
    """A world model on MuJoCo's C engine, or on MJX, from almost anything.

    **Arguments:**

    - `plant`: the path of an MJCF or URDF file, a `mujoco.MjSpec`, the id of a Gymnasium MuJoCo environment, or such an environment.
    - `read`: what energies and guardrails look at, beyond joints and the declared sensors: `"site:tip"`, `"body:cup"`, `"geom:ball"`
      (position, m), each also as `"velocity:body:cup"` (m/s), `"spin:body:cup"` (rad/s), `"orientation:body:cup"` (quaternion),
      `"up:body:cup"` (its z axis), and `"com:torso"`, `"velocity:com:torso"` (the subtree's centre of mass). `ebm.readings(energy)`
      lists what an energy reads.
    - `action_space`: default the actuators' `ctrlrange`, or the environment's action space.
    - `period`: control period in s, a multiple of the timestep; default frame skip × timestep for an environment, about 0.02 s for an MJCF.
    - `parameters`: factors on physics parameters, see `MujocoModel`; the C engine only.
    - `engine`: `"c"`, or `"mjx"` for accelerators (extra `mjx`).

    **Raises:**

    `FileNotFoundError`, `ValueError` or `TypeError` in one line that names the remedy.
    """
    if engine not in ("c", "mjx"):
        raise ValueError(f"`engine` must be 'c' or 'mjx', got {engine!r}.")
    if engine == "mjx" and parameters:
        raise ValueError("Factors on physics `parameters` need the C engine. Leave out `engine='mjx'`, or change the MJCF.")
    env = as_env(plant)
    if env is None:
        spec, compiled = as_spec(plant), None
        spec = spec.copy() if spec is plant else spec
    else:
        try:
            inner: Any = env.unwrapped
            spec, compiled, space = _spec_of_env(env), inner.model, inner.action_space
            if period is None:
                period = inner.frame_skip * compiled.opt.timestep
            if action_space is None and isinstance(space, gymnasium.spaces.Box) and space.shape == (compiled.nu,):
                action_space = ebm.Box(space.low, space.high)
        finally:
            if env is not plant:
                env.close()
    add_readings(spec, read)
    model = compile_spec(spec)
    if compiled is not None:
        _copy_physics(compiled, model)
    if not model.nu:
        raise ValueError(
            "This model has no actuators, so there is nothing to plan. Add an <actuator> to the MJCF, or `add_actuator` to the "
            "`mujoco.MjSpec` of a URDF, and load that."
        )
    if engine == "mjx":
        from ._mjx import MjxModel

        return MjxModel(model, period=period, action_space=action_space)
    return MujocoModel(model, period=period, action_space=action_space, parameters=parameters)


def check_actions(env: Any) -> None:
    """Raise a `ValueError` if a wrapper gives actions another meaning than actuators do: plans would be in the wrong units."""
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.ActionWrapper) and not isinstance(env, SAME_ACTIONS):
            raise ValueError(
                f"{type(env).__name__} changes what actions mean, and plans are in the units of the actuators. Plan with the environment "
                "beneath it (`env.unwrapped`), and send actions to that."
            )
        env = env.env


def as_env(plant: Any) -> gymnasium.Env | None:
    """The MuJoCo environment that `plant` is or names, or `None` for a file or a spec. One made from an id is the caller's to close."""
    if isinstance(plant, gymnasium.Env):
        env = plant
    elif isinstance(plant, str) and is_env_id(plant):
        try:
            env = gymnasium.make(plant)
        except Exception as error:
            raise ValueError(f"The environment {plant!r} cannot be made: {_one_line(error)}") from error
    else:
        return None
    check_actions(env)
    inner: Any = env.unwrapped
    if not isinstance(getattr(inner, "model", None), mujoco.MjModel):
        name = env.spec.id if env.spec else type(inner).__name__
        if env is not plant:
            env.close()
        raise ValueError(
            f"{name} is not a MuJoCo environment, so it has no physics to plan with. Use one such as 'Reacher-v5', or an MJCF file."
        )
    return env


def is_env_id(plant: str) -> bool:
    """Whether `plant` looks like a Gymnasium id rather than a path; an id that is not registered raises `ValueError`."""
    if plant in gymnasium.registry:
        return True
    if (
        Path(plant).suffix in (".xml", ".mjcf", ".urdf", ".mjb")
        or not re.fullmatch(r"([\w-]+/)?[\w:.-]+-v\d+", plant)
        or Path(plant).exists()
    ):
        return False

    near = difflib.get_close_matches(plant, gymnasium.registry, 3)
    hint = f" Did you mean {', '.join(near)}?" if near else " `ebm list` shows what there is."
    raise ValueError(f"There is no environment {plant!r}.{hint}")


def as_spec(plant: Any) -> mujoco.MjSpec:
    """A spec from a path, with clear errors."""
    if isinstance(plant, mujoco.MjSpec):
        return plant
    if not isinstance(plant, str | os.PathLike):
        raise TypeError(
            f"A plant is a path, an MjSpec, an environment or its id, got {type(plant).__name__}. A compiled MjModel goes to `MujocoModel`."
        )
    path = Path(plant)
    if not path.is_file():
        near = difflib.get_close_matches(str(path), gymnasium.registry, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(
            f"There is no model file {str(path)!r}.{hint} Give the path of an MJCF file, or the id of a Gymnasium environment."
        )
    try:
        return mujoco.MjSpec.from_file(str(path))
    except Exception as error:
        raise ValueError(f"{str(path)!r} cannot be read as a MuJoCo model: {_one_line(error)}") from error


def compile_spec(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """`spec.compile()` with a one-line error."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "compiler attribute")  # deprecations in a file are for its author
            return spec.compile()
    except Exception as error:
        raise ValueError(f"The model does not compile: {_one_line(error)}") from error


def add_readings(spec: mujoco.MjSpec, read: Sequence[str]) -> None:
    """Add the sensors behind names such as `"velocity:site:tip"` to `spec`, each once.

    **Raises:**

    `ValueError` if a name is malformed or names nothing in the model.
    """
    read = (read,) if isinstance(read, str) else read
    sensors = {sensor.name for sensor in spec.sensors}
    declared = set(sensors)
    for name in read:
        if name in declared and ":" in name:
            continue
        declared.add(name)
        first, colon, rest = name.partition(":")
        quantity, thing = (first, rest) if colon and first in QUANTITIES else ("", name)
        kind, _, element = thing.partition(":")  # a name may have colons of its own
        if kind in STORED and quantity in STORED[kind]:
            _must_exist(spec, kind, element, name)
        elif kind == "com" and quantity in ("", "velocity"):
            _must_exist(spec, "body", element, name)
            spec.add_sensor(
                name=name, type=WHOLE[f"{quantity}:com" if quantity else "com"], objtype=mujoco.mjtObj.mjOBJ_BODY, objname=element
            )
        elif kind in KINDS and quantity in QUANTITIES:
            _must_exist(spec, kind, element, name)
            spec.add_sensor(name=name, type=QUANTITIES[quantity], objtype=KINDS[kind], objname=element)
        else:
            hint = f" Did you mean 'sensor:{name}'?" if name in sensors else ""
            raise ValueError(
                f"{name!r} is not a reading.{hint} A reading is kind:name with kind site, body, geom, camera, com, joint or sensor, such "
                "as 'site:tip', and may start with velocity:, spin:, orientation: or up:."
            )


def names(spec: mujoco.MjSpec) -> dict[str, list[str]]:
    """What a model has, by kind: the names that energies can be built from."""
    elements = {
        "site": spec.sites,
        "body": spec.bodies,
        "geom": spec.geoms,
        "camera": spec.cameras,
        "joint": spec.joints,
        "sensor": spec.sensors,
    }
    return {kind: [item.name for item in items if item.name and item.name != "world"] for kind, items in elements.items()}


def _must_exist(spec: mujoco.MjSpec, kind: str, element: str, name: str) -> None:
    known = [body.name for body in spec.bodies if body.mocap] if kind == "mocap" else names(spec).get(kind, [])
    if element not in known and not (kind == "body" and element == "world"):
        near = difflib.get_close_matches(element, known, 1)
        listed = ", ".join(known) or f"no {kind} with a name"
        raise ValueError(
            f"{name!r}: there is no {kind} {element!r} in this model{f'; did you mean {near[0]!r}?' if near else '.'} It has {listed}."
        )


def _spec_of_env(env: gymnasium.Env) -> mujoco.MjSpec:
    """The spec of an environment: its file, or its own `spec` if it was built from one."""
    inner: Any = env.unwrapped
    if isinstance(getattr(inner, "mj_spec", None), mujoco.MjSpec):
        return inner.mj_spec.copy()
    path = getattr(inner, "fullpath", None)
    if path is None or not Path(path).is_file():
        raise ValueError(
            f"{type(inner).__name__} does not say which MJCF it was made from. Load the file itself, or give the environment an `mj_spec`."
        )
    return as_spec(path)


def _copy_physics(source: mujoco.MjModel, target: mujoco.MjModel) -> None:
    """Carry over what an environment changed in its compiled model: every array and option, sensors apart."""
    for field in ("nq", "nv", "nu", "na", "nbody", "njnt", "ngeom", "nsite", "ntendon", "neq"):
        if getattr(source, field) != getattr(target, field):
            raise ValueError(
                f"The environment's model has {field} = {getattr(source, field)}, its file {getattr(target, field)}. Load the file itself."
            )
    _copy_fields(source, target, skip=("name", "path", "sensor_"))
    _copy_fields(source.opt, target.opt)
    _copy_fields(source.stat, target.stat)


def _copy_fields(source: Any, target: Any, skip: tuple[str, ...] = ()) -> None:
    for field in dir(source):
        value = getattr(source, field)
        if field.startswith(("_", *skip)) or callable(value):
            continue
        if isinstance(value, np.ndarray):
            old = getattr(target, field)
            if old.shape == value.shape and value.size:
                old[...] = value
        elif isinstance(value, int | float) and not isinstance(source, mujoco.MjModel):
            setattr(target, field, value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
