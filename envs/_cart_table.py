"""LeCun's cart on a table: bring it close to the edge, while it is shoved, and do not fall."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, ArrayLike, Float

import ebm

from ._env import LARGEST, AbstractMujocoEnv
from ._load import load
from ._physics import PhysicsState

XML = Path(__file__).parent / "assets" / "cart_table.xml"
PERIOD = 0.02  # s
TABLE_HALF_LENGTH = 1.0  # m
TABLE_HEIGHT = 0.74  # m
HALF_WHEELBASE = 0.02  # m
GOAL = TABLE_HALF_LENGTH - 0.05  # m
AT_GOAL = 0.02  # m from the goal
SETTLED = 1.0  # s at the goal that count as success
FORCE_LIMIT = 5.0  # N
SHOVE = 0.3  # m/s, that a shove changes the speed by, at most
DROP = 0.01  # m that a wheel sinks below the table top when the cart falls
START = 0.5  # m from the middle of the table, at most
REWARD_MARGIN = 0.5  # m from the goal at which a tenth of the reward is left
UNCERTAIN = {"mass": (1.0, 1.6), "friction": (0.7, 1.3), "damping": (0.7, 1.3)}  # what the plan model believes possible, as factors
WHEELS = ("site:wheel_left", "site:wheel_right")


class RoomToBrake(ebm.AbstractGuardrail):
    """A cart that was shoved outwards at this moment, and then braked with all there is, would stop with its wheels on the table.

    `|x| + half wheelbase + (v + Δv)² / 2a + (v + Δv) · reaction − half length`, in m, for either edge. A shove uses the room up for a
    moment.

    **Arguments:**

    - `shove`: that must be survived, m/s. `deceleration`: that is certain, m/s².
    - `reaction`: s from a shove to the brakes: a control period, and what actions are late by.
    """

    shove: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=SHOVE)
    deceleration: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=FORCE_LIMIT / UNCERTAIN["mass"][1])
    reaction: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=PERIOD)
    scale: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=HALF_WHEELBASE)
    name: str = eqx.field(static=True, default="room to brake after a shove")

    def stage(self, state, action, previous_action, time):
        position, speed = state.read("joint:slider")[0], state.read("velocity:joint:slider")[0]
        outward = jnp.maximum(jnp.stack([speed, -speed]) + self.shove, 0.0)
        stop = outward**2 / (2.0 * self.deceleration) + outward * self.reaction
        return jnp.max(jnp.stack([position, -position]) + HALF_WHEELBASE + stop - TABLE_HALF_LENGTH)


class CartTableEnv(AbstractMujocoEnv):
    """A cart on wheels is pushed along a table, with at most 5 N, to a goal 5 cm from the edge. Beyond the edge it tips over and falls.

    It starts somewhere around the middle. From time to time a shove changes its speed at once; shoves end `quiet` s before the episode
    does. Mass and friction are not what a plan model believes.

    Observation, float64: position (m), speed (m/s), height above rest (m) and its rate (m/s), pitch (rad) and its rate (rad/s).
    Action: force, N. Reward: 1 within 2 cm of the goal, falling smoothly to 0. The episode ends when a wheel drops off the table.
    `info` says "position" (m), "fallen", "at_goal" and "shove" (m/s, of the step that just ended).
    """

    def __init__(
        self,
        *,
        mass: float | int = 1.0,
        friction_spread: float | int = 0.3,
        shove_speed: float | int = SHOVE,
        shove_rate: float | int = 0.5,
        quiet: float | int = 2.0,
        seconds: float | int = 12.0,
        period: float = PERIOD,
        goal: float | int = GOAL,
        render_mode: str | None = None,
        view: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `mass`: of the cart, kg.
        - `friction_spread`: every episode draws a factor on all friction, rolling and sliding, from 1 ± this.
        - `shove_speed`: shoves change the speed by up to ± this, m/s. `shove_rate`: shoves per second. `quiet`: s without, at the end.
        - `seconds`: duration of an episode. `period`: of control, s; the physics takes no longer steps. The plan model keeps 0.02 s.
        - `goal`: of the cart's centre along the table, m.
        - `render_mode`, `view`: as for `MjcfEnv`; the cameras are "side" and "edge".

        **Raises:**

        `ValueError` for a mass, duration or spread that makes no sense, or a goal where not all wheels are on the table.
        """
        if not mass > 0:
            raise ValueError(f"`mass` must be positive, got {mass}. It is the mass of the cart in kg.")
        if not 0 <= friction_spread < 1:
            raise ValueError(f"`friction_spread` must be in [0, 1), got {friction_spread}. Friction is drawn from 1 ± this, as a factor.")
        if not period > 0:
            raise ValueError(f"`period` must be positive, got {period}. It is the time between decisions in s.")
        if min(shove_speed, shove_rate, quiet) < 0:
            raise ValueError("`shove_speed` (m/s), `shove_rate` (1/s) and `quiet` (s) must not be negative.")
        if not abs(goal) < TABLE_HALF_LENGTH - HALF_WHEELBASE:
            raise ValueError(f"`goal` must be within ±{TABLE_HALF_LENGTH - HALF_WHEELBASE:g} m, got {goal}. Farther out no cart can stand.")
        spec = mujoco.MjSpec.from_file(str(XML))
        spec.body("goal").pos[0] = goal
        for body in spec.bodies:
            body.mass, body.inertia = body.mass * mass, body.inertia * mass
        spec.option.timestep = min(period, PERIOD)
        view = {"camera": "side", "width": 640, "height": 360} | dict(view or {})
        super().__init__(spec, period=period, seconds=seconds, render_mode=render_mode, view=view)
        self.goal, self.friction_spread = float(goal), float(friction_spread)
        self.shove_speed, self.shove_rate, self.quiet = float(shove_speed), float(shove_rate), float(quiet)
        self._shoves = np.zeros(round(seconds / self.dt))
        self._shove = 0.0
        self._wheels = [self.model.site(name.removeprefix("site:")).id for name in WHEELS]
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (6,), np.float64)

    def problem(self):
        return cart_table(goal=self.goal)

    def randomise(self, rng):
        friction, start = 1.0 + self.friction_spread * rng.uniform(-1.0, 1.0), START * rng.uniform(-1.0, 1.0)
        self.model.geom_friction[:] = self.nominal.geom_friction * friction
        self.model.dof_damping[:] = self.nominal.dof_damping * friction
        self.data.qpos[0] = start
        # All shoves are drawn at once: whatever the agent does, it meets the same ones.
        ticks = np.arange(len(self._shoves))
        shoved = rng.random(len(ticks)) < 1.0 - np.exp(-self.shove_rate * self.dt)
        calm = ticks >= len(ticks) - round(self.quiet / self.dt)
        self._shoves = np.where(shoved & ~calm, rng.uniform(-self.shove_speed, self.shove_speed, len(ticks)), 0.0)
        self._shove = 0.0

    def disturb(self):
        self._shove = float(self._shoves[self.tick]) if self.tick < len(self._shoves) else 0.0
        self.data.qvel[0] += self._shove

    def observation(self):
        return np.stack([self.data.qpos[:3], self.data.qvel[:3]], axis=1).ravel()

    def reward(self):
        outside = max(abs(self.data.qpos[0] - self.goal) - AT_GOAL, 0.0) / REWARD_MARGIN
        return 0.0 if self.terminated() else float(np.exp(np.log(0.1) * outside**2))

    def terminated(self):
        return bool((self.data.site_xpos[self._wheels, 2] < TABLE_HEIGHT - DROP).any())

    def info(self):
        position, fallen = float(self.data.qpos[0]), self.terminated()
        at_goal = not fallen and abs(position - self.goal) <= AT_GOAL
        return {"position": position, "fallen": fallen, "at_goal": at_goal, "shove": self._shove}

    def success(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether an episode went well: never fallen, and at the goal during the whole last second.

        **Arguments:**

        - `history`: the `info` of every step of the episode, to its end.
        """
        last = history[-round(SETTLED / self.dt) :]
        complete = len(history) >= round((self.seconds or 0.0) / self.dt)
        return complete and all(info["at_goal"] for info in last) and not any(info["fallen"] for info in history)


def cart_table(
    *, guarded: bool = True, goal: ArrayLike | None = None, mass: ArrayLike = 1.0, num_latents: int = 4, latency: ArrayLike = 0.0
) -> ebm.Problem:
    """The problem of `CartTable-v0`: stand still at the goal, and keep the wheels on the table even if the cart is too heavy.

    **Arguments:**

    - `guarded`: whether the wheels must stay on the table.
    - `goal`: of the cart's centre, m; default 5 cm from the right edge.
    - `mass`: of the cart in the plan model, kg, which a heavier plant may exceed by up to 60 %.
    - `num_latents`: in how many worlds, of different mass and friction, each plan is tried.
    - `latency`: s that actions are late by, as far as it is known: room to brake must do for these, too.

    **Returns:**

    A problem with the goals "goal" (m) and "rest" (m/s) and, if guarded, the guardrails "wheels stay on the table" and "room to brake after
    a shove": without the second, a shove at full speed just before the edge could not be stopped by anybody.
    """
    model = load(XML, period=PERIOD, parameters={"mass": mass, "friction": 1.0, "damping": 1.0}).randomise(UNCERTAIN)
    reach = ebm.Reach("joint:slider", GOAL if goal is None else goal, tolerance=AT_GOAL, name="goal")
    rest = 0.1 * ebm.Velocity("joint:slider", tolerance=0.1, name="rest")
    energy = reach + rest + 0.1 * ebm.Effort(FORCE_LIMIT)
    table = ebm.KeepInside(_wheels, -TABLE_HALF_LENGTH, TABLE_HALF_LENGTH, scale=HALF_WHEELBASE, name="wheels stay on the table")
    return ebm.Problem(
        model, energy, guardrails=(table, RoomToBrake(reaction=PERIOD + latency)) if guarded else (), num_latents=num_latents
    )


def _wheels(state: PhysicsState) -> Float[Array, "2"]:
    """Where the wheels touch the table, along it, m."""
    return jnp.stack([state.read(name)[0] for name in WHEELS])
