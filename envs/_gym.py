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
from ._gym_tasks import TASKS, Task
from ._load import Plant, _spec_of_env, as_env, as_spec, load, names
from ._mujoco import MujocoModel
from ._register import ENTRY_POINTS

ENGINES = ("c",)
READY_MADE = (*TASKS, *ENTRY_POINTS)  # the environments that need no `energy`


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
    - `energy`: what is wanted. May be left out for Gymnasium's own environments, whose reward it then mirrors (contact costs apart; for
      the inverted pendulums it also says how well they stand); what ends a walker's episode becomes a guardrail beside `guardrails`. And
      for our own, which bring their guardrails and plan model along.
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
    guardrails = (guardrails,) if isinstance(guardrails, ebm.AbstractGuardrail) else tuple(guardrails)
    try:
        inner = None if env is None else env.unwrapped
        own = inner.problem() if energy is None and isinstance(inner, AbstractMujocoEnv) else None
        if own is not None:
            more = (*ebm.readings(guardrails), *((read,) if isinstance(read, str) else read))
            model = _with(own.model, env, (*ebm.readings((own.energy, own.guardrails)), *more), period, parameters or {})
            guardrails, limited = (*own.guardrails, *guardrails), {"rate_limit": own.rate_limit, "limits": own.limits}
            return ebm.Problem(model, own.energy, guardrails, risk=own.risk, num_latents=own.num_latents, **limited)
        if energy is None:
            energy, limits = _ready(plant, env)
            guardrails = (*limits, *guardrails)
        needed = tuple(dict.fromkeys((*ebm.readings((energy, guardrails)), *((read,) if isinstance(read, str) else read))))
        model = load(env or plant, read=needed, period=period, parameters=dict(parameters or {}))
    finally:
        if env is not None and env is not plant:
            env.close()
    return ebm.Problem(model, energy, guardrails)


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


def _with(model: Any, env: Any, read: tuple[str, ...], period: float | int | None, parameters: Mapping[str, ArrayLike]) -> Any:
    """An environment's own plan model, or one like it that also has these readings, this period and these factors."""
    state = model.example_state()
    try:
        for name in read:
            state.read(name)
        if period is None and not parameters:
            return model
    except KeyError:  # there is more to read
        pass
    own = dict(zip(model.engine.parameters, np.asarray(model.parameters), strict=True))
    more = load(env, read=read, period=period, parameters={**own, **parameters}, action_space=model.action_space)
    spread = jnp.ones_like(more.spread).at[:, : len(own)].set(model.spread)  # new factors are known
    return eqx.tree_at(lambda m: m.spread, more, spread)


def _ready(plant: Plant, env: gymnasium.Env | None) -> Task:
    """What an environment is for, if it says so itself."""
    env_id = env.spec.id if env is not None and env.spec is not None else None
    if env is not None and env_id in TASKS:
        return TASKS[env_id](env.unwrapped)
    spec = as_spec(plant) if env is None else _spec_of_env(env)
    known = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in names(spec).items() if found)
    raise ValueError(
        f"{env_id or 'This model'} has no energy of its own: pass `energy=`, such as `ebm.Reach('site:tip', goal)`. It can be built from "
        f"{known}. Ready-made energies exist for {', '.join(READY_MADE)}."
    )
