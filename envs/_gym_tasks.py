"""What Gymnasium's own environments are for: their rewards as energies, and what ends their episodes as guardrails."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import ebm

SMOOTHING = 1e-4  # m within which a distance is rounded off, so that it has a derivative at 0


class Task(NamedTuple):
    """What is wanted of an environment, and what must never happen there."""

    energy: ebm.AbstractEnergy
    guardrails: tuple[ebm.AbstractGuardrail, ...] = ()


class Distance(ebm.AbstractStageEnergy):
    """The distance between two points, m: unlike `ebm.Reach` it grows linearly, as many rewards do."""

    source: ebm.Reading
    target: ebm.Reading
    name: str = eqx.field(static=True)

    def __init__(self, source: str, target: str, *, name: str = "distance"):
        self.source, self.target, self.name = ebm.Reading(source), ebm.Reading(target), name

    def stage(self, state, action, previous_action, time):
        square = jnp.sum((self.source(state) - self.target(state)) ** 2)
        return jnp.sqrt(square + SMOOTHING**2) - SMOOTHING

    def final(self, state, time):
        return jnp.float32(0.0)

    def terms(self, x):
        return {self.name: self(x)}


class Advance(ebm.AbstractStageEnergy):
    """Minus how far something has come along x at the end, m: the integral of its speed, but for its start, which no plan can change."""

    position: ebm.Reading
    name: str = eqx.field(static=True)

    def __init__(self, source: str, *, name: str = "advance"):
        self.position, self.name = ebm.Reading(source, "x"), name

    def stage(self, state, action, previous_action, time):
        return jnp.float32(0.0)

    def final(self, state, time):
        return -jnp.sum(self.position(state))

    def terms(self, x):
        return {self.name: self(x)}


class Height(ebm.AbstractStageEnergy):
    """Minus how high something is, m, per second: the higher, the better, without a goal."""

    position: ebm.Reading
    name: str = eqx.field(static=True)

    def __init__(self, source: str, *, name: str = "height"):
        self.position, self.name = ebm.Reading(source, "z"), name

    def stage(self, state, action, previous_action, time):
        return -jnp.sum(self.position(state))

    def final(self, state, time):
        return jnp.float32(0.0)

    def terms(self, x):
        return {self.name: self(x)}


def _along(term: ebm.AbstractStageEnergy, dt: float) -> ebm.AbstractEnergy:
    """A running cost that counts states 1 … horizon, as rewards do, for state 0 cannot be changed: the last one is worth a step, too."""
    return term + dt * ebm.Terminal(term)


def _within(source: str, limits: tuple[float, float], name: str, axis: str | None = None) -> ebm.AbstractGuardrail:
    """What an environment calls healthy; one end may be infinite."""
    return ebm.KeepInside(source, *limits, axis=axis, scale=0.1, name=name)


def _inverted_pendulum(env: Any) -> Task:
    # The reward only says whether the pole still stands; this also says how well.
    pole = ebm.Posture("hinge", 0.0, tolerance=0.1, name="upright") + 0.1 * ebm.Velocity("joint:hinge", tolerance=0.5, name="swing")
    cart = ebm.Reach("joint:slider", 0.0, tolerance=0.5, name="middle") + 0.1 * ebm.Velocity("joint:slider", tolerance=1.0, name="roll")
    return Task(_along(pole + cart, env.dt) + 0.01 * ebm.Effort())


def _inverted_double_pendulum(env: Any) -> Task:
    top = float(np.linalg.norm(env.model.body("pole2").pos)) + float(np.linalg.norm(env.model.site("tip").pos))
    tip = ebm.Reach("site:tip", (0.0, 0.0, top), tolerance=0.1, name="upright")  # also keeps the cart in the middle
    swing = ebm.Velocity("joint:hinge", tolerance=1.0, name="lower") + ebm.Velocity("joint:hinge2", tolerance=1.0, name="upper")
    return Task(_along(tip + 0.1 * swing, env.dt) + 0.01 * ebm.Effort())


def _reacher(env: Any) -> Task:
    reach = Distance("body:fingertip", "body:target", name="reach")
    return Task(env._reward_dist_weight * _along(reach, env.dt) + 2.0 * env._reward_control_weight * ebm.Effort())


def _pusher(env: Any) -> Task:
    near = env._reward_near_weight * _along(Distance("body:object", "body:tips_arm", name="near"), env.dt)
    push = env._reward_dist_weight * _along(Distance("body:object", "body:goal", name="push"), env.dt)
    return Task(push + near + 2.0 * env._reward_control_weight * ebm.Effort())


def _runner(source: str) -> Callable[[Any], Task]:
    """Whoever gets along on its own, and cannot fall."""

    def task(env: Any) -> Task:
        return Task(env._forward_reward_weight * Advance(source) + 2.0 * env._ctrl_cost_weight * ebm.Effort())

    return task


def _flat_walker(env: Any) -> Task:
    """Whoever walks in a plane, and must neither sink nor lean."""
    high = _within("joint:rootz", env._healthy_z_range, "torso is high enough")
    upright = _within("joint:rooty", env._healthy_angle_range, "torso is upright")
    return Task(_runner("joint:rootx")(env).energy, (high, upright))


def _ant(env: Any) -> Task:
    # Of the reward, what contacts cost is left out, here and for humanoids: some hundredths a step, of forces that no state knows.
    body = env.model.body(env._main_body).name
    return Task(_runner(f"body:{body}")(env).energy, (_within("joint:root", env._healthy_z_range, "torso is high enough", "z"),))


def _humanoid(env: Any) -> Task:
    return Task(_runner("com:torso")(env).energy, (_within("joint:root", env._healthy_z_range, "torso is high enough", "z"),))


def _humanoid_standup(env: Any) -> Task:
    rise = (env._uph_cost_weight / env.model.opt.timestep) * Height("joint:root")
    return Task(_along(rise, env.dt) + 2.0 * env._ctrl_cost_weight * ebm.Effort())


TASKS: dict[str, Callable[[Any], Task]] = {
    "InvertedPendulum-v5": _inverted_pendulum,
    "InvertedDoublePendulum-v5": _inverted_double_pendulum,
    "Reacher-v5": _reacher,
    "Pusher-v5": _pusher,
    "Swimmer-v5": _runner("joint:slider1"),
    "HalfCheetah-v5": _runner("joint:rootx"),
    "Hopper-v5": _flat_walker,
    "Walker2d-v5": _flat_walker,
    "Ant-v5": _ant,
    "Humanoid-v5": _humanoid,
    "HumanoidStandup-v5": _humanoid_standup,
}
