"""The plant, a Gymnasium environment, and the problem that is planned for it: from what a command line says."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.registration import load_env_creator

import ebm
import envs

from ._errors import UsageError, missing, near, one_line
from ._goals import Names, Wishes, energy_of, guardrails_of

DEFAULT_SECONDS = 10.0  # an episode of a plant that sets no limit itself
FILES = (".xml", ".mjcf", ".urdf", ".mjb")


class Bench(NamedTuple):
    """A plant under test.

    `problem` is what is planned with, `judged` the same with every guardrail, by which the plant's real states are judged; both are `None`
    if nothing is known to be wanted of this plant.
    """

    plant: gymnasium.Env
    problem: ebm.AbstractProblem | None
    judged: ebm.AbstractProblem | None
    period: float
    max_steps: int
    keyframe: int | None


def is_file(plant: str) -> bool:
    """Whether this names a model file rather than an environment."""
    return Path(plant).suffix.lower() in FILES or Path(plant).is_file()


def mujoco_ids() -> list[str]:
    """The environments that can be plants."""
    newest = [
        name for name, spec in gymnasium.registry.items() if str(spec.entry_point).startswith("gymnasium.envs.mujoco") and spec.version == 5
    ]
    return sorted([*envs.ENTRY_POINTS, *newest])


def make_plant(
    plant: str,
    *,
    seconds: float | None = None,
    period: float | None = None,
    goal: float | None = None,
    env: Mapping[str, Any] | None = None,
) -> gymnasium.Env:
    """The environment that a command line names, with the episode and the control period that it asks for, and its own options in `env`.

    **Raises:**

    `UsageError`, `FileNotFoundError` or `ValueError` in one line.
    """
    if is_file(plant):
        if goal is not None:
            raise UsageError("--goal is for environments with a goal of their own. For a model file use --reach NAME=WHERE.")
        return envs.MjcfEnv(plant, period=period, seconds=seconds or DEFAULT_SECONDS)
    if plant not in gymnasium.registry:
        raise UsageError(
            f"there is no plant {plant!r}.{near(plant, mujoco_ids())} Give the id of a MuJoCo environment (`ebm list` shows them) "
            "or the path of an MJCF file."
        )
    spec = gymnasium.spec(plant)
    accepted = _parameters(spec)
    options: dict[str, Any] = dict(env or {})
    if goal is not None:
        if "goal" not in accepted:
            raise UsageError(f"--goal: {plant} has no goal of its own to move. Use --reach NAME=WHERE.")
        options["goal"] = goal
    if seconds is not None and "seconds" in accepted:
        options["seconds"] = seconds
    made = _make(plant, **options)
    inner: Any = made.unwrapped
    if not isinstance(getattr(inner, "model", None), mujoco.MjModel):
        raise UsageError(
            f"{plant} is not a MuJoCo environment, so there is no physics to plan with. Choose one of `ebm list`, such as Reacher-v5."
        )
    if period is not None and abs(period - inner.dt) > 1e-9:
        if "frame_skip" not in accepted:
            raise UsageError(f"--period {period:g}: {plant} has a fixed control period of {inner.dt:g} s. Leave --period out.")
        timestep = inner.model.opt.timestep
        options["frame_skip"] = round(period / timestep)
        if options["frame_skip"] < 1 or abs(options["frame_skip"] * timestep - period) > 1e-9:
            raise UsageError(f"--period {period:g}: must be a multiple of {plant}'s timestep {timestep:g} s, such as {inner.dt:g}.")
        made.close()
        made = _make(plant, **options)
        inner = made.unwrapped
    if seconds is not None and "seconds" not in accepted:
        options["max_episode_steps"] = max(1, round(seconds / inner.dt))
        made.close()
        made = _make(plant, **options)
    return made


def build(
    plant: str,
    wishes: Wishes,
    *,
    seconds: float | None = None,
    period: float | None = None,
    goal: float | None = None,
    mass: float = 1.0,
    friction: float = 1.0,
    delay: int = 0,
    known: bool = False,
    guarded: bool = True,
    engine: str = "c",
    keyframe: str | None = None,
    planned: bool = True,
    env: Mapping[str, Any] | None = None,
) -> Bench:
    """Everything that an episode needs.

    **Arguments:**

    - `mass`, `friction`: factors on the plant's masses and inertias, and on its friction and damping; the plan model keeps its own, unless
      they are `known`. `delay`: control periods that actions come late, of which the plan model never knows.
    - `guarded`: whether the planner knows the guardrails. The judge always does.
    - `planned`: whether somebody plans: without, a plant of which nothing is wanted will do.
    - `env`: options of the environment.

    **Raises:**

    `UsageError`, `FileNotFoundError` or `ValueError` in one line that names the remedy.
    """
    made = make_plant(plant, seconds=seconds, period=period, goal=goal, env=env)
    if known:
        scale_plant(made.unwrapped, mass, friction)
    judged = make_problem(plant, made, wishes, required=planned)
    problem = judged
    if problem is not None and not guarded:
        problem = eqx.tree_at(lambda p: p.guardrails, problem, ())
    if problem is not None and engine == "mjx":
        problem = on_mjx(problem)
    inner: Any = made.unwrapped
    key = find_keyframe(inner.model, keyframe, plant)
    if not known:
        scale_plant(inner, mass, friction)
    if delay:
        made = Delayed(made, delay)
    steps = made.spec.max_episode_steps if made.spec is not None else None
    if getattr(inner, "seconds", None):
        steps = round(inner.seconds / inner.dt)
    return Bench(made, problem, judged, float(inner.dt), steps or round(DEFAULT_SECONDS / inner.dt), key)


def make_problem(plant: str, env: gymnasium.Env, wishes: Wishes, *, required: bool) -> ebm.Problem | None:
    """The goals that were named, or else the ready-made ones of this environment; and the guardrails of both."""
    bare = envs.load(env)
    names = Names(bare.mj_model, plant)
    energy = energy_of(wishes, names, bare.action_space)
    keep = guardrails_of(wishes, names)
    ready = None if is_file(plant) else ready_made(env)
    if energy is None and ready is None:
        if required:
            raise UsageError(
                f"what should {plant} do? Name a goal: --reach NAME=WHERE, --upright NAME or --speed NAME=NUMBER. It has {names.listing()}."
            )
        if not keep:
            return None
        energy = 0.0 * ebm.Effort()
    if ready is None:
        model = envs.load(env, read=ebm.readings((energy, keep)))
        return _problem(model, energy, keep)
    more = ebm.readings((energy, keep))
    energy, guardrails = energy or ready.energy, (*ready.guardrails, *keep)
    model = envs.problem(env, read=more).model if more else ready.model
    limited: dict[str, Any] = {"rate_limit": ready.rate_limit, "limits": ready.limits}
    return _problem(model, energy, guardrails, risk=ready.risk, num_latents=ready.num_latents, **limited)


def ready_made(env: gymnasium.Env) -> ebm.Problem | None:
    """The problem that comes with an environment, or `None`."""
    try:
        return envs.problem(env)
    except ValueError:  # it has none
        return None


def on_mjx(problem: ebm.Problem) -> ebm.Problem:
    """The same problem, planned with MuJoCo's physics in JAX, which knows one nominal world only."""
    if missing("mujoco.mjx"):
        raise UsageError(
            '--engine mjx needs MuJoCo\'s physics in JAX. Install it with `pip install "energy-planning[mjx]"`, or use --engine c.'
        )
    model: Any = problem.model
    limited: dict[str, Any] = {"rate_limit": problem.rate_limit, "limits": problem.limits}
    return ebm.Problem(envs.MjxModel.of(model), problem.energy, problem.guardrails, **limited)


def find_keyframe(model: mujoco.MjModel, keyframe: str | None, plant: str) -> int | None:
    """The number of a keyframe, by its name or number."""
    if keyframe is None:
        return None
    names = [model.key(i).name or str(i) for i in range(model.nkey)]
    if keyframe in names:
        return names.index(keyframe)
    if keyframe.isdigit() and int(keyframe) < len(names):
        return int(keyframe)
    raise UsageError(f"--keyframe {keyframe}: {plant} has {', '.join(names) or 'no keyframe'}.{near(keyframe, names)}")


def scale_plant(inner: Any, mass: float, friction: float = 1.0) -> None:
    """Make all bodies of a plant `mass` times as heavy, and as hard to turn; and everything that rubs, `friction` times as rough."""
    if mass == friction == 1.0:
        return
    for model in {id(m): m for m in (inner.model, getattr(inner, "nominal", inner.model))}.values():
        model.body_mass[:] *= mass
        model.body_inertia[:] *= mass
        model.geom_friction[:] *= friction
        model.dof_damping[:] *= friction
        model.dof_frictionloss[:] *= friction
        strength = model.actuator_acc0.copy()  # muscles are as strong as before
        mujoco.mj_setConst(model, mujoco.MjData(model))
        model.actuator_acc0[:] = strength


def at_rest(space: Any) -> np.ndarray:
    """The action of a Gymnasium box that is nearest to zero."""
    return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)


class Delayed(gymnasium.Wrapper):
    """A plant on which every action takes effect `delay` control periods after it was sent; until the first one does, it is at rest."""

    def __init__(self, env: gymnasium.Env, delay: int):
        super().__init__(env)
        self.delay = delay

    def reset(self, **options: Any) -> Any:
        """Begin an episode, with nothing under way."""
        self.under_way = [at_rest(self.env.action_space)] * self.delay
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        """Send an action, and let the one take effect whose time has come."""
        self.under_way.append(action)
        return super().step(self.under_way.pop(0))


def _problem(model: Any, energy: ebm.AbstractEnergy, guardrails: tuple, **options: Any) -> ebm.Problem:
    names = [guardrail.name for guardrail in guardrails]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"the guardrail {twice!r} is there twice. Name each --keep once.")
    return ebm.Problem(model, energy, guardrails, **options)


def _make(plant: str, **options: Any) -> gymnasium.Env:
    try:
        return gymnasium.make(plant, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"{plant} cannot be made: {one_line(error)}") from error


def _parameters(spec: Any) -> set[str]:
    creator = spec.entry_point
    if isinstance(creator, str):
        try:
            creator = load_env_creator(creator)
        except Exception as error:  # whatever importing a stranger's environment ends in
            raise UsageError(f"{spec.id} cannot be loaded: {one_line(error)}") from error
    return set(inspect.signature(creator).parameters)
