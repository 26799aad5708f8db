"""Goals and guardrails from named things: `--reach fingertip=target`, `--upright pole`, `--speed x=1.0`, `--keep "slider<0.9"`."""

import dataclasses
import math
import re

import mujoco
import numpy as np

import ebm

from ._errors import UsageError, near

EFFORT = 0.01  # weight beside the goals
KINDS = ("site", "body", "geom", "joint", "com", "sensor")  # of readings; bare names are looked up in the first four, in this order
FRAMES = ("body", "site", "geom")  # what has an orientation
QUANTITY = re.compile(r"(velocity|spin|orientation|up):(?=.)")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+|nan|inf)(?:[eE][-+]?\d+)?"
KEEP = re.compile(rf"(?:({NUMBER})\s*<=?\s*)?([^<>=]+?)\s*(<=?|>=?)\s*({NUMBER})", re.IGNORECASE)
WIDTHS = {int(mujoco.mjtJoint.mjJNT_FREE): (7, 6), int(mujoco.mjtJoint.mjJNT_BALL): (4, 3)}  # positions, velocities
AXES = ("x", "y", "z")


@dataclasses.dataclass(frozen=True)
class Wishes:
    """The goal and guardrail options of a command line, as typed."""

    reach: tuple[str, ...] = ()
    upright: tuple[str, ...] = ()
    speed: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def goals(self) -> bool:
        """Whether any goal was named."""
        return bool(self.reach or self.upright or self.speed)


@dataclasses.dataclass(frozen=True)
class Found:
    """A reading by its full name, one axis of it or all, and how many numbers that is."""

    name: str
    axis: str | None
    size: int


def energy_of(wishes: Wishes, names: "Names", box: ebm.Box) -> ebm.AbstractStageEnergy | None:
    """The sum of the goals, and a little effort; `None` if there is no goal.

    **Raises:**

    `UsageError` for what does not parse, names nothing, or has the wrong size.
    """
    terms: list[ebm.AbstractStageEnergy] = [_reach(text, names) for text in wishes.reach]
    for text in wishes.upright:
        found = names.find(text, FRAMES, "--upright")
        terms.append(ebm.Upright(found.name, name=f"upright {text}"))
    terms += [_speed(text, names) for text in wishes.speed]
    if not terms:
        return None
    half = np.asarray(box.half_range)
    return sum(terms[1:], terms[0]) + EFFORT * ebm.Effort(np.where(half > 0, half, 1.0))


def guardrails_of(wishes: Wishes, names: "Names") -> tuple[ebm.AbstractGuardrail, ...]:
    """One guardrail for each `--keep`, named as it was typed."""
    return tuple(_keep(text, names) for text in wishes.keep)


class Names:
    """What can be read from a compiled model, by name."""

    def __init__(self, model: mujoco.MjModel, plant: str):
        self.model, self.plant = model, plant
        items = {"site": (model.nsite, model.site), "body": (model.nbody, model.body), "geom": (model.ngeom, model.geom)}
        items |= {"joint": (model.njnt, model.joint), "sensor": (model.nsensor, model.sensor)}
        self.kinds = {kind: [get(i).name for i in range(n)] for kind, (n, get) in items.items()}
        self.kinds = {kind: [name for name in found if name and name != "world"] for kind, found in self.kinds.items()}
        self.kinds["sensor"] = [name for name in self.kinds["sensor"] if ":" not in name]  # those are readings, added by `load`

    def listing(self) -> str:
        """All of it, in one line."""
        parts = [f"{kind}: {', '.join(found)}" for kind, found in self.kinds.items() if found]
        return "; ".join(parts) or "nothing with a name"

    def find(self, text: str, kinds: tuple[str, ...], option: str) -> Found:
        """`"tip"`, `"site:tip"`, `"tip.x"` or `"velocity:body:cup.x"`: what it is called in full.

        **Raises:**

        `UsageError` with near names.
        """
        text = text.strip()
        match = QUANTITY.match(text)
        quantity, bare = (match.group(0), text[match.end() :]) if match else ("", text)
        head, dot, axis = bare.rpartition(".")
        for element, chosen in ((bare, None), *([(head, axis)] if dot and axis in AXES else [])):
            kind, colon, rest = element.partition(":")
            tried = [(kind, rest)] if colon and kind in KINDS else [(kind, element) for kind in kinds]
            for kind, name in tried:
                if name in self.kinds["body" if kind == "com" else kind] or (kind == "body" and name == "world"):
                    return self._found(f"{quantity}{kind}:{name}", kind, name, quantity, chosen, text, option)
        element = head if dot and axis in AXES else bare
        known = [name for kind in kinds for name in (*self.kinds.get(kind, ()), *(f"{kind}:{n}" for n in self.kinds.get(kind, ())))]
        word = element.rpartition(":")[2] if element.partition(":")[0] not in KINDS else element
        hint = near(word, known) or f" It has {self.listing()}."
        raise UsageError(
            f"{option} {text}: there is no {', '.join(kinds[:-1])} or {kinds[-1]} {element!r} in {self.plant}.{hint} "
            f"`ebm list {self.plant}` shows all names."
        )

    def _found(self, full: str, kind: str, name: str, quantity: str, axis: str | None, text: str, option: str) -> Found:
        size = 4 if quantity == "orientation:" else 3
        if kind == "joint":
            size = WIDTHS.get(int(self.model.joint(name).type[0]), (1, 1))[quantity == "velocity:"]
        elif kind == "sensor":
            size = int(self.model.sensor(name).dim[0])
        if axis is not None and size == 1:
            raise UsageError(f"{option} {text}: {full!r} is one number, it has no axis. Write {name!r} without '.{axis}'.")
        if axis is not None and size == 4:
            frame = f"{kind}:{name}" if kind in FRAMES else "body:NAME"
            raise UsageError(f"{option} {text}: {full!r} is a quaternion, it has no axis. Use --upright, or its z-axis, up:{frame}.z.")
        return Found(full, axis, size if axis is None else 1)


def _reach(text: str, names: Names) -> ebm.Reach:
    left, equals, right = (part.strip() for part in text.partition("="))
    if not (equals and left and right):
        raise UsageError(f"--reach {text}: write WHAT=WHERE, such as fingertip=target, tip=0.3,0.1,0.2 or tip.x=0.3.")
    found = names.find(left, KINDS[:4], "--reach")
    goal = _numbers(right, f"--reach {text}")
    name = f"reach {left}"
    if goal is None:
        target = names.find(right, KINDS[:4], "--reach")
        whole = names.find(left.rpartition(".")[0], KINDS[:4], "--reach") if found.axis else found
        if target.axis is not None or target.size != whole.size:
            raise UsageError(
                f"--reach {text}: {whole.name!r} has {whole.size} component(s), {target.name!r} has {target.size}. "
                "Choose two things of one kind; an axis stands on the left only, as in tip.x=target."
            )
        return ebm.Reach(found.name, target.name, axis=found.axis, name=name)
    _check_size(goal, found, f"--reach {text}")
    return ebm.Reach(found.name, goal, axis=found.axis, name=name)


def _speed(text: str, names: Names) -> ebm.Velocity:
    left, equals, right = (part.strip() for part in text.partition("="))
    goal = _numbers(right, f"--speed {text}") if equals else None
    if goal is None:
        raise UsageError(f"--speed {text}: write WHAT=NUMBER in m/s or rad/s, such as x=1.0, torso.x=1.0 or elbow=0.5.")
    known = any(left in found for found in names.kinds.values())
    if left in AXES and not known:
        # the whole machine along an axis: the centre of mass of what is attached to the first body that is driven
        moving = [b for b in range(1, names.model.nbody) if names.model.body_dofnum[b] and names.model.body(b).name]
        driven = driven_trees(names.model)
        moving = [b for b in moving if names.model.body_rootid[b] in driven] or moving
        if not moving:
            raise UsageError(f"--speed {text}: {names.plant} has no moving body with a name. Name a joint. It has {names.listing()}.")
        found = Found(f"com:{names.model.body(moving[0]).name}", left, 1)
    else:
        found = names.find(f"velocity:{left.removeprefix('velocity:')}", ("joint", "body", "site", "geom"), "--speed")
        if found.size == 6:
            raise UsageError(f"--speed {text}: {found.name!r} is a free joint. Name its body and an axis, as in torso.x=1.0.")
    _check_size(goal, found, f"--speed {text}")
    return ebm.Velocity(found.name, goal, axis=found.axis, name=f"speed {left}")


def driven_trees(model: mujoco.MjModel) -> set[int]:
    """The roots of what actuators at joints move."""
    at_joints = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
    joints = [model.actuator_trnid[i, 0] for i in range(model.nu) if model.actuator_trntype[i] in at_joints]
    return {int(model.body_rootid[model.jnt_bodyid[joint]]) for joint in joints}


def _keep(text: str, names: Names) -> ebm.AbstractGuardrail:
    match = KEEP.fullmatch(text.strip())
    if match is None:
        remedy = "Write NAME<NUMBER or NAME>NUMBER, such as 'slider<0.9', 'cup.z>0.6' or '-1<slider<1'."
        raise UsageError(f"--keep {text!r} cannot be read. {remedy}")
    low, name, sign, limit = match.groups()
    found = names.find(name, KINDS[:4], "--keep")
    if found.size > 1:
        raise UsageError(f"--keep {text!r}: {found.name!r} has {found.size} components; say which, as in '{name}.z{sign}{limit}'.")
    numbers = [_finite(float(number), f"--keep {text!r}") for number in (low, limit) if number is not None]
    label = "".join(text.split())
    if low is not None:
        if sign.startswith(">") or numbers[0] > numbers[1]:
            raise UsageError(f"--keep {text!r}: a range is LOW<NAME<HIGH, such as '-1<slider<1'.")
        return ebm.KeepInside(found.name, *numbers, axis=found.axis, name=label)
    keep = ebm.KeepBelow if sign.startswith("<") else ebm.KeepAbove
    return keep(found.name, numbers[0], axis=found.axis, name=label)


def _numbers(text: str, option: str) -> list[float] | None:
    """The numbers in `"0.3,0.1,0.2"`, or `None` if these are no numbers."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    return [_finite(value, option) for value in values]


def _finite(value: float, option: str) -> float:
    if not math.isfinite(value):
        raise UsageError(f"{option}: {value} is not a finite number. A goal or a limit must be one.")
    return value


def _check_size(goal: list[float], found: Found, option: str) -> None:
    if len(goal) != found.size:
        what = f"{found.name!r}" if found.axis is None else f"{found.name!r} along {found.axis}"
        remedy = f"Give {found.size}, separated by commas" + (", or one axis, as in tip.x=0.3." if found.size == 3 else ".")
        raise UsageError(f"{option}: {what} has {found.size} component(s), the goal has {len(goal)}. {remedy}")
