"""MuJoCo's C engine as a batched NumPy function: the one stateful thing under the models. Never call JAX in here."""

import collections
import hashlib
import logging
import math
import os
import threading

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from ._parameters import apply
from ._physics import INPUTS, PHYSICS, Layout

EPSILON = 1e-6  # step of the central differences, in rad, m, rad/s, m/s and actuator units
EPSILON_PARAMETER = 1e-4  # likewise, for factors on physics parameters
TIGHT_TOLERANCE = 1e-12  # of the constraint solver while differencing; the default leaves noise of the size of the differences
TIGHT_ITERATIONS = 200
MAX_MODELS = 256  # copies with other physics parameters that are kept
FORCES = tuple(int(bit) for bit in (mujoco.mjtState.mjSTATE_QFRC_APPLIED, mujoco.mjtState.mjSTATE_XFRC_APPLIED))
POSES = tuple(
    int(bit)
    for bit in (
        mujoco.mjtState.mjSTATE_EQ_ACTIVE,
        mujoco.mjtState.mjSTATE_MOCAP_POS,
        mujoco.mjtState.mjSTATE_MOCAP_QUAT,
        mujoco.mjtState.mjSTATE_USERDATA,
    )
)
CTRL = int(mujoco.mjtState.mjSTATE_CTRL)
DIFFERENTIABLE = (*FORCES, int(mujoco.mjtState.mjSTATE_MOCAP_POS), int(mujoco.mjtState.mjSTATE_MOCAP_QUAT))


class Pool:
    """One kept thread pool, behind a lock: a `Rollout` used from two threads at once crashes the process."""

    def __init__(self):
        self.lock = threading.Lock()
        self.size = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.rollout: Rollout | None = None

    def run(self, models, datas, state, control, spec, warmstart=None):
        """`Rollout.rollout` under the lock."""
        with self.lock:
            if self.rollout is None:
                self.rollout = Rollout(nthread=self.size)
            return self.rollout.rollout(models, datas, state, control, control_spec=spec, initial_warmstart=warmstart)

    def forget(self):
        """A forked child has no threads: start anew."""
        self.__init__()


POOL = Pool()
LOG = logging.getLogger("envs")
if mujoco.get_mju_user_warning() is None:
    # MuJoCo would print, and write a file into the working directory, whenever a candidate diverges. We mark the candidate instead.
    mujoco.set_mju_user_warning(LOG.debug)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)


class Engine:
    """A compiled model, its copies with other parameters, and one `MjData` per thread. Two engines of one model are equal.

    **Arguments:**

    - `model`: any `MjModel`; it is copied.
    - `substeps`: physics steps per control period.
    - `parameters`: names of physics parameters that can be scaled, see `envs.MujocoModel`.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, parameters: tuple[str, ...] = ()):
        self.model = _copy(model)
        self.substeps = substeps
        self.parameters = parameters
        buffer = np.zeros(mujoco.mj_sizeModel(self.model), np.uint8)
        mujoco.mj_saveModel(self.model, None, buffer)
        self.key = hashlib.sha256(buffer.tobytes() + repr((substeps, parameters)).encode()).hexdigest()
        self.layout = Layout(self.model, self.key)
        self.datas = [mujoco.MjData(self.model) for _ in range(POOL.size)]
        self.scratch = mujoco.MjData(self.model)
        self.scratch_lock = threading.Lock()
        self.models: collections.OrderedDict[tuple[bytes, bool], mujoco.MjModel] = collections.OrderedDict()
        self.differentiable = np.concatenate([np.arange(*self.layout.components[bit].indices(1 << 30)) for bit in DIFFERENTIABLE]).astype(int)

    def __eq__(self, other):
        return isinstance(other, Engine) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    @property
    def dt(self) -> float:
        """s per control period."""
        return float(self.model.opt.timestep * self.substeps)

    def observe(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`physics`, `inputs` and `sensors` of a live simulation, which is not changed; float64, bit for bit."""
        sizes = {"qpos": self.model.nq, "qvel": self.model.nv, "act": self.model.na, "ctrl": self.model.nu, "mocap_pos": self.model.nmocap}
        for name, size in sizes.items():
            if len(getattr(data, name)) != size:
                raise ValueError(f"`mj_data` has {len(getattr(data, name))} entries in `{name}`, this model has {size}. Give data of the same model.")
        if data.userdata.size != self.model.nuserdata:
            raise ValueError("`mj_data` has other userdata than this model. Give data of the same model.")
        physics, inputs = np.zeros(self.layout.num_physics), np.zeros(self.layout.num_inputs)
        source = data.model if hasattr(data, "model") else self.model
        mujoco.mj_getState(source, data, physics, PHYSICS)
        mujoco.mj_getState(source, data, inputs, INPUTS)
        sensors = self.sense(physics, inputs)
        late = self.layout.late_sensors
        if late.size and data.sensordata.size == sensors.size:
            sensors[late] = data.sensordata[late]
        return physics, inputs, sensors

    def sense(self, physics: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The sensors that describe one state."""
        with self.scratch_lock:
            mujoco.mj_setState(self.model, self.scratch, physics, PHYSICS)
            mujoco.mj_setState(self.model, self.scratch, inputs, INPUTS)
            mujoco.mj_forward(self.model, self.scratch)
            return self.scratch.sensordata.copy()

    def rollout(self, physics, inputs, actions, parameters) -> tuple[np.ndarray, np.ndarray]:
        """States 1 … horizon and their sensors, for any broadcastable batch axes; NaN from where the physics diverged.

        **Arguments:**

        - `physics`: (*batch, physics). `inputs`: (*batch, inputs). `actions`: (*batch, horizon, nu). `parameters`: (*batch, parameter).

        **Returns:**

        `(physics, sensors)`, float32, (*batch, horizon, ...).
        """
        physics, inputs, actions, parameters = (np.asarray(x, np.float64) for x in (physics, inputs, actions, parameters))
        batch = np.broadcast_shapes(physics.shape[:-1], inputs.shape[:-1], actions.shape[:-2], parameters.shape[:-1])
        horizon = actions.shape[-2]
        start, actions = _rows(physics, batch, 1), _rows(actions, batch, 2)
        # one step more: position and velocity sensors lag one step behind the state
        control = np.repeat(actions, self.substeps, axis=1)
        control = np.concatenate([control, control[:, -1:]], axis=1)
        after, sensed, good = self._run(start, control, _rows(inputs, batch, 1, lazy=True), _rows(parameters, batch, 1, lazy=True))
        step = self.substeps
        states = after[:, step - 1 : -1 : step].astype(np.float32)
        sensors = sensed[:, step::step].astype(np.float32)
        late = self.layout.late_sensors
        if late.size:
            sensors[..., late] = sensed[:, step - 1 : -1 : step][..., late]
        states[..., 0] = start[:, None, 0] + after[:, step - 1 : -1 : step, 0]
        bad = ~good[:, step::step]
        if bad.any():
            states[bad] = np.nan
            sensors[bad] = np.nan
        return states.reshape(*batch, *states.shape[1:]), sensors.reshape(*batch, *sensors.shape[1:])

    def linearize(self, physics, inputs, actions, parameters, given: bool) -> tuple[np.ndarray, ...]:
        """Central differences in tangent space along a trajectory, all from one batched rollout.

        **Arguments:**

        - `physics`: (*batch, horizon + 1, physics). `actions`: (*batch, horizon, nu). `inputs`, `parameters`: (*batch, ...).
        - `given`: whether to difference `inputs` and `parameters` too.

        **Returns:**

        `A` (*batch, horizon, tangent, tangent), `B` (*batch, horizon, tangent, nu), the sensors' lift (*batch, horizon + 1, sensors, tangent) and,
        for `given` quantities g, `C` (*batch, horizon, tangent, g) and the sensors' (*batch, horizon + 1, sensors, g). All float32.
        """
        layout = self.layout
        physics, inputs, actions, parameters = (np.asarray(x, np.float64) for x in (physics, inputs, actions, parameters))
        batch = np.broadcast_shapes(physics.shape[:-2], inputs.shape[:-1], actions.shape[:-2], parameters.shape[:-1])
        horizon, nu = actions.shape[-2:]
        base = _rows(physics, batch, 2).reshape(-1, layout.num_physics)
        held = np.concatenate([_rows(actions, batch, 2), np.zeros((math.prod(batch), 1, nu))], axis=1).reshape(-1, nu)
        moments = len(base)
        inputs = np.repeat(_rows(inputs, batch, 1), horizon + 1, axis=0)
        parameters = np.repeat(_rows(parameters, batch, 1), horizon + 1, axis=0)

        columns, num_state = 2 * layout.nv + layout.na, layout.nv * 2 + layout.na
        num_given = self.differentiable.size + parameters.shape[1] if given else 0
        total = columns + nu + num_given
        # axes: moment, sign, column, entry
        start = np.broadcast_to(base[:, None, None], (moments, 2, total, layout.num_physics)).copy()
        control = np.broadcast_to(held[:, None, None], (moments, 2, total, nu)).copy()
        width = np.full((moments, total), 2 * EPSILON)
        for s, sign in enumerate((EPSILON, -EPSILON)):
            self._perturb(start[:, s, :num_state], sign)
            control[:, s, columns : columns + nu][:, np.arange(nu), np.arange(nu)] += sign
        limited = self.model.actuator_ctrllimited.astype(bool)
        low, high = np.where(limited, self.model.actuator_ctrlrange.T, np.array([[-np.inf], [np.inf]]))
        control = np.clip(control, np.minimum(low, held[:, None, None]), np.maximum(high, held[:, None, None]))
        own = control[:, :, columns : columns + nu][:, :, np.arange(nu), np.arange(nu)]
        width[:, columns : columns + nu] = own[:, 0] - own[:, 1]
        if given:
            rows_in = np.broadcast_to(inputs[:, None, None], (moments, 2, total, inputs.shape[1])).copy()
            rows_par = np.broadcast_to(parameters[:, None, None], (moments, 2, total, parameters.shape[1])).copy()
            for s, sign in enumerate((1.0, -1.0)):
                for k, column in enumerate(self.differentiable):
                    rows_in[:, s, columns + nu + k, column] += sign * EPSILON
                for k in range(parameters.shape[1]):
                    rows_par[:, s, columns + nu + self.differentiable.size + k, k] += sign * EPSILON_PARAMETER
            width[:, columns + nu + self.differentiable.size :] = 2 * EPSILON_PARAMETER
            rows_in = rows_in.reshape(2 * moments * total, inputs.shape[1])
            rows_par = rows_par.reshape(2 * moments * total, parameters.shape[1])
        else:
            rows_in = _spread(inputs, 2 * total)
            rows_par = _spread(parameters, 2 * total)
        rows = control.reshape(2 * moments * total, 1, nu)
        after, sensed, good = self._run(
            start.reshape(-1, layout.num_physics), np.repeat(rows, max(self.substeps, 2), axis=1), rows_in, rows_par, tight=True
        )
        end = self.substeps - 1
        ends, first, last = (x.reshape(moments, 2, total, x.shape[-1]) for x in (after[:, end], sensed[:, 0], sensed[:, end]))
        width = np.where(width > 0, width, np.inf)[..., None]
        slope = self._difference(ends[:, 1], ends[:, 0]) / width
        sensor_slope = (first[:, 0] - first[:, 1]) / width
        late = (last[:, 0] - last[:, 1])[..., layout.late_sensors] / width
        slope = np.concatenate([slope, late], axis=-1).swapaxes(1, 2)  # (moment, tangent, column)
        sensor_slope = sensor_slope.swapaxes(1, 2)
        slope[~good[:, end].reshape(moments, 2 * total).all(1)] = np.nan
        num_late = layout.late_sensors.size
        sensor_slope[:, layout.late_sensors] = 0.0
        count = math.prod(batch)
        steps = slope.reshape(count, horizon + 1, *slope.shape[1:])[:, :-1]
        padded = np.concatenate([sensor_slope[:, :, :columns], np.zeros((moments, layout.num_sensors, num_late))], axis=-1)
        padded[:, layout.late_sensors, columns + np.arange(num_late)] = 1.0
        a = np.concatenate([steps[..., :columns], np.zeros((*steps.shape[:-1], num_late))], axis=-1)
        results = [a, steps[..., columns : columns + nu], padded.reshape(count, horizon + 1, *padded.shape[1:])]
        if given:
            sensors_given = sensor_slope[:, :, columns + nu :]
            results += [steps[..., columns + nu :], sensors_given.reshape(count, horizon + 1, *sensors_given.shape[1:])]
        return tuple(x.astype(np.float32).reshape(*batch, *x.shape[1:]) for x in results)

    def _run(self, start, control, inputs, parameters, *, tight: bool = False):
        """One C call. `inputs` and `parameters` have one row, or as many as `start`. Returns states, sensors and which rows are good."""
        layout, steps = self.layout, control.shape[1]
        finite = np.isfinite(start).all(1) & np.isfinite(control).all((1, 2)) & np.isfinite(inputs).all(1) & np.isfinite(parameters).all(1)
        spec, columns = CTRL, [control]
        for bit in (*FORCES, *POSES):
            part = inputs[:, layout.components[bit]]
            if part.size and (bit in POSES or part.any()):
                spec |= bit
                columns.append(np.broadcast_to(part[:, None], (len(start), steps, part.shape[1])))
        if not finite.all():
            start = np.where(finite[:, None], start, self._rest())
            columns = [np.where(finite[:, None, None], c, 0.0) for c in columns]
        start = start.copy()
        start[:, 0] = 0.0  # a relative time: nothing is lost to rounding late in an episode
        control = np.concatenate(columns, axis=-1) if len(columns) > 1 else columns[0]
        warmstart = inputs[:, layout.components[int(mujoco.mjtState.mjSTATE_WARMSTART)]]
        warmstart = np.nan_to_num(np.broadcast_to(warmstart, (len(start), warmstart.shape[1]))) if warmstart.any() and not tight else None
        after, sensed = POOL.run(self._models(parameters, len(start), tight), self.datas, start, control, spec, warmstart)
        expected = self.model.opt.timestep * np.arange(1, steps + 1)
        # a rollout that diverged is reset and then padded, so its clock is wrong from the row after the one that was reset
        on_time = np.abs(after[..., 0] - expected) < 0.5 * self.model.opt.timestep
        on_time[:, :-1] &= on_time[:, 1:]
        good = np.logical_and.accumulate(on_time & finite[:, None] & np.isfinite(after).all(-1), axis=1)
        return after, sensed, good

    def _models(self, parameters: np.ndarray, count: int, tight: bool):
        """The models to run: one, or one for every row, with equal rows sharing a copy."""
        parameters = np.where(np.isfinite(parameters), parameters, 1.0)
        if len(parameters) == 1:
            return self._variant(parameters[0], tight)
        unique, index = np.unique(parameters, axis=0, return_inverse=True)
        variants = [self._variant(row, tight) for row in unique]
        return [variants[i] for i in index.ravel()] if len(variants) > 1 else variants[0]

    def _variant(self, row: np.ndarray, tight: bool) -> mujoco.MjModel:
        key = (row.tobytes(), tight)
        with self.scratch_lock:
            if key in self.models:
                self.models.move_to_end(key)
                return self.models[key]
            model = self.model
            if tight or (row != 1.0).any():
                model = _copy(self.model)
                if tight:
                    model.opt.tolerance = TIGHT_TOLERANCE
                    model.opt.iterations = max(model.opt.iterations, TIGHT_ITERATIONS)
                apply(model, self.parameters, row)
            self.models[key] = model
            while len(self.models) > MAX_MODELS:
                self.models.popitem(last=False)
            return model

    def _rest(self) -> np.ndarray:
        rest = np.zeros(self.layout.num_physics)
        rest[self.layout.qpos] = self.model.qpos0
        return rest

    def _perturb(self, rows: np.ndarray, step: float) -> None:
        """Move column c of `rows` (moment, column, physics) by `step` along tangent coordinate c, in place."""
        layout = self.layout
        q0, v0 = layout.qpos.start, layout.qvel.start
        rows[:, layout.linear_dofs, q0 + layout.linear_qpos] += step
        for q, v in layout.quaternions:
            for i in range(3):
                turn = np.zeros(3)
                turn[i] = step
                rows[:, v + i, q0 + q : q0 + q + 4] = _turn(rows[:, v + i, q0 + q : q0 + q + 4], turn)
        rest = np.arange(layout.nv + layout.na)
        rows[:, layout.nv + rest, v0 + rest] += step

    def _difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """`b - a` in tangent space, over any leading axes."""
        layout = self.layout
        delta = b - a
        positions = np.zeros((*delta.shape[:-1], layout.nv))
        positions[..., layout.linear_dofs] = delta[..., layout.qpos][..., layout.linear_qpos]
        for q, v in layout.quaternions:
            i = layout.qpos.start + q
            positions[..., v : v + 3] = _rotation(a[..., i : i + 4], b[..., i : i + 4])
        return np.concatenate([positions, delta[..., layout.qvel], delta[..., layout.act]], axis=-1)


def _rows(x: np.ndarray, batch: tuple[int, ...], trailing: int, *, lazy: bool = False) -> np.ndarray:
    """`x` with its batch axes broadcast and folded into one; a single row is kept single if `lazy`."""
    if lazy and math.prod(x.shape[:-trailing]) == 1:
        return x.reshape(1, *x.shape[-trailing:])
    return np.broadcast_to(x, (*batch, *x.shape[-trailing:])).reshape(math.prod(batch), *x.shape[-trailing:])


def _spread(rows: np.ndarray, times: int) -> np.ndarray:
    return rows[:1] if (rows == rows[:1]).all() else np.repeat(rows, times, axis=0)


def _copy(model: mujoco.MjModel) -> mujoco.MjModel:
    return model.__copy__()


def _turn(q: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(rotation)
    w, v = np.cos(angle / 2), rotation * (np.sin(angle / 2) / angle)
    scalar = q[:, :1] * w - q[:, 1:] @ v[:, None]
    return np.concatenate([scalar, q[:, :1] * v + w * q[:, 1:] + np.cross(q[:, 1:], v)], axis=1)


def _rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[..., :1] * b[..., 1:] - b[..., :1] * a[..., 1:] - np.cross(a[..., 1:], b[..., 1:])
    scalar = (a * b).sum(-1, keepdims=True)
    vector, scalar = np.where(scalar < 0, -vector, vector), np.abs(scalar)
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector * np.where(sine < 1e-9, 2.0, 2.0 * np.arctan2(sine, scalar) / np.maximum(sine, 1e-9))
