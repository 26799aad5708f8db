"""Any Gymnasium MuJoCo environment as a plant with a ready problem, and the perceiver that reads its simulator."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

import ebm

from ._env import AbstractMujocoEnv
from ._load import Plant, _spec_of_env, as_env, as_spec, load, names
from ._mujoco import MujocoModel
from ._register import ENTRY_POINTS

ENGINES = ("c",)
SMOOTHING = 1e-4  # m within which a distance is rounded off, so that it has a derivative at 0


def problem(
    plant: Plant,
    energy: ebm.AbstractEnergy | None = None,
    guardrails: Sequence[ebm.AbstractGuardrail] | ebm.AbstractGuardrail = (),
    *,
    read: Sequence[str] = (),
    period: float | int | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    engine: str = "c",
) -> ebm.Problem:
    """A problem on the physics of a plant, which offers every name that the energy and the guardrails read.

    **Arguments:**

    - `plant`: an environment, its id, an MJCF file or a spec, as for `load`.
    - `energy`: what is wanted. May be left out for InvertedPendulum-v5, InvertedDoublePendulum-v5, Reacher-v5, Pusher-v5 and
      HalfCheetah-v5, whose own reward it then mirrors, and for our own environments, which bring their guardrails and plan model along.
    - `guardrails`: what must never happen.
    - `read`: further names, for what you want to look at yourself.
    - `period`, `parameters`: as for `load`.
    - `engine`: "c".

    **Raises:**

    `ValueError` listing what can be read, if an energy is needed and not given; and whatever `load` raises.
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}, got {engine!r}.")
    env = as_env(plant)
    try:
        inner = None if env is None else env.unwrapped
        own = inner.problem() if energy is None and not guardrails and isinstance(inner, AbstractMujocoEnv) else None
        if own is not None:
            return own
        if energy is None:
            energy = _ready(plant, env)
        needed = tuple(dict.fromkeys((*ebm.readings((energy, guardrails)), *((read,) if isinstance(read, str) else read))))
        model = load(env or plant, read=needed, period=period, parameters=dict(parameters or {}))
    finally:
        if env is not None and env is not plant:
            env.close()
    return ebm.Problem(model, energy, guardrails if isinstance(guardrails, ebm.AbstractGuardrail) else tuple(guardrails))


class FromGym(ebm.AbstractPerceiver):
    """Looks past the observation into the live simulator of a Gymnasium environment: its full state, in the layout of the plan model.

    Only physics is read, never how the plant differs from the plan model.

    **Arguments:**

    - `env`: the environment that is being stepped. It is told from others by identity: an agent for another one is compiled anew.

    **Raises:**

    `TypeError` if it is no environment, `ValueError` if it is not a MuJoCo one.
    """

    env: gymnasium.Env = eqx.field(static=True)

    def __check_init__(self):
        if not isinstance(self.env, gymnasium.Env):
            raise TypeError(f"`env` must be the environment that is being stepped, got {self.env!r}. Make it with `gymnasium.make`.")
        as_env(self.env)

    def sense(self, model, observation):
        del observation
        simulator: Any = self.env.unwrapped
        if not isinstance(model, MujocoModel):
            raise TypeError(f"`FromGym` gives states of a MuJoCo model, and the problem's model is {type(model).__name__}.")
        return model.state(simulator.data)

    def init(self, model):
        return ebm.Direct().init(model)

    def observe(self, model, memory, action, observation):
        return ebm.Direct().observe(model, memory, action, observation)

    def energy(self, model, memory, action, observation):
        return ebm.Direct().energy(model, memory, action, observation)


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
    """Minus how far a joint has come at the end, m: the integral of its velocity, but for where it started, which no plan can change."""

    position: ebm.Reading
    name: str = eqx.field(static=True)

    def __init__(self, joint: str, *, name: str = "advance"):
        self.position, self.name = ebm.Reading(f"joint:{joint}"), name

    def stage(self, state, action, previous_action, time):
        return jnp.float32(0.0)

    def final(self, state, time):
        return -jnp.sum(self.position(state))

    def terms(self, x):
        return {self.name: self(x)}


def _ready(plant: Plant, env: gymnasium.Env | None) -> ebm.AbstractEnergy:
    """The energy of an environment that has one of its own."""
    env_id = env.spec.id if env is not None and env.spec is not None else None
    if env is not None and env_id in READY:
        return READY[env_id](env.unwrapped)
    spec = as_spec(plant) if env is None else _spec_of_env(env)
    known = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in names(spec).items() if found)
    raise ValueError(
        f"{env_id or 'This model'} has no energy of its own: pass `energy=`, such as `ebm.Reach('site:tip', goal)`. It can be built from "
        f"{known}. Ready-made energies exist for {', '.join((*READY, *ENTRY_POINTS))}."
    )


def _along(term: ebm.AbstractStageEnergy, dt: float) -> ebm.AbstractEnergy:
    """A running cost that counts states 1 … horizon, as rewards do, for state 0 cannot be changed: the last one is worth a step, too."""
    return term + dt * ebm.Terminal(term)


def _inverted_pendulum(env: Any) -> ebm.AbstractEnergy:
    # The reward only says whether the pole still stands; this also says how well.
    pole = ebm.Posture("hinge", 0.0, tolerance=0.1, name="upright") + 0.1 * ebm.Velocity("joint:hinge", tolerance=0.5, name="swing")
    cart = ebm.Reach("joint:slider", 0.0, tolerance=0.5, name="middle") + 0.1 * ebm.Velocity("joint:slider", tolerance=1.0, name="roll")
    return _along(pole + cart, env.dt) + 0.01 * ebm.Effort()


def _inverted_double_pendulum(env: Any) -> ebm.AbstractEnergy:
    top = float(np.linalg.norm(env.model.body("pole2").pos)) + float(np.linalg.norm(env.model.site("tip").pos))
    tip = ebm.Reach("site:tip", (0.0, 0.0, top), tolerance=0.1, name="upright")  # also keeps the cart in the middle
    swing = ebm.Velocity("joint:hinge", tolerance=1.0, name="lower") + ebm.Velocity("joint:hinge2", tolerance=1.0, name="upper")
    return _along(tip + 0.1 * swing, env.dt) + 0.01 * ebm.Effort()


def _reacher(env: Any) -> ebm.AbstractEnergy:
    reach = Distance("body:fingertip", "body:target", name="reach")
    return env._reward_dist_weight * _along(reach, env.dt) + 2.0 * env._reward_control_weight * ebm.Effort()


def _pusher(env: Any) -> ebm.AbstractEnergy:
    near = env._reward_near_weight * _along(Distance("body:object", "body:tips_arm", name="near"), env.dt)
    push = env._reward_dist_weight * _along(Distance("body:object", "body:goal", name="push"), env.dt)
    return push + near + 2.0 * env._reward_control_weight * ebm.Effort()


def _half_cheetah(env: Any) -> ebm.AbstractEnergy:
    return env._forward_reward_weight * Advance("rootx") + 2.0 * env._ctrl_cost_weight * ebm.Effort()


READY = {
    "InvertedPendulum-v5": _inverted_pendulum,
    "InvertedDoublePendulum-v5": _inverted_double_pendulum,
    "Reacher-v5": _reacher,
    "Pusher-v5": _pusher,
    "HalfCheetah-v5": _half_cheetah,
}
