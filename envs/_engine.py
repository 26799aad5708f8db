"""MuJoCo's C engine as a batched NumPy function: the one stateful thing under the models. Never call JAX in here."""

import collections
import hashlib
import itertools
import logging
import math
import os
import threading
import weakref

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from ._differences import central, row_at, rows_at, rows_of
from ._parameters import apply, possible
from ._physics import INPUTS, PHYSICS, Layout

TIGHT_TOLERANCE = 1e-14  # of the solvers while differencing: at 1e-12 their noise is still seen in the differences
TIGHT_ITERATIONS = 200
MAX_MODELS = 256  # copies with other physics parameters that are kept
CHUNK_BYTES = 16 << 20  # of buffers in one C call: more would be paged in anew at every call
STATE = mujoco.mjtState
CTRL, WARMSTART = int(STATE.mjSTATE_CTRL), int(STATE.mjSTATE_WARMSTART)
# Held inputs besides ctrl. MuJoCo resets what is not given, userdata apart.
HELD = tuple(
    int(bit)
    for bit in (
        STATE.mjSTATE_QFRC_APPLIED,
        STATE.mjSTATE_XFRC_APPLIED,
        STATE.mjSTATE_EQ_ACTIVE,
        STATE.mjSTATE_MOCAP_POS,
        STATE.mjSTATE_MOCAP_QUAT,
        STATE.mjSTATE_USERDATA,
    )
)
USERDATA = int(STATE.mjSTATE_USERDATA)
DIFFERENTIABLE = tuple(
    int(bit) for bit in (STATE.mjSTATE_QFRC_APPLIED, STATE.mjSTATE_XFRC_APPLIED, STATE.mjSTATE_MOCAP_POS, STATE.mjSTATE_MOCAP_QUAT)
)


class Pool:
    """One kept thread pool, behind a lock: a `Rollout` used from two threads at once crashes the process."""

    def __init__(self):
        self.lock = threading.Lock()
        self.size = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.rollout: Rollout | None = None
        self.lost: list[Rollout | None] = []
        self.steps = 0  # physics steps taken so far, in all rollouts

    def run(self, models, datas, start, control, spec, warmstart, after, sensed):
        """`Rollout.rollout` under the lock, into `after` and `sensed`. All arrays are float64, contiguous and of one batch size."""
        with self.lock:
            if self.rollout is None:
                self.rollout = Rollout(nthread=self.size)
            self.steps += control.shape[0] * control.shape[1]
            self.rollout.rollout(
                models,
                datas(),
                start,
                control,
                control_spec=spec,
                skip_checks=True,
                nstep=control.shape[1],
                initial_warmstart=warmstart,
                state=after,
                sensordata=sensed,
            )

    def forget(self):
        """Start anew in a forked child, which has no threads. The old pool is kept: its end would wait for threads that are not there."""
        lost = [*self.lost, self.rollout]
        self.__init__()
        self.lost = lost


POOL = Pool()
LOG = logging.getLogger("envs")
if mujoco.get_mju_user_warning() is None:
    # MuJoCo would print, and write a file into the working directory, whenever a candidate diverges. We mark the candidate instead.
    mujoco.set_mju_user_warning(LOG.debug)


class Engine:
    """A compiled model, its copies with other parameters, and one `MjData` per thread. Two engines of one model are equal.

    **Arguments:**

    - `model`: any `MjModel`; it is copied.
    - `substeps`: physics steps per control period.
    - `parameters`: names of physics parameters that can be scaled, see `envs.MujocoModel`.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, parameters: tuple[str, ...] = ()):
        self.model = _copy(model)
        # Which bodies sleep is no part of the state, so what one candidate puts to sleep would stay asleep for the next.
        self.model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)
        self.substeps = substeps
        self.parameters = parameters
        buffer = np.zeros(mujoco.mj_sizeModel(self.model), np.uint8)
        mujoco.mj_saveModel(self.model, None, buffer)
        self.key = hashlib.sha256(buffer.tobytes() + repr((substeps, parameters)).encode()).hexdigest()
        self.layout = Layout(self.model, self.key)
        parts = [np.arange(self.layout.components[bit].start, self.layout.components[bit].stop) for bit in DIFFERENTIABLE]
        self.differentiable = np.concatenate(parts).astype(int)
        self.limits = np.where(self.model.actuator_ctrllimited.astype(bool), self.model.actuator_ctrlrange.T, [[-np.inf], [np.inf]])
        data = mujoco.MjData(self.model)
        self.rest_physics, self.rest_inputs = np.zeros(self.layout.num_physics), np.zeros(self.layout.num_inputs)
        mujoco.mj_getState(self.model, data, self.rest_physics, PHYSICS)
        mujoco.mj_getState(self.model, data, self.rest_inputs, INPUTS)
        self.forget()
        ENGINES[id(self)] = self

    def __eq__(self, other):
        return isinstance(other, Engine) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    @property
    def dt(self) -> float:
        """s per control period."""
        return float(self.model.opt.timestep * self.substeps)

    @property
    def pool(self) -> Pool:
        """The one pool of threads that all engines share."""
        return POOL

    def forget(self) -> None:
        """Drop what a thread that did not survive a fork may have been using."""
        self.lock = threading.Lock()
        self.scratch: mujoco.MjData | None = None
        self.threads: list[mujoco.MjData] = []
        self.variants: collections.OrderedDict[tuple[bytes, bool], mujoco.MjModel] = collections.OrderedDict()

    def observe(self, data: mujoco.MjData, *, measured: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`physics`, `inputs` and `sensors` of a live simulation, which is not changed; float64, bit for bit.

        **Arguments:**

        - `measured`: whether acceleration-stage sensors were measured in the step that led here; otherwise they follow from `ctrl`.
        """
        source = data.model
        for size in ("nq", "nv", "na", "nu", "nbody", "nmocap", "neq", "nuserdata", "npluginstate", "nhistory"):
            if getattr(source, size) != getattr(self.model, size):
                raise ValueError(
                    f"`data` is of a model with {size} = {getattr(source, size)}, this one has {getattr(self.model, size)}. "
                    "Give the data of a simulation of the same model."
                )
        physics, inputs = np.zeros(self.layout.num_physics), np.zeros(self.layout.num_inputs)
        mujoco.mj_getState(source, data, physics, PHYSICS)
        mujoco.mj_getState(source, data, inputs, INPUTS)
        sensors = self.sense(physics, inputs)
        late = self.layout.late_sensors
        late = late[late < data.sensordata.size]
        declared = self.model.sensor_type[: source.nsensor], self.model.sensor_adr[: source.nsensor]
        if measured and late.size and np.array_equal(declared, (source.sensor_type, source.sensor_adr)):
            sensors[late] = data.sensordata[late]
        return physics, inputs, sensors

    def sense(self, physics: np.ndarray, inputs: np.ndarray, model: mujoco.MjModel | None = None) -> np.ndarray:
        """The sensors that describe one state; NaN for one that is not finite."""
        model = self.model if model is None else model
        if not (np.isfinite(physics).all() and np.isfinite(inputs).all()):
            return np.full(self.layout.num_sensors, np.nan)
        with self.lock:
            data = self.scratch = self.scratch or mujoco.MjData(self.model)
            mujoco.mj_setState(model, data, physics, PHYSICS)
            mujoco.mj_setState(model, data, inputs, INPUTS)
            mujoco.mj_forward(model, data)
            return data.sensordata.copy()

    def rollout(self, physics, sensors, inputs, actions, parameters) -> tuple[np.ndarray, np.ndarray]:
        """States 0 … horizon and their sensors, for any broadcastable batch axes; NaN from where the physics diverged.

        **Arguments:**

        - `physics`: (*batch, physics). `sensors`: (*batch, sensors), of the first state. `inputs`: (*batch, inputs).
        - `actions`: (*batch, horizon, nu). `parameters`: (*batch, parameter).

        **Returns:**

        `(physics, sensors)`, float32, (*batch, horizon + 1, ...).
        """
        first, sensed = np.asarray(physics), np.asarray(sensors)
        physics, inputs, actions, parameters = (np.asarray(x, np.float64) for x in (physics, inputs, actions, parameters))
        parameters = possible(self.parameters, parameters)
        batch = np.broadcast_shapes(physics.shape[:-1], inputs.shape[:-1], actions.shape[:-2], parameters.shape[:-1])
        count, horizon = math.prod(batch), actions.shape[-2]
        start, actions = rows_of(physics, batch, 1), rows_of(actions, batch, 2)
        inputs, parameters = rows_of(inputs, batch, 1, lazy=True), rows_of(parameters, batch, 1, lazy=True)
        states = np.empty((count, horizon + 1, self.layout.num_physics), np.float32)
        sensors = np.empty((count, horizon + 1, self.layout.num_sensors), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            states[:, 0], sensors[:, 0] = rows_of(first, batch, 1), rows_of(sensed, batch, 1)
            for part in self.chunks(count, horizon * self.substeps + 1) if horizon else ():
                given = rows_at(inputs, part), rows_at(parameters, part)
                self._rollout(start[part], actions[part], *given, states[part, 1:], sensors[part, 1:])
        return states.reshape(*batch, *states.shape[1:]), sensors.reshape(*batch, *sensors.shape[1:])

    def _rollout(self, start, actions, inputs, parameters, states, sensors):
        """`rollout` of one chunk, into `states` and `sensors`."""
        period, layout = self.substeps, self.layout
        # one step more: position and velocity sensors lag one step behind the state
        after, sensed, good = self.simulate(start, actions, inputs, parameters, extra=1)
        ends, nexts = slice(period - 1, -1, period), slice(period, None, period)
        states[:] = after[:, ends]
        sensors[:] = sensed[:, nexts]
        sensors[..., layout.late_sensors] = sensed[:, ends][..., layout.late_sensors]
        begun = (start[:, 0] - self.model.opt.timestep)[:, None]
        states[..., 0] = after[:, ends, 0] + begun
        if layout.clocks.size:
            sensors[..., layout.clocks] = sensed[:, nexts][..., layout.clocks] + begun[..., None]
        if good is None:
            return
        sound = good[:, ends]
        for row, t in np.argwhere(sound & ~good[:, nexts]).tolist():  # the next action broke the step in which these sensors would be read
            physics, held = after[row, (t + 1) * period - 1].copy(), row_at(inputs, row).copy()
            physics[0] += begun[row, 0]
            held[layout.components[CTRL]] = actions[row, t]
            fresh = self.sense(physics, held, self._variant(row_at(parameters, row), False))
            fresh[layout.late_sensors] = sensors[row, t, layout.late_sensors]
            sensors[row, t] = fresh
        states[~sound] = np.nan
        sensors[~sound] = np.nan

    def linearize(self, physics, inputs, actions, parameters, given: tuple[bool, bool]) -> tuple[np.ndarray, ...]:
        """Central differences along a trajectory, see `_differences.central`; any broadcastable batch axes, float32.

        **Arguments:**

        - `physics`: (*batch, horizon + 1, physics). `actions`: (*batch, horizon, nu). `inputs`, `parameters`: (*batch, ...).
        - `given`: whether to difference `inputs`, and `parameters`, too.
        """
        physics, inputs, actions, parameters = (np.asarray(x, np.float64) for x in (physics, inputs, actions, parameters))
        parameters = possible(self.parameters, parameters)
        batch = np.broadcast_shapes(physics.shape[:-2], inputs.shape[:-1], actions.shape[:-2], parameters.shape[:-1])
        physics, actions = rows_of(physics, batch, 2), rows_of(actions, batch, 2)
        inputs, parameters = rows_of(inputs, batch, 1, lazy=True), rows_of(parameters, batch, 1, lazy=True)
        with np.errstate(over="ignore", invalid="ignore"):
            results = central(self, physics, inputs, actions, parameters, given)
        return tuple(x.reshape(*batch, *x.shape[1:]) for x in results)

    def chunks(self, count: int, steps: int) -> list[slice]:
        """Pieces of a batch whose buffers fit the memory that is reused from call to call."""
        width = 8 * steps * (self.layout.num_physics + self.layout.num_sensors + self.model.nu)
        pieces = max(1, min(math.ceil(count * width / CHUNK_BYTES), count // (16 * POOL.size)))
        edges = [round(count * i / pieces) for i in range(pieces + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]

    def simulate(self, start, actions, inputs, parameters, *, extra: int, tight: bool = False):
        """One C call: every row from its start through its actions, and `extra` more physics steps under the last action.

        **Arguments:**

        - `inputs`, `parameters`: one row, or as many as `start`.
        - `tight`: solve contacts to rounding, from a cold start.

        **Returns:**

        States and sensors after every physics step, and which steps are good, or `None` if all are.
        """
        layout, (count, horizon, nu), timestep = self.layout, actions.shape, self.model.opt.timestep
        steps = horizon * self.substeps + extra
        finite = np.isfinite(start).all(1) & np.isfinite(actions).all((1, 2)) & np.isfinite(inputs).all(1) & np.isfinite(parameters).all(1)
        spec, held = CTRL, []
        for bit in HELD:
            part = inputs[:, layout.components[bit]]
            if part.size and (bit == USERDATA or (part != self.rest_inputs[layout.components[bit]]).any()):
                spec |= bit
                held.append(part)
        control = np.empty((count, steps, nu + sum(part.shape[1] for part in held)))
        periods = control[:, : horizon * self.substeps].reshape(count, horizon, self.substeps, control.shape[2])
        periods[..., :nu] = actions[:, :, None]
        control[:, horizon * self.substeps :, :nu] = actions[:, -1:]
        column = nu
        for part in held:
            control[:, :, column : column + part.shape[1]] = part[:, None]
            column += part.shape[1]
        start = start.copy()
        if not finite.all():
            start[~finite] = self.rest_physics
            control[~finite] = 0.0
        # A relative time: nothing is lost to rounding late in an episode. Not from 0, so that the reset after a divergence shows.
        start[:, 0] = timestep
        warmstart = None
        if not tight and (part := inputs[:, layout.components[WARMSTART]]).any():
            warmstart = np.ascontiguousarray(np.nan_to_num(np.broadcast_to(part, (count, part.shape[1]))))
        after, sensed = np.empty((count, steps, layout.num_physics)), np.empty((count, steps, layout.num_sensors))
        POOL.run(self._models(parameters, count, tight), self._datas, start, control, spec, warmstart, after, sensed)
        expected = timestep * np.arange(2, steps + 2)
        late = np.abs(after[:, -1, 0] - expected[-1]) > 0.5 * timestep  # MuJoCo stops a rollout at any warning, and repeats its last state
        if finite.all() and not late.any() and np.isfinite(after[:, -1]).all():
            return after, sensed, None
        sound = (np.abs(after[..., 0] - expected) < 0.5 * timestep) & finite[:, None]
        sound &= (np.abs(after[..., 1:]) <= mujoco.mjMAXVAL).all(-1)
        return after, sensed, np.logical_and.accumulate(sound, axis=1)

    def _datas(self) -> list[mujoco.MjData]:
        if not self.threads:
            self.threads = [mujoco.MjData(self.model) for _ in range(POOL.size)]
        return self.threads

    def _models(self, parameters: np.ndarray, count: int, tight: bool) -> list[mujoco.MjModel]:
        """The model of each row; equal rows share a copy."""
        if parameters.shape[1] == 0 or len(parameters) == 1 or (parameters == parameters[0]).all():
            return [self._variant(parameters[0], tight)] * count
        found: dict[bytes, mujoco.MjModel] = {}
        for row in parameters:
            if (key := row.tobytes()) not in found:
                found[key] = self._variant(row, tight)
        return [found[row.tobytes()] for row in parameters]

    def _variant(self, row: np.ndarray, tight: bool) -> mujoco.MjModel:
        row = np.where(np.isfinite(row), row, 1.0)
        key = (row.tobytes(), tight)
        with self.lock:
            if key in self.variants:
                self.variants.move_to_end(key)
                return self.variants[key]
            model = self.model
            if tight or (row != 1.0).any():
                model = _copy(self.model)
                if tight:
                    _tighten(model)
                apply(model, self.parameters, row)
            self.variants[key] = model
            while len(self.variants) > MAX_MODELS:
                self.variants.popitem(last=False)
            return model


def _copy(model: mujoco.MjModel) -> mujoco.MjModel:
    return model.__copy__()


def _tighten(model: mujoco.MjModel) -> None:
    option = model.opt
    option.tolerance = min(option.tolerance, TIGHT_TOLERANCE)
    option.iterations = max(option.iterations, TIGHT_ITERATIONS)
    option.ccd_tolerance = min(option.ccd_tolerance, TIGHT_TOLERANCE)
    option.ccd_iterations = max(option.ccd_iterations, TIGHT_ITERATIONS)
    if option.noslip_iterations:
        option.noslip_tolerance = min(option.noslip_tolerance, TIGHT_TOLERANCE)
        option.noslip_iterations = max(option.noslip_iterations, TIGHT_ITERATIONS)


ENGINES: "weakref.WeakValueDictionary[int, Engine]" = weakref.WeakValueDictionary()


def _after_fork() -> None:
    POOL.forget()
    for engine in list(ENGINES.values()):
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
