"""The derivative of the C engine: central differences in tangent space, all from batched rollouts."""

import math
from typing import TYPE_CHECKING

import numpy as np

from ._physics import Layout

if TYPE_CHECKING:
    from ._engine import Engine

EPSILON = 1e-6  # in rad, m, rad/s, m/s, N and actuator units
EPSILON_PARAMETER = 1e-4  # for factors on physics parameters
FLOAT32_ROUNDING = 1e-7


def central(engine: "Engine", physics, inputs, actions, parameters, given: tuple[bool, bool]) -> list[np.ndarray]:
    """Differences along a batch of trajectories.

    Every moment is perturbed by ± ε in each direction and simulated for one control period. The last moment, which has no action,
    is simulated too: its sensors move with the state.

    **Arguments:**

    - `physics`: (batch, horizon + 1, physics). `actions`: (batch, horizon, nu). `inputs`, `parameters`: one row, or (batch, ...).
    - `given`: whether to difference `inputs`, and `parameters`, too.

    **Returns:**

    `A` (batch, horizon, tangent, tangent), `B` (batch, horizon, tangent, nu), the sensors' lift (batch, horizon + 1, sensors, tangent)
    and, if anything is given, with its size g, `C` (batch, horizon, tangent, g) and the sensors' (batch, horizon + 1, sensors, g).
    All float32.
    """
    layout = engine.layout
    count, moments = len(physics), physics.shape[1]
    nu, num_sensors, num_late = actions.shape[2], layout.num_sensors, layout.late_sensors.size
    num_state = layout.tangent - num_late
    held = np.concatenate([actions, np.zeros((count, 1, nu))], axis=1).reshape(-1, nu)
    # an action at a limit, rounded to float32, is at that limit: otherwise a part of its step would be clamped
    low, high = engine.limits
    held = np.where(np.abs(held - low) < FLOAT32_ROUNDING * np.abs(low), low, held)
    held = np.where(np.abs(held - high) < FLOAT32_ROUNDING * np.abs(high), high, held)
    base = physics.reshape(-1, layout.num_physics)
    inputs, parameters = (x if len(x) == 1 else np.repeat(x, moments, axis=0) for x in (inputs, parameters))
    columns = engine.differentiable if given[0] else engine.differentiable[:0]
    total = num_state + nu + columns.size + (parameters.shape[1] if given[1] else 0)
    slope = np.empty((len(base), layout.tangent, total), np.float32)
    sensor_slope = np.empty((len(base), num_sensors, total), np.float32)
    for part in engine.chunks(len(base), 2 * total * engine.substeps):
        given_rows = rows_at(inputs, part), rows_at(parameters, part)
        _differences(engine, base[part], held[part], *given_rows, columns, slope[part], sensor_slope[part])
    sensor_slope[:, layout.late_sensors] = 0.0
    slope, sensor_slope = slope.reshape(count, moments, *slope.shape[1:]), sensor_slope.reshape(count, moments, *sensor_slope.shape[1:])
    a = np.zeros((count, moments - 1, layout.tangent, layout.tangent), np.float32)
    a[..., :num_state] = slope[:, :-1, :, :num_state]
    lift = np.zeros((count, moments, num_sensors, layout.tangent), np.float32)
    lift[..., :num_state] = sensor_slope[..., :num_state]
    lift[:, :, layout.late_sensors, num_state + np.arange(num_late)] = 1.0
    results = [a, slope[:, :-1, :, num_state : num_state + nu], lift]
    if any(given):
        results += [slope[:, :-1, :, num_state + nu :], sensor_slope[..., num_state + nu :]]
    return results


def rows_of(x: np.ndarray, batch: tuple[int, ...], trailing: int, *, lazy: bool = False) -> np.ndarray:
    """`x` with its batch axes broadcast and folded into one; a single row is kept single if `lazy`."""
    if lazy and math.prod(x.shape[:-trailing]) == 1:
        return x.reshape(1, *x.shape[-trailing:])
    return np.broadcast_to(x, (*batch, *x.shape[-trailing:])).reshape(math.prod(batch), *x.shape[-trailing:])


def rows_at(x: np.ndarray, part: slice) -> np.ndarray:
    """Some rows of a lazy batch."""
    return x if len(x) == 1 else x[part]


def row_at(x: np.ndarray, i: int) -> np.ndarray:
    """One row of a lazy batch."""
    return x[0] if len(x) == 1 else x[i]


def _differences(engine: "Engine", base, held, inputs, parameters, columns, slope, sensor_slope) -> None:
    """Fill `slope` and `sensor_slope` (moment, entry, direction) for some moments."""
    layout = engine.layout
    (moments, size, total), nu = slope.shape, held.shape[1]
    num_state = size - layout.late_sensors.size
    num_parameters = total - num_state - nu - columns.size
    # axes: moment, sign, direction, entry
    start = np.empty((moments, 2, total, layout.num_physics))
    start[:] = base[:, None, None]
    control = np.empty((moments, 2, total, nu))
    control[:] = held[:, None, None]
    actuators, second = np.arange(nu), num_state + np.arange(nu)
    for sign, step in enumerate((EPSILON, -EPSILON)):
        _perturb(layout, start[:, sign, :num_state], step)
        control[:, sign, second, actuators] += step
    low, high = (limit(bound, held) for limit, bound in zip((np.minimum, np.maximum), engine.limits, strict=True))
    control[:, :, second, actuators] = np.clip(control[:, :, second, actuators], low[:, None], high[:, None])
    width = np.full((moments, total), 2 * EPSILON)
    width[:, second] = control[:, 0, second, actuators] - control[:, 1, second, actuators]
    width[:, total - num_parameters :] = 2 * EPSILON_PARAMETER
    scale = np.divide(1.0, width, out=np.zeros_like(width), where=width > 0)[..., None]
    inputs = _spread(inputs, moments, total, num_state + nu, columns, EPSILON)
    parameters = _spread(parameters, moments, total, total - num_parameters, np.arange(num_parameters), EPSILON_PARAMETER)
    rows = 2 * moments * total
    after, sensed, good = engine.simulate(start.reshape(rows, -1), control.reshape(rows, 1, nu), inputs, parameters, extra=0, tight=True)
    ends, first, last = (x.reshape(moments, 2, total, x.shape[1]) for x in (after[:, -1], sensed[:, 0], sensed[:, -1]))
    slope[:, :num_state] = (tangent_between(layout, ends[:, 1], ends[:, 0]) * scale).swapaxes(1, 2)
    slope[:, num_state:] = ((last[:, 0] - last[:, 1])[..., layout.late_sensors] * scale).swapaxes(1, 2)
    sensor_slope[:] = ((first[:, 0] - first[:, 1]) * scale).swapaxes(1, 2)
    if good is not None:
        slope[~good[:, -1].reshape(moments, -1).all(1)] = np.nan
        sensor_slope[~good[:, 0].reshape(moments, -1).all(1)] = np.nan


def _spread(rows: np.ndarray, moments: int, total: int, first: int, columns: np.ndarray, step: float) -> np.ndarray:
    """One row for each moment, sign and direction, with `columns` perturbed in the directions from `first`; or a single row for all."""
    if not columns.size and len(rows) == 1:
        return rows
    spread = np.empty((moments, 2, total, rows.shape[1]))
    spread[:] = rows[:, None, None]
    for sign, signed in enumerate((step, -step)):
        spread[:, sign, first + np.arange(columns.size), columns] += signed
    return spread.reshape(-1, rows.shape[1])


def _perturb(layout: Layout, rows: np.ndarray, step: float) -> None:
    """Move direction c of `rows` (moment, direction, physics) by `step` along tangent coordinate c, in place."""
    q0, v0 = layout.qpos.start, layout.qvel.start
    rows[:, layout.linear_dofs, q0 + layout.linear_qpos] += step
    for q, v in layout.quaternions:
        for axis in range(3):
            rows[:, v + axis, q0 + q : q0 + q + 4] @= _turn(axis, step)
    rest = np.arange(rows.shape[1] - layout.nv)
    rows[:, layout.nv + rest, v0 + rest] += step


def tangent_between(layout: Layout, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`b - a` in tangent space, over any leading axes."""
    delta = (b - a)[..., 1:]
    if layout.nq == layout.nv and not layout.quaternions:
        return delta
    result = np.empty((*delta.shape[:-1], layout.nv + delta.shape[-1] - layout.nq))
    result[..., layout.linear_dofs] = delta[..., layout.linear_qpos]
    for q, v in layout.quaternions:
        i = layout.qpos.start + q
        result[..., v : v + 3] = _rotation(a[..., i : i + 4], b[..., i : i + 4])
    result[..., layout.nv :] = delta[..., layout.nq :]
    return result


def _turn(axis: int, angle: float) -> np.ndarray:
    """The matrix that turns quaternions, as rows, by `angle` (rad) about an axis of their own frame."""
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * np.eye(3)[axis]
    return np.array([[w, x, y, z], [-x, w, -z, y], [-y, z, w, -x], [-z, -y, x, w]])


def _rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation vector (rad) from `a` to `b`, in the frame of `a`."""
    (aw, ax, ay, az), (bw, bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    vector = np.stack(
        [aw * bx - bw * ax - ay * bz + az * by, aw * by - bw * ay - az * bx + ax * bz, aw * bz - bw * az - ax * by + ay * bx], axis=-1
    )
    scalar = (a * b).sum(-1, keepdims=True)
    sine = np.sqrt((vector * vector).sum(-1, keepdims=True))
    scale = np.where(sine < 1e-9, 2.0, 2.0 * np.arctan2(sine, np.abs(scalar)) / np.maximum(sine, 1e-9))
    return vector * np.where(scalar < 0, -scale, scale)
