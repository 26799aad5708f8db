"""Physics parameters by name: dimensionless factors on masses, frictions, gains and dampings."""

import difflib
from collections.abc import Callable

import mujoco
import numpy as np

KINDS = ("mass", "friction", "gain", "damping")


def check(model: mujoco.MjModel, names: tuple[str, ...]) -> None:
    """Raise a `ValueError` that lists what exists if a name is unknown."""
    for name in names:
        _rows(model, name)


def apply(model: mujoco.MjModel, names: tuple[str, ...], factors: np.ndarray) -> None:
    """Scale parameters of `model` in place.

    **Arguments:**

    - `names`: `"mass"` scales all bodies, `"mass:cart"` one; likewise `friction[:geom]` (all coefficients), `gain[:actuator]` and `damping[:joint]`.
      A mass takes its inertia along; a gain takes the bias of position and velocity servos along.
    - `factors`: one per name; 1 is the model as it is.
    """
    for name, factor in zip(names, factors, strict=True):
        kind, rows = _rows(model, name)
        if kind == "mass":
            model.body_mass[rows] *= factor
            model.body_inertia[rows] *= factor
        elif kind == "friction":
            model.geom_friction[rows] *= factor
            for pair in range(model.npair):
                if {int(model.pair_geom1[pair]), int(model.pair_geom2[pair])} & set(rows.tolist()):
                    model.pair_friction[pair] *= factor
        elif kind == "gain":
            model.actuator_gainprm[rows] *= factor
            model.actuator_biasprm[rows] *= factor
        else:
            model.dof_damping[rows] *= factor
    if any(name.split(":")[0] == "mass" for name in names):
        mujoco.mj_setConst(model, mujoco.MjData(model))


def _rows(model: mujoco.MjModel, name: str) -> tuple[str, np.ndarray]:
    kind, _, element = name.partition(":")
    counts: dict[str, tuple[int, Callable]] = {
        "mass": (model.nbody, model.body),
        "friction": (model.ngeom, model.geom),
        "gain": (model.nu, model.actuator),
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
