"""The state of a MuJoCo world, and the tangent space it moves in."""

import difflib
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

import ebm

PHYSICS = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)  # what a step changes: time, qpos, qvel, act, plugin state
INPUTS = int(mujoco.mjtState.mjSTATE_INTEGRATION) & ~PHYSICS  # what it is given: warm start, ctrl, applied forces, mocap, userdata
CLOCK = mujoco.mjtSensor.mjSENS_CLOCK
NEAR_ZERO = 1e-12


class Span(NamedTuple):
    """Where a reading stands: `leaf` is "physics", "inputs" or "sensors"."""

    leaf: str
    start: int
    stop: int


class Layout:
    """Names and addresses in the states of one MuJoCo model. Two layouts of one model are equal, so jitted code is shared."""

    def __init__(self, model: mujoco.MjModel, key: str):
        self.key = key
        self.nq, self.nv, self.na = model.nq, model.nv, model.na
        self.num_physics, self.num_inputs = mujoco.mj_stateSize(model, PHYSICS), mujoco.mj_stateSize(model, INPUTS)
        self.num_sensors = model.nsensordata
        self.qpos = slice(1, 1 + self.nq)
        self.qvel = slice(self.qpos.stop, self.qpos.stop + self.nv)
        self.act = slice(self.qvel.stop, self.qvel.stop + self.na)
        self.components = _components(model)
        self.quaternions = [
            (int(model.jnt_qposadr[j]) + offset, int(model.jnt_dofadr[j]) + offset)
            for j in range(model.njnt)
            for kind, offset in ((mujoco.mjtJoint.mjJNT_FREE, 3), (mujoco.mjtJoint.mjJNT_BALL, 0))
            if model.jnt_type[j] == kind
        ]
        turning = {q + i for q, _ in self.quaternions for i in range(4)}
        turning_dofs = {v + i for _, v in self.quaternions for i in range(3)}
        self.linear_qpos = np.array([i for i in range(self.nq) if i not in turning], int)
        self.linear_dofs = np.array([i for i in range(self.nv) if i not in turning_dofs], int)
        # Acceleration-stage sensors are measured in the step that ends at a state, so they are part of what the state remembers.
        late = model.sensor_needstage == mujoco.mjtStage.mjSTAGE_ACC
        self.late_sensors = np.concatenate(
            [np.arange(a, a + d) for a, d in zip(model.sensor_adr[late], model.sensor_dim[late], strict=True)] or [np.zeros(0)]
        ).astype(int)
        self.clocks = np.array([a for a, kind in zip(model.sensor_adr, model.sensor_type, strict=True) if kind == CLOCK], int)
        self.internal = slice(self.qvel.stop, self.num_physics)  # activations, then plugin state
        self.tangent = 2 * self.nv + self.num_physics - self.qvel.stop + self.late_sensors.size
        self.spans = _spans(model, self)

    def __eq__(self, other):
        return isinstance(other, Layout) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __repr__(self):
        return f"Layout({self.key[:8]})"

    def span(self, name: str) -> Span:
        """Where `name` stands, or a `KeyError` that lists what can be read."""
        if name in self.spans:
            return self.spans[name]
        near = difflib.get_close_matches(name, self.spans, 3)
        hint = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
        raise KeyError(
            f"{name!r} cannot be read from this model.{hint} It offers {', '.join(self.spans)}. "
            f"More with `envs.load(..., read=({name!r},))`."
        )


class PhysicsState(ebm.AbstractState):
    """Everything that MuJoCo needs to go on from a moment, and what its sensors read then.

    **Arguments:**

    - `physics`: time (s), qpos, qvel, act, plugin state: MuJoCo's `mjSTATE_FULLPHYSICS`.
    - `inputs`: solver warm start, ctrl, applied forces, equality switches, mocap poses, userdata, held constant over a rollout.
    - `sensors`: MuJoCo's sensordata, all of it describing this state.
    """

    physics: Float[Array | np.ndarray, "*batch physics"]
    inputs: Float[Array | np.ndarray, "*batch inputs"]
    sensors: Float[Array | np.ndarray, "*batch sensors"]
    layout: Layout = eqx.field(static=True)

    def read(self, name):
        span = self.layout.span(name)
        return jnp.asarray(getattr(self, span.leaf))[..., span.start : span.stop]

    @property
    def time(self) -> Float[Array | np.ndarray, "*batch"]:
        """s."""
        return self.physics[..., 0]

    @property
    def qpos(self) -> Float[Array | np.ndarray, "*batch nq"]:
        """Joint positions: rad, m, and quaternions (w, x, y, z)."""
        return self.physics[..., self.layout.qpos]

    @property
    def qvel(self) -> Float[Array | np.ndarray, "*batch nv"]:
        """Joint velocities: rad/s, m/s."""
        return self.physics[..., self.layout.qvel]

    @property
    def act(self) -> Float[Array | np.ndarray, "*batch na"]:
        """Actuator activations."""
        return self.physics[..., self.layout.act]


def difference(layout: Layout, a: PhysicsState, b: PhysicsState) -> Float[Array, " tangent"]:
    """`b - a` in the tangent space at `a`: joint positions (rotations in the frame of `a`), velocities, internal state, late sensors."""
    positions = jnp.zeros(layout.nv, jnp.result_type(a.qpos, b.qpos)).at[layout.linear_dofs].set((b.qpos - a.qpos)[layout.linear_qpos])
    for q, v in layout.quaternions:
        before, after = jnp.asarray(a.qpos[q : q + 4]), jnp.asarray(b.qpos[q : q + 4])
        positions = positions.at[v : v + 3].set(_log(_multiply(_conjugate(before), after)))
    rest = [b.qvel - a.qvel, (b.physics - a.physics)[layout.internal], (b.sensors - a.sensors)[layout.late_sensors]]
    return jnp.concatenate([positions, *rest])


def move_physics(layout: Layout, physics: Float[Array, " physics"], tangent: Float[Array, " tangent"]) -> Float[Array, " physics"]:
    """`physics` moved along `tangent`, quaternions along the sphere."""
    nv = layout.nv
    qpos = physics[layout.qpos]
    moved = qpos.at[layout.linear_qpos].add(tangent[layout.linear_dofs])
    for q, v in layout.quaternions:
        moved = moved.at[q : q + 4].set(_multiply(qpos[q : q + 4], _exp(tangent[v : v + 3])))
    physics = physics.at[layout.qpos].set(moved)
    rest = layout.num_physics - layout.qvel.start
    return physics.at[layout.qvel.start :].add(tangent[nv : nv + rest])


def lift_physics(layout: Layout, physics: Float[Array, " physics"]) -> Float[Array, "physics tangent"]:
    """The derivative of `move_physics` at no motion."""
    return jax.jacfwd(lambda tangent: move_physics(layout, physics, tangent))(jnp.zeros(layout.tangent, physics.dtype))


def _components(model: mujoco.MjModel) -> dict[int, slice]:
    """The slice of each component in `inputs`."""
    found, start = {}, 0
    for bit in (1 << i for i in range(int(mujoco.mjtState.mjNSTATE))):
        if bit & INPUTS:
            size = mujoco.mj_stateSize(model, bit)
            found[bit] = slice(start, start + size)
            start += size
    return found


def _spans(model: mujoco.MjModel, layout: Layout) -> dict[str, Span]:
    widths = {mujoco.mjtJoint.mjJNT_FREE: (7, 6), mujoco.mjtJoint.mjJNT_BALL: (4, 3)}
    spans = {}
    for j in range(model.njnt):
        nq, nv = widths.get(mujoco.mjtJoint(model.jnt_type[j]), (1, 1))
        name = model.joint(j).name
        q, v = layout.qpos.start + int(model.jnt_qposadr[j]), layout.qvel.start + int(model.jnt_dofadr[j])
        if name:
            spans[f"joint:{name}"] = Span("physics", q, q + nq)
            spans[f"velocity:joint:{name}"] = Span("physics", v, v + nv)
    mocap = layout.components[int(mujoco.mjtState.mjSTATE_MOCAP_POS)].start
    for b in range(model.nbody):
        i = int(model.body_mocapid[b])
        if i >= 0 and model.body(b).name:
            spans[f"mocap:{model.body(b).name}"] = Span("inputs", mocap + 3 * i, mocap + 3 * i + 3)
    for s in range(model.nsensor):
        name, start = model.sensor(s).name, int(model.sensor_adr[s])
        if name:
            spans[name if ":" in name else f"sensor:{name}"] = Span("sensors", start, start + int(model.sensor_dim[s]))
    return spans


def _multiply(a: Float[Array, "4"], b: Float[Array, "4"]) -> Float[Array, "4"]:
    vector = a[0] * b[1:] + b[0] * a[1:] + jnp.cross(a[1:], b[1:])
    return jnp.concatenate([(a[0] * b[0] - jnp.dot(a[1:], b[1:]))[None], vector])


def _conjugate(q: Float[Array, "4"]) -> Float[Array, "4"]:
    return q * jnp.array([1.0, -1.0, -1.0, -1.0], q.dtype)


def _exp(rotation: Float[Array, "3"]) -> Float[Array, "4"]:
    """The quaternion of a rotation vector (rad)."""
    square = jnp.sum(rotation**2)
    angle = jnp.sqrt(jnp.where(square > NEAR_ZERO, square, 1.0))
    scale = jnp.where(square > NEAR_ZERO, jnp.sin(0.5 * angle) / angle, 0.5 - square / 48.0)
    scalar = jnp.where(square > NEAR_ZERO, jnp.cos(0.5 * angle), 1.0 - square / 8.0)
    return jnp.concatenate([scalar[None], scale * rotation])


def _log(q: Float[Array, "4"]) -> Float[Array, "3"]:
    """The rotation vector (rad) of a quaternion, the shorter way round."""
    q = jnp.where(q[0] < 0, -q, q)
    square = jnp.sum(q[1:] ** 2)
    sine = jnp.sqrt(jnp.where(square > NEAR_ZERO, square, 1.0))
    return q[1:] * jnp.where(square > NEAR_ZERO, 2.0 * jnp.arctan2(sine, q[0]) / sine, 2.0 / jnp.where(jnp.abs(q[0]) > 0.5, q[0], 1.0))
