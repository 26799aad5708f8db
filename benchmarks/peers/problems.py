"""The problems of `ebm bench peers`, written once for NumPy, Torch and JAX: `xp` is the array library. Imports nothing of ours."""

import math
from typing import Any

import numpy as np


class Pendulum:
    """The equations of Gymnasium's Pendulum-v1, hanging at first. State: angle from the top (rad), rad/s. Action: N m."""

    size, limit, dt, horizon, steps = 2, (2.0,), 0.05, 50, 150
    noise = (1.0,)
    rest = (math.pi, 0.0)

    def step(self, xp: Any, state: Any, action: Any) -> Any:
        """The next state, (..., 2)."""
        angle, speed, torque = state[..., 0], state[..., 1], xp.clip(action[..., 0], -2.0, 2.0)
        speed = xp.clip(speed + (15.0 * xp.sin(angle) + 3.0 * torque) * self.dt, -8.0, 8.0)
        return xp.stack([angle + speed * self.dt, speed], -1)

    def cost(self, xp: Any, state: Any, action: Any) -> Any:
        """Of a step, (...)."""
        return 2.0 * (1.0 - xp.cos(state[..., 0])) + 0.1 * state[..., 1] ** 2 + 0.001 * action[..., 0] ** 2


class CartPole:
    """The equations of Gymnasium's CartPole-v1, hanging at first. State: m, m/s, rad from the top, rad/s. Action: N."""

    size, limit, dt, horizon, steps = 4, (10.0,), 0.02, 50, 200
    noise = (5.0,)
    rest = (0.0, 0.0, math.pi, 0.0)

    def step(self, xp: Any, state: Any, action: Any) -> Any:
        """The next state, (..., 4)."""
        velocity, angle, spin = (state[..., i] for i in range(1, 4))
        force, sine, cosine = xp.clip(action[..., 0], -10.0, 10.0), xp.sin(angle), xp.cos(angle)
        push = (force + 0.05 * spin**2 * sine) / 1.1
        turning = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
        acceleration = push - 0.05 * turning * cosine / 1.1
        rates = xp.stack([velocity, acceleration, spin, turning], -1)
        return state + self.dt * rates

    def cost(self, xp: Any, state: Any, action: Any) -> Any:
        """Of a step, (...)."""
        position, velocity, angle, spin = (state[..., i] for i in range(4))
        upright = 2.0 * (1.0 - xp.cos(angle))
        return upright + 0.5 * position**2 + 0.05 * velocity**2 + 0.02 * spin**2 + 0.001 * action[..., 0] ** 2


class Box:
    """A box of 1 kg on a plane, and a pusher that shall bring it to (0.6, 0.1) m: MuJoCo. State: 9 positions, 8 velocities. Action: N.

    Peers are given MuJoCo the way their users would: a batch of single steps, from `mujoco.rollout`, for each step of the horizon.
    """

    size, limit, dt, horizon, steps = 17, (12.0, 5.0), 0.02, 50, 100
    noise = (6.0, 2.5)
    goal = (0.6, 0.1)
    xml = """
    <mujoco model="push">
      <option timestep="0.02"/>
      <worldbody>
        <geom name="floor" type="plane" size="5 5 0.1"/>
        <body name="box" pos="0.3 0 0.0995">
          <freejoint name="box"/><geom name="box" type="box" size="0.1 0.1 0.1" mass="1"/>
        </body>
        <body name="pusher" pos="0.151 0.02 0.1">
          <joint name="px" type="slide" axis="1 0 0" damping="2"/><joint name="py" type="slide" axis="0 1 0" damping="2"/>
          <geom name="pusher" type="sphere" size="0.05" mass="0.5"/>
        </body>
      </worldbody>
      <actuator>
        <motor name="fx" joint="px" ctrlrange="-12 12"/><motor name="fy" joint="py" ctrlrange="-5 5"/>
      </actuator>
    </mujoco>"""

    def __init__(self):
        import mujoco
        from mujoco import rollout

        self.model = mujoco.MjModel.from_xml_string(self.xml)
        data = mujoco.MjData(self.model)
        self.rest = [*data.qpos, *data.qvel]
        self.pool = rollout.Rollout(nthread=2)
        self.datas = [mujoco.MjData(self.model) for _ in range(2)]

    def step(self, xp: Any, state: Any, action: Any) -> Any:
        """The next state, (batch, 17) or (17,)."""
        given = np.atleast_2d(np.asarray(state, np.float64))
        start = np.concatenate([np.zeros((len(given), 1)), given], axis=1)
        control = np.broadcast_to(np.atleast_2d(np.asarray(action, np.float64)), (len(given), 2))[:, None].copy()
        after, _ = self.pool.rollout(self.model, self.datas, start, control)
        after = after[:, 0, 1:].reshape(np.shape(state))
        return xp.asarray(after, dtype=state.dtype) if xp is not np else after

    def cost(self, xp: Any, state: Any, action: Any) -> Any:
        """Of a step, (...): squared distances in units of 0.1 m, of the box from its goal and, less, of the pusher from the box."""
        away = ((state[..., 0] - self.goal[0]) ** 2 + (state[..., 1] - self.goal[1]) ** 2) / 0.01
        apart = ((state[..., 7] + 0.151 - state[..., 0]) ** 2 + (state[..., 8] + 0.02 - state[..., 1]) ** 2) / 0.01
        return away + 0.1 * apart + 0.0001 * (action[..., 0] ** 2 + action[..., 1] ** 2)


PROBLEMS = {"pendulum": Pendulum, "cart-pole": CartPole, "box": Box}
