"""MuJoCo's physics written in JAX (MJX) as a world model: for accelerators, where thousands of candidates run side by side."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, ArrayLike, Float

import ebm

from ._engine import Engine
from ._mujoco import MujocoModel, limits, observed, refuse_delays, substeps
from ._physics import INPUTS, PHYSICS, PhysicsState, difference, lift_physics, move_physics

try:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that Warp is not installed
        from mujoco import mjx
except ImportError as error:
    raise ImportError('MJX is not installed. `pip install "energy-planning[mjx]"` brings it; the C engine needs nothing more.') from error

INTEGRATORS = {
    mujoco.mjtIntegrator.mjINT_EULER: mjx.euler,
    mujoco.mjtIntegrator.mjINT_RK4: mjx.rungekutta4,
    mujoco.mjtIntegrator.mjINT_IMPLICITFAST: mjx.implicit,
}


class MjxModel(ebm.AbstractWorldModel):
    """A MuJoCo model run by MJX, with the same states and sensors as `MujocoModel`, in float32.

    Use it on an accelerator. On a CPU it compiles in some 15–40 s and runs many times slower than the C engine. Forward derivatives (`jvp`,
    `jacfwd`, `linearize`) work. Reverse ones (`grad`) work for models without constraints, or with `iterations="1"` in the `<option>`;
    MJX's constraint solver is a loop of unknown length otherwise, and asking raises `NotImplementedError`.

    **Arguments:**

    - `model`: a compiled `mujoco.MjModel`, which offers the sensors that it declares.
    - `period`: control period in s, a multiple of the timestep; default about 0.02 s.
    - `action_space`: default the actuators' `ctrlrange`.

    **Raises:**

    `NotImplementedError` for models that MJX cannot run, with what it lacks; `ValueError` as `MujocoModel`.
    """

    worlds: "_Compiled" = eqx.field(static=True)
    action_space: ebm.Box
    dt: float = eqx.field(static=True)
    start: PhysicsState

    def __init__(self, model: mujoco.MjModel, *, period: float | None = None, action_space: ebm.Box | None = None):
        refuse_delays(model)
        self.action_space = limits(model, action_space)
        self.worlds = _Compiled(Engine(model, substeps(model.opt.timestep, period)))
        self.dt = self.worlds.engine.dt
        self.start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self.state())

    @staticmethod
    def of(model: MujocoModel) -> "MjxModel":
        """The same world on MJX. Factors on physics parameters are not carried over: they raise a `ValueError` unless they are all 1."""
        if model.engine.parameters and not (np.asarray(model.parameters) == 1.0).all():
            raise ValueError(
                f"MJX has no factors on physics parameters, got {model.engine.parameters}. Change the MjModel, or use the C engine."
            )
        return MjxModel(model.mj_model, period=model.dt, action_space=model.action_space)

    @property
    def mj_model(self) -> mujoco.MjModel:
        """The compiled model; treat it as read-only."""
        return self.worlds.engine.model

    def state(self, data: mujoco.MjData | None = None, **fields: ArrayLike | Sequence) -> PhysicsState:
        """The state of a live simulation, or one put together by hand: see `MujocoModel.state`."""
        return observed(self.worlds.engine, data, fields)

    def example_state(self):
        return self.start

    def rollout(self, state, actions, latents=None):
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), state)
        actions = jnp.asarray(actions, jnp.float32)
        worlds, layout = self.worlds, self.worlds.engine.layout

        def advance(physics_and_warmstart, action):
            physics, warmstart = physics_and_warmstart
            physics, warmstart, first, last = worlds.period(physics, warmstart, state.inputs, action)
            return (physics, warmstart), (physics, first, last)

        begun = state.physics.at[0].set(0.0), worlds.warmstart(state.inputs)  # a relative time: nothing is lost late in an episode
        (end, _), (after, first, last) = jax.lax.scan(advance, begun, actions)
        # what the first step of a period senses, of position and velocity, describes the state before it
        sensors = jnp.concatenate([first[1:], worlds.sense(end, state.inputs)[None]])
        late = layout.late_sensors
        sensors = sensors.at[:, late].set(last[:, late]).at[:, layout.clocks].add(state.time)
        after = after.at[:, 0].add(state.time)
        good = jnp.all(jnp.abs(after) <= mujoco.mjMAXVAL, axis=1) & jnp.all(jnp.isfinite(actions), axis=1)
        good = good & jnp.all(jnp.abs(state.physics) <= mujoco.mjMAXVAL) & jnp.all(jnp.isfinite(state.inputs))
        good = jnp.cumprod(good.astype(jnp.int32)).astype(bool)[:, None]
        after, sensors = worlds.guard(jnp.where(good, after, jnp.nan)), worlds.guard(jnp.where(good, sensors, jnp.nan))
        inputs = jnp.broadcast_to(state.inputs, (actions.shape[0] + 1, *state.inputs.shape))
        physics = jnp.concatenate([state.physics[None], after])
        return PhysicsState(physics, inputs, jnp.concatenate([state.sensors[None], sensors]), layout)

    def difference(self, a, b):
        a, b = (jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), x) for x in (a, b))
        return difference(self.worlds.engine.layout, a, b)

    def linearize(self, trajectory, latents=None):
        states, worlds, layout = trajectory.states, self.worlds, self.worlds.engine.layout
        num_late = layout.late_sensors.size
        still = jnp.zeros(layout.tangent, jnp.float32)

        def of_step(before, after, action):
            def advance(tangent, action):
                moved = move_physics(layout, before.physics, tangent)
                physics, _, _, last = worlds.period(moved, worlds.warmstart(before.inputs), before.inputs, action)
                return difference(layout, after, PhysicsState(physics, after.inputs, last, layout))

            return jax.jacfwd(advance, argnums=(0, 1))(still, action)

        def of_state(state):
            sensed = jax.jacfwd(lambda tangent: worlds.sense(move_physics(layout, state.physics, tangent), state.inputs))(still)
            sensed = sensed.at[layout.late_sensors].set(0.0)
            return sensed.at[layout.late_sensors, layout.tangent - num_late + np.arange(num_late)].set(1.0)

        before, after = (jax.tree.map(lambda leaf, part=part: leaf[part], states) for part in (slice(-1), slice(1, None)))
        a, b = jax.vmap(of_step)(before, after, trajectory.actions)
        physics = jax.vmap(lambda physics: lift_physics(layout, physics))(states.physics)
        inputs = jnp.zeros((*states.inputs.shape, layout.tangent), jnp.float32)
        leaves = physics, inputs, jax.vmap(of_state)(states)
        return ebm.Linearization(a, b, eqx.tree_at(lambda state: (state.physics, state.inputs, state.sensors), states, leaves))

    def move(self, state, lift_t, tangent):
        layout = self.worlds.engine.layout
        physics = move_physics(layout, jnp.asarray(state.physics, jnp.float32), tangent)
        return PhysicsState(physics, state.inputs, state.sensors + lift_t.sensors @ tangent, layout)


class _Compiled:
    """A model on the device. Two of one MjModel are equal, so jitted code is shared."""

    def __init__(self, engine: Engine):
        self.engine = engine
        if engine.layout.internal.stop > engine.layout.act.stop:
            raise NotImplementedError("MJX cannot run this model: plugins with a state. Use the C engine.")
        try:
            with jax.ensure_compile_time_eval():
                self.model = mjx.put_model(engine.model, impl="jax")
                self.data = mjx.make_data(engine.model, impl="jax")
        except NotImplementedError as error:
            raise NotImplementedError(f"MJX cannot run this model: {' '.join(str(error).split())} Use the C engine.") from error

    def __eq__(self, other):
        return isinstance(other, _Compiled) and self.engine == other.engine

    def __hash__(self):
        return hash(self.engine)

    def warmstart(self, inputs: Float[Array, " inputs"]) -> Float[Array, " nv"]:
        """The solver's first guess."""
        return inputs[self.engine.layout.components[int(mujoco.mjtState.mjSTATE_WARMSTART)]]

    def period(self, physics, warmstart, inputs, action) -> tuple[Array, Array, Array, Array]:
        """One control period: where it ends, the warm start there, and what its first and its last physics step sensed."""

        def advance(carry, _):
            data = self._data(carry[0], inputs).replace(qacc_warmstart=carry[1], ctrl=action)
            data = self._forward(data)
            after = INTEGRATORS[self.model.opt.integrator](self.model, data)
            return (mjx.get_state(self.model, after, PHYSICS), after.qacc_warmstart), data.sensordata

        (physics, warmstart), sensed = jax.lax.scan(advance, (physics, warmstart), None, length=self.engine.substeps)
        return physics, warmstart, sensed[0], sensed[-1]

    def sense(self, physics, inputs) -> Float[Array, " sensors"]:
        """The sensors of position and velocity in one state; those of acceleration stay 0."""
        data = mjx.fwd_position(self.model, self._data(physics, inputs))
        data = mjx.fwd_velocity(self.model, mjx.sensor_pos(self.model, data))
        return mjx.sensor_vel(self.model, data).sensordata

    def guard(self, x: Array) -> Array:
        """`x`, whose reverse derivative is refused with a reason where the constraint solver is a loop of unknown length."""
        return _forward_only.bind(x) if self.model.opt.iterations > 1 and self.data._impl.efc_J.size else x

    def _data(self, physics, inputs) -> Any:
        return mjx.set_state(self.model, mjx.set_state(self.model, self.data, physics, PHYSICS), inputs, INPUTS)

    def _forward(self, data) -> Any:
        data = mjx.forward(self.model, data)
        # without constraints MJX leaves before it senses accelerations
        return mjx.sensor_acc(self.model, data) if data._impl.efc_J.size == 0 else data


def _refuse(cotangent, x):
    raise NotImplementedError(
        "MJX's constraint solver has no reverse derivative. Use the C engine (`MujocoModel`), forward mode (`jax.jacfwd`), or "
        '`<option iterations="1">` in the MJCF.'
    )


_forward_only = Primitive("forward_only")
_forward_only.def_impl(lambda x: x)
_forward_only.def_abstract_eval(lambda x: x)
ad.deflinear2(_forward_only, _refuse)
batching.defvectorized(_forward_only)
mlir.register_lowering(_forward_only, lambda ctx, x: [x])
