"""MuJoCo's C engine as a world model: batched, threaded and differentiable."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float, Key

import ebm

from ._engine import Engine
from ._feedback import follow
from ._host import host_call
from ._parameters import check
from ._physics import INPUTS, PHYSICS, PhysicsState, difference, lift_physics, move_physics

FIELDS = ("time", "qpos", "qvel", "act", "ctrl", "mocap_pos", "mocap_quat", "qfrc_applied", "xfrc_applied", "eq_active", "userdata")
# The time goes into the physics, so XLA may do less: that saves a third of the wait for the first plan. It refuses flags that it has
# dropped, so the one that may go away is named only to versions that are known to have it.
HURRY = {"xla_backend_optimization_level": 1} | ({"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {})


class MujocoModel(ebm.AbstractWorldModel):
    """A MuJoCo model run by the C engine, under `jit`, `vmap`, `grad` and `jacfwd`.

    `vmap` over candidates, goals and seeds folds into one threaded C call. Derivatives are central differences in tangent space, taken
    from one batched rollout; they cover every integrator, frame skip and sensors. Second derivatives are not available.

    **Arguments:**

    - `model`: a compiled `mujoco.MjModel`, which offers the sensors that it declares; `envs.load` adds others by name.
    - `period`: control period in s, a multiple of the timestep; default about 0.02 s.
    - `action_space`: default the actuators' `ctrlrange`.
    - `parameters`: dimensionless factors on physics parameters, such as `{"mass:cart": 1.3, "friction": 0.8}`; leaves, so they can
      change without a retrace, be batched and be differentiated. `"mass"` scales all bodies with their inertia, `"mass:cart"` one;
      likewise `friction[:geom]`, `gain[:actuator]` and `damping[:joint]`. See also `randomise`.

    **Raises:**

    `ValueError` if the period is no multiple of the timestep, an actuator has no limits, or a parameter is unknown.
    `NotImplementedError` for models with actuator or sensor history (delays).
    """

    engine: Engine = eqx.field(static=True)
    action_space: ebm.Box
    dt: float = eqx.field(static=True)
    parameters: Float[Array, " parameter"]
    spread: Float[Array, "2 parameter"]
    start: PhysicsState

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        period: float | None = None,
        action_space: ebm.Box | None = None,
        parameters: Mapping[str, ArrayLike] | None = None,
    ):
        parameters = dict(parameters or {})
        refuse_delays(model)
        check(model, tuple(parameters))
        self.action_space = limits(model, action_space)
        self.engine = Engine(model, substeps(model.opt.timestep, period), tuple(parameters))
        self.dt = self.engine.dt
        self.parameters = ebm.to_float(list(parameters.values()))
        self.spread = ebm.to_float(np.ones((2, len(parameters))))
        self.start = jax.tree.map(ebm.to_float, self.state())

    @property
    def compiler_options(self):
        return HURRY

    @property
    def mj_model(self) -> mujoco.MjModel:
        """The compiled model; treat it as read-only."""
        return self.engine.model

    def state(self, data: mujoco.MjData | None = None, **fields: ArrayLike | Sequence) -> PhysicsState:
        """The state of a live simulation, or one put together by hand for a robot that has no `MjData`.

        In a live simulation, acceleration-stage sensors (forces, accelerometers) are as they were measured; otherwise they follow
        from `ctrl`.

        **Arguments:**

        - `data`: a `MjData` of this model, or of the model it was loaded from. It is not changed.
        - `fields`: `qpos`, `qvel`, `act`, `ctrl`, `time`, `mocap_pos`, `mocap_quat` … to set, over `data` or over the model's initial
          state.

        **Returns:**

        A state of NumPy float64 leaves, exact to the bit, with the sensors that describe it.

        **Raises:**

        `ValueError` for an unknown field, a wrong size, or data of another model.
        """
        return observed(self.engine, data, fields)

    def write(self, state: PhysicsState, data: mujoco.MjData) -> None:
        """Put `state` into a live simulation of this model, bit for bit if its leaves are float64; then call `mujoco.mj_forward`."""
        mujoco.mj_setState(data.model, data, np.asarray(state.physics, np.float64), PHYSICS)
        mujoco.mj_setState(data.model, data, np.asarray(state.inputs, np.float64), INPUTS)

    def with_parameters(self, factors: Mapping[str, ArrayLike]) -> "MujocoModel":
        """The same model with other factors on parameters that were named at construction; nothing retraces."""
        names = self.engine.parameters
        unknown = [name for name in factors if name not in names]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not among the parameters {names}. Name it at construction: `parameters={{{unknown[0]!r}: 1.0}}`."
            )
        values = jnp.stack([jnp.asarray(factors.get(name, self.parameters[i]), jnp.float32) for i, name in enumerate(names)])
        return eqx.tree_at(lambda model: model.parameters, self, values)

    def randomise(self, ranges: Mapping[str, tuple[float, float]]) -> "MujocoModel":
        """The same model, uncertain about parameters named at construction: each rollout draws a factor uniformly from `(low, high)`,
        on top of `parameters`. Use it with `Problem(..., num_latents=..., risk=...)`.

        **Raises:**

        `ValueError` for an unknown name, or a range that is no pair of factors.
        """
        names = self.engine.parameters
        unknown = [name for name in ranges if name not in names]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not among the parameters {names}. Name it at construction: `parameters={{{unknown[0]!r}: 1.0}}`."
            )
        for name, pair in ranges.items():
            if np.shape(pair) != (2,):
                raise ValueError(f"The range of {name!r} must be a pair (low, high), got {pair!r}.")
            if ebm.concrete(pair) and not 0.0 <= pair[0] <= pair[1] < np.inf:
                raise ValueError(f"The range of {name!r} must be (low, high), finite, with 0 <= low <= high, got {pair}.")
        pairs = [ranges.get(name, tuple(np.asarray(self.spread)[:, i])) for i, name in enumerate(names)]
        return eqx.tree_at(lambda model: model.spread, self, ebm.to_float(np.reshape(pairs, (-1, 2)).T))

    def example_state(self):
        return self.start

    def sample_latents(self, horizon, *, key: Key[Array, ""]):
        return ebm.Latents(episode=jax.random.uniform(key, self.parameters.shape)) if self.engine.parameters else None

    def sample_worlds(self, horizon, count, *, key):
        if not self.engine.parameters:
            return None
        # a Latin hypercube (McKay, Beckman and Conover 1979): every parameter has one draw in each of `count` equal parts of its range
        order, within = jax.random.uniform(key, (2 * count * self.parameters.size,)).reshape(2, count, -1)  # flat: it compiles faster
        return ebm.Latents(episode=(jnp.argsort(order, axis=0) + within) / count)

    def rollout(self, state, actions, latents=None):
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), state)
        parameters = self._parameters(latents)
        actions = jnp.asarray(actions, jnp.float32)
        physics, sensors = _rollout(self.engine, state.physics, state.sensors, state.inputs, actions, parameters)
        inputs = jnp.broadcast_to(state.inputs, (actions.shape[0] + 1, *state.inputs.shape))
        return PhysicsState(physics, inputs, sensors, self.engine.layout)

    def difference(self, a, b):
        a, b = (jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), x) for x in (a, b))
        return difference(self.engine.layout, a, b)

    def linearize(self, trajectory, latents=None):
        states, layout = trajectory.states, self.engine.layout
        a, b, sensors = _linearize(
            self.engine, states.physics, states.inputs[0], trajectory.actions, self._parameters(latents), given=(False, False)
        )
        physics = jax.vmap(functools.partial(lift_physics, layout))(states.physics)
        inputs = jnp.zeros((*states.inputs.shape, layout.tangent), jnp.float32)
        lift = eqx.tree_at(lambda state: (state.physics, state.inputs, state.sensors), states, (physics, inputs, sensors))
        return ebm.Linearization(a, b, lift)

    def follow(self, trajectory, law, state=None):
        states, first = trajectory.states, ebm.pick(trajectory.states, 0) if state is None else state
        arguments = law.change, law.gain, law.memory, law.low, law.high
        shape = jax.ShapeDtypeStruct(trajectory.actions.shape, jnp.float32)
        given = first.physics, states.physics, first.inputs, trajectory.actions, *arguments, self._parameters(None)
        return host_call(follow, shape, *given, engine=self.engine)

    def move(self, state, lift_t, tangent):
        physics = move_physics(self.engine.layout, jnp.asarray(state.physics, jnp.float32), tangent)
        return PhysicsState(physics, state.inputs, state.sensors + lift_t.sensors @ tangent, self.engine.layout)

    def _parameters(self, latents: ebm.Latents | None) -> Float[Array, " parameter"]:
        if latents is None or latents.episode is None:
            return self.parameters
        return self.parameters * (self.spread[0] + latents.episode * (self.spread[1] - self.spread[0]))


def substeps(timestep: float, period: float | None) -> int:
    """Physics steps in a control period, default about 0.02 s.

    **Raises:**

    `ValueError` if `period` is not a positive multiple of `timestep`.
    """
    if period is None:
        return max(1, round(0.02 / timestep))
    count = round(period / timestep)
    if count < 1 or abs(count * timestep - period) > 1e-6 * period + 1e-9:
        raise ValueError(
            f"`period` must be a positive multiple of the timestep {timestep:g} s, got {period:g} s. Try {max(count, 1) * timestep:g}."
        )
    return count


def limits(model: mujoco.MjModel, action_space: ebm.Box | None) -> ebm.Box:
    """The given action box, or the actuators' `ctrlrange`; a `ValueError` if it does not fit, or is not limited."""
    if action_space is not None:
        if action_space.low.shape != (model.nu,):
            raise ValueError(f"`action_space` must have one entry for each of {model.nu} actuators, got shape {action_space.low.shape}.")
        return action_space
    if not model.nu:
        return ebm.Box(np.zeros(0), np.zeros(0))
    owners = np.repeat(np.arange(model.nactuator), model.actuator_ctrlnum)
    free = dict.fromkeys(
        model.actuator(i).name or f"number {i}" for i, limited in zip(owners, model.actuator_ctrllimited, strict=True) if not limited
    )
    if free:
        raise ValueError(
            f"Actuator {', '.join(free)} has no `ctrlrange`, and planning needs limits. Give `action_space=ebm.Box(low, high)`."
        )
    return ebm.Box(*model.actuator_ctrlrange.T)


def refuse_delays(model: mujoco.MjModel) -> None:
    """Raise a `NotImplementedError` naming what keeps a history: it is not part of the state."""
    delayed = [model.actuator(i).name or f"actuator {i}" for i in range(model.nactuator) if model.actuator_history[i].any()]
    delayed += [
        model.sensor(i).name or f"sensor {i}"
        for i in range(model.nsensor)
        if model.sensor_history[i].any() or model.sensor_interval[i, 0] > 0
    ]
    if delayed:
        raise NotImplementedError(
            f"Delays are not supported in a plan model: {', '.join(delayed)} keep a history. Remove `delay`, `nsample` and `interval`."
        )


def observed(engine: Engine, data: mujoco.MjData | None, fields: Mapping[str, ArrayLike | Sequence]) -> PhysicsState:
    """What `MujocoModel.state` returns."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise ValueError(f"A state has no field {unknown[0]!r}. It has {', '.join(FIELDS)}.")
    if data is not None and not fields:
        return PhysicsState(*engine.observe(data), engine.layout)
    own = mujoco.MjData(engine.model)
    if data is not None:
        physics, inputs, _ = engine.observe(data)
        mujoco.mj_setState(engine.model, own, physics, PHYSICS)
        mujoco.mj_setState(engine.model, own, inputs, INPUTS)
    for name, value in fields.items():
        value, old = np.asarray(value, np.float64), np.asarray(getattr(own, name))
        if value.size != old.size:
            raise ValueError(f"`{name}` must have {old.size} entries (shape {old.shape}), got {value.size}.")
        setattr(own, name, float(value.item()) if name == "time" else value.reshape(old.shape))
    return PhysicsState(*engine.observe(own, measured=False), engine.layout)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _rollout(engine: Engine, physics: Array, sensors: Array, inputs: Array, actions: Array, parameters: Array) -> tuple[Array, Array]:
    horizon = actions.shape[0]
    shapes = (
        jax.ShapeDtypeStruct((horizon + 1, engine.layout.num_physics), jnp.float32),
        jax.ShapeDtypeStruct((horizon + 1, engine.layout.num_sensors), jnp.float32),
    )
    return host_call(engine.rollout, shapes, physics, sensors, inputs, actions, parameters)


@functools.partial(_rollout.defjvp, symbolic_zeros=True)
def _rollout_jvp(engine: Engine, primals: tuple[Array, ...], tangents: tuple[Any, ...]):
    _, _, inputs, actions, parameters = primals
    layout = engine.layout
    states, sensed = _rollout(engine, *primals)
    d_physics, d_sensors, d_inputs, d_actions, d_parameters = tangents
    given = not isinstance(d_inputs, SymbolicZero), not isinstance(d_parameters, SymbolicZero)
    d_physics, d_sensors, d_inputs, d_actions, d_parameters = (
        jnp.zeros(d.shape, jnp.float32) if isinstance(d, SymbolicZero) else d for d in tangents
    )
    results = _linearize(engine, states, inputs, actions, parameters, given=given)
    a, b, lift_sensors = results[:3]
    # how the argument moves, in tangent coordinates: the lift has orthogonal columns, so its scaled transpose inverts it
    lift = jax.vmap(functools.partial(lift_physics, layout))(states)
    columns = lift[0] / jnp.maximum(jnp.sum(lift[0] ** 2, axis=0), 1e-12)
    tangent = (d_physics @ columns).at[layout.tangent - layout.late_sensors.size :].set(d_sensors[layout.late_sensors])
    moved = jnp.concatenate([d_inputs[engine.differentiable][: None if given[0] else 0], d_parameters[: None if given[1] else 0]])

    def advance(tangent, t):
        after = a[t] @ tangent + b[t] @ d_actions[t]
        if any(given):
            after = after + results[3][t] @ moved
        return after, after

    _, tangents_after = jax.lax.scan(advance, tangent, jnp.arange(actions.shape[0]))
    out_physics = jnp.einsum("tpx,tx->tp", lift[1:], tangents_after).at[:, 0].add(d_physics[0])
    out_sensors = jnp.einsum("tsx,tx->ts", lift_sensors[1:], tangents_after)
    if any(given):
        out_sensors = out_sensors + results[4][1:] @ moved
    return (states, sensed), (jnp.concatenate([d_physics[None], out_physics]), jnp.concatenate([d_sensors[None], out_sensors]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 5))
def _linearize(
    engine: Engine, physics: Array, inputs: Array, actions: Array, parameters: Array, given: tuple[bool, bool]
) -> tuple[Array, ...]:
    layout, (horizon, nu) = engine.layout, actions.shape
    size, num_given = layout.tangent, given[0] * engine.differentiable.size + given[1] * parameters.shape[0]
    shapes = [(horizon, size, size), (horizon, size, nu), (horizon + 1, layout.num_sensors, size)]
    if any(given):
        shapes += [(horizon, size, num_given), (horizon + 1, layout.num_sensors, num_given)]
    shapes = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    return host_call(engine.linearize, shapes, physics, inputs, actions, parameters, given=given)


@_linearize.defjvp
def _linearize_jvp(engine: Engine, given: tuple[bool, bool], primals: tuple, tangents: tuple):
    raise NotImplementedError(
        "Second derivatives through MuJoCo's C engine are not available. Use Gauss-Newton, or a model written in JAX."
    )
