"""Physics parameters by name: dimensionless factors on masses, frictions, gains and dampings."""

import difflib
from collections.abc import Callable

import mujoco
import numpy as np

KINDS = ("mass", "friction", "gain", "damping")
GAINS = (mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtGain.mjGAIN_AFFINE, mujoco.mjtGain.mjGAIN_MUSCLE)
LEAST_MASS = 1e-9  # factor, above which a mass is one
MUSCLE_FORCE = slice(2, 4)  # peak force, and the scale it follows from when it is not given


def check(model: mujoco.MjModel, names: tuple[str, ...]) -> None:
    """Raise a `ValueError` that lists what exists if a name is unknown, or if it cannot be scaled."""
    for name in names:
        kind, rows = _rows(model, name)
        if kind == "gain" and not np.isin(model.actuator_gaintype[rows], GAINS).all():
            raise ValueError(f"{name!r} cannot be scaled: only actuators with fixed, affine or muscle gain can. Name those one by one.")


def possible(names: tuple[str, ...], factors: np.ndarray) -> np.ndarray:
    """Factors, and NaN where a mass would be none: what moves without mass is no world, and MuJoCo raises."""
    masses = np.array([_is_mass(name) for name in names], bool)
    return np.where(masses & ~(factors > LEAST_MASS), np.nan, factors)


def apply(model: mujoco.MjModel, names: tuple[str, ...], factors: np.ndarray) -> None:
    """Scale parameters of `model` in place.

    **Arguments:**

    - `names`: `"mass"` scales all bodies, `"mass:cart"` one; likewise `friction[:geom]` (all coefficients), `gain[:actuator]` and
      `damping[:joint]`. A mass takes its inertia along; a gain takes the bias of position and velocity servos along. MuJoCo takes the
      larger friction of two geoms that touch, so `"friction:box"` alone may change nothing.
    - `factors`: one per name; 1 is the model as it is.
    """
    for name, factor in zip(names, factors, strict=True):
        kind, rows = _rows(model, name)
        if kind == "mass":
            model.body_mass[rows] *= factor
            model.body_inertia[rows] *= factor
        elif kind == "friction":
            model.geom_friction[rows] *= factor
            touched = np.isin(model.pair_geom1, rows) | np.isin(model.pair_geom2, rows)
            model.pair_friction[touched] *= factor
        elif kind == "gain":
            muscle = model.actuator_gaintype[rows] == mujoco.mjtGain.mjGAIN_MUSCLE
            for parameters in (model.actuator_gainprm, model.actuator_biasprm):
                parameters[rows[~muscle]] *= factor
                parameters[rows[muscle], MUSCLE_FORCE] *= factor
        else:
            model.dof_damping[rows] *= factor
            model.dof_dampingpoly[rows] *= factor
    if any(_is_mass(name) for name in names):
        strength = model.actuator_acc0.copy()  # muscles are as strong as before, whatever they carry
        mujoco.mj_setConst(model, mujoco.MjData(model))
        model.actuator_acc0[:] = strength


def _is_mass(name: str) -> bool:
    return name.partition(":")[0] == "mass"


def _rows(model: mujoco.MjModel, name: str) -> tuple[str, np.ndarray]:
    kind, _, element = name.partition(":")
    counts: dict[str, tuple[int, Callable]] = {
        "mass": (model.nbody, model.body),
        "friction": (model.ngeom, model.geom),
        "gain": (model.nactuator, model.actuator),
        "damping": (model.njnt, model.joint),
    }
    if kind not in counts:
        raise ValueError(f"Unknown physics parameter {name!r}: it must start with one of {', '.join(KINDS)}, as in 'mass' or 'mass:cart'.")
    count, find = counts[kind]
    names = [find(i).name for i in range(count)]
    if element and element not in names:
        known = ", ".join(n for n in names if n) or "none with a name"
        near = difflib.get_close_matches(element, names, 1)
        raise ValueError(f"{name!r} names nothing in this model{f'; did you mean {near[0]!r}?' if near else '.'} It has {known}.")
    rows = np.array([i for i, n in enumerate(names) if not element or n == element], int)
    if kind == "damping":
        rows = np.array([d for d in range(model.nv) if model.dof_jntid[d] in rows], int)
    return kind, rows
