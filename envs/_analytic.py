"""Gymnasium's pendulum and cart-pole, written in JAX: worlds that compile, differentiate and cost next to nothing."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

TORQUE_LIMIT = 2.0  # N m, of Pendulum-v1
SPEED_LIMIT = 8.0  # rad/s, of Pendulum-v1
FORCE_LIMIT = 10.0  # N, of CartPole-v1, which pushes with all of it one way or the other
TRACK_HALF_LENGTH = 2.4  # m, of CartPole-v1


class PendulumState(ebm.AbstractState):
    """A pendulum: `angle` (rad, 0 is upright, not wrapped) and `velocity` (rad/s).

    Reads "angle" or "joint:pole", "velocity" or "velocity:joint:pole", and "up:body:pole", the direction of the pole.
    """

    angle: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)
    velocity: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)

    def read(self, name):
        values = {"angle": self.angle, "joint:pole": self.angle, "velocity": self.velocity, "velocity:joint:pole": self.velocity}
        return _read(values, self.angle, name)


class CartPoleState(ebm.AbstractState):
    """A cart with a pole: `position` (m), `velocity` (m/s), `angle` (rad, 0 is upright, not wrapped) and `spin` (rad/s).

    Reads "position" or "joint:slider", "velocity" or "velocity:joint:slider", "angle" or "joint:pole", "spin" or "velocity:joint:pole",
    and "up:body:pole", the direction of the pole.
    """

    position: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)
    velocity: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)
    angle: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)
    spin: Float[Array, "*batch"] = eqx.field(converter=ebm.to_float)

    def read(self, name):
        values = {"position": self.position, "velocity": self.velocity, "angle": self.angle, "spin": self.spin}
        values |= {"joint:slider": self.position, "velocity:joint:slider": self.velocity}
        values |= {"joint:pole": self.angle, "velocity:joint:pole": self.spin}
        return _read(values, self.angle, name)


class Pendulum(ebm.AbstractWorldModel):
    """Gymnasium's Pendulum-v1: a rod that a torque too weak to lift it must swing up.

    `θ'' = 3 g / (2 l) sin θ + 3 / (m l²) u`, the speed clipped to ±8 rad/s, semi-implicit Euler steps.

    **Arguments:**

    - `gravity`: m/s². `mass`: kg. `length`: m. Array leaves: they batch, differentiate and change without a retrace.
    - `dt`: s.
    - `action_space`: torques, N m.
    """

    gravity: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=10.0)
    mass: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1.0)
    length: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1.0)
    speed_limit: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=SPEED_LIMIT)
    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-TORQUE_LIMIT], [TORQUE_LIMIT]))
    dt: float = eqx.field(static=True, converter=float, default=0.05)

    def example_state(self):
        return PendulumState(jnp.pi, 0.0)

    def step(self, state, action, latents=None):
        gain = 3.0 / (self.mass * self.length**2)
        acceleration = 1.5 * self.gravity / self.length * jnp.sin(state.angle) + gain * action[0]
        velocity = jnp.clip(state.velocity + acceleration * self.dt, -self.speed_limit, self.speed_limit)
        return PendulumState(state.angle + velocity * self.dt, velocity)


class CartPole(ebm.AbstractWorldModel):
    """Gymnasium's CartPole, with a force that may take any value and a track that does not end.

    `θ'' = (g sin θ − cos θ · t) / (l (4/3 − m cos² θ / (m + M)))` and `x'' = t − m l θ'' cos θ / (m + M)`, with
    `t = (u + m l θ'² sin θ) / (m + M)`, and explicit Euler steps. Barto, Sutton and Anderson 1983, as corrected by Florian 2007.

    **Arguments:**

    - `gravity`: m/s². `cart_mass`, `pole_mass`: kg. `half_length`: m, of the pole. Array leaves, as for `Pendulum`.
    - `dt`: s.
    - `action_space`: forces, N.
    """

    gravity: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=9.8)
    cart_mass: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1.0)
    pole_mass: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.1)
    half_length: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.5)
    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-FORCE_LIMIT], [FORCE_LIMIT]))
    dt: float = eqx.field(static=True, converter=float, default=0.02)

    def example_state(self):
        return CartPoleState(0.0, 0.0, jnp.pi, 0.0)

    def step(self, state, action, latents=None):
        sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
        mass, moment = self.cart_mass + self.pole_mass, self.pole_mass * self.half_length
        push = (action[0] + moment * state.spin**2 * sine) / mass
        turning = (self.gravity * sine - cosine * push) / (self.half_length * (4.0 / 3.0 - self.pole_mass * cosine**2 / mass))
        acceleration = push - moment * turning * cosine / mass
        return CartPoleState(
            state.position + self.dt * state.velocity,
            state.velocity + self.dt * acceleration,
            state.angle + self.dt * state.spin,
            state.spin + self.dt * turning,
        )


def pendulum() -> ebm.Problem:
    """Swing Pendulum-v1 up and hold it there, from wherever it is.

    The energy is Gymnasium's cost, θ² + 0.1 θ'² + 0.001 u² per second, with 2 (1 − cos θ) for θ²: the same near the top, and smooth all
    round. Look at least 1 s ahead.

    **Returns:**

    A problem on `Pendulum()`, with the goals "upright" (the chord 2 sin ½θ from the top, m) and "velocity" (rad/s).
    """
    energy = (
        2.0 * ebm.Reach(_chord, 0.0, tolerance=1.0, name="upright") + 0.2 * ebm.Velocity("joint:pole", tolerance=1.0) + 0.002 * ebm.Effort()
    )
    return ebm.Problem(Pendulum(), energy)


def cart_pole() -> ebm.Problem:
    """Swing the pole of CartPole up and hold it in the middle of the track, without leaving the track.

    **Returns:**

    A problem on `CartPole()` with the goals "upright" (a direction), "middle" (m) and "rest" (rad/s), and the guardrail
    "cart stays on the track".
    """
    energy = (
        ebm.Upright("body:pole", tolerance=0.5)
        + ebm.Reach("joint:slider", 0.0, tolerance=1.0, name="middle")
        + 0.1 * ebm.Velocity("joint:pole", tolerance=1.0, name="rest")
        + 0.1 * ebm.Effort(FORCE_LIMIT)
    )
    track = ebm.KeepInside("joint:slider", -TRACK_HALF_LENGTH, TRACK_HALF_LENGTH, name="cart stays on the track")
    return ebm.Problem(CartPole(), energy, guardrails=(track,))


def _chord(state: PendulumState) -> Float[Array, "*batch"]:
    """2 sin ½θ: half its square is 1 − cos θ."""
    return 2.0 * jnp.sin(0.5 * state.angle)


def _read(values: Mapping[str, Array], angle: Float[Array, "*batch"], name: str) -> Float[Array, "*batch component"]:
    if name == "up:body:pole":
        return jnp.stack([jnp.sin(angle), jnp.zeros_like(angle), jnp.cos(angle)], axis=-1)
    if name not in values:
        raise KeyError(f"{name!r} cannot be read from this state. It offers {', '.join(values)}, up:body:pole.")
    return values[name][..., None]
