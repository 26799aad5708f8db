"""How `ebm eval` judges models of ReacherMatch: pinned episodes, beside those of who knows nothing, and of who knows the physics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import ebm
import envs
import planners

from . import _reacher
from ._errors import UsageError
from ._eval import FLOORS, Search
from ._reacher import HELD
from ._rooms_diagnosis import Light, spectrum
from ._rooms_eval import OWN, Episode, Policy, play_in

TITLE, UNIT, STEPS = "ReacherMatch", "rad", 50
RULE = "both joints within 0.1 rad of the goal at one of 50 steps"
SEARCH = Search("icem", 200, 8, 5)
TOLERANCE = 1.0  # of features, whose numbers have deviations of 1 (states) to 3 (pictures)
NOISE = 0.6  # of sampled actions, in half ranges of their box
GAIN = 0.1  # of the range of a torque, for every rad from the goal


# Set on trainings that plan well, seed 0 of either kind.
LIGHTS = {
    "angles R²": Light(0.98, 0.9, "the joints are not in the features: more films, longer"),
    "action sensitivity": Light(0.1, 0.03, "actions hardly matter to the predictor: longer films, stronger torques"),
    "error after 1 step": Light(0.25, 0.5, "the predictor is little better than standing still: train it longer"),
    "error after 5 steps": Light(0.3, 0.6, "errors add up: train longer, and on longer films"),
}
FILMS, SEED = 500, 424242  # not what anything is trained on


def rows(trained: Path, search: Search) -> tuple[Any, dict[str, Callable[[int], Episode]]]:
    """The model, and who is judged: name -> seed -> episode.

    **Raises:**

    `UsageError` for another pace than the model's.
    """
    if search.replan != HELD:
        raise UsageError(
            f"--replan {search.replan}: this model remembers what it saw every {HELD} steps, and knows no other pace. Leave it out."
        )
    model = _reacher.load(trained)
    options = {"horizon": search.horizon, "num_samples": search.samples, "num_iterations": search.iterations}
    planner = planners.planner(search.planner, noise=NOISE, **options)
    planned_ = {search.row: lambda seed: play(planned(model, planner, seed), sees(model), seed)}
    return model, planned_ | {name: lambda seed, name=name: play(floor(name, seed), "state", seed) for name in FLOORS}


def sees(model: ebm.RecurrentJEPA) -> str:
    """What a model was trained to see."""
    return "state" if len(model.encoder.shape) == 1 else "picture"


def diagnose(model: ebm.RecurrentJEPA) -> dict[str, float]:
    """What the model is worth before anybody plans in it."""
    films, angles = _reacher.record_with_angles(sees(model), SEED, FILMS, 9)
    return {name: float(value) for name, value in _measure(model, films, angles, jax.random.key(SEED)).items()}


@eqx.filter_jit
def _measure(model: ebm.RecurrentJEPA, films: ebm.Recordings, angles: Any, key: Any) -> dict[str, Any]:
    seen = jnp.asarray(films.observations).reshape(FILMS, 9, *model.encoder.shape)
    torques = jnp.asarray(films.actions).reshape(FILMS, 9, 2)[:, :-1]
    watched, foreseen = jax.lax.map(lambda film: model.watch(film[0], film[1], _reacher.SIGHTS), (seen, torques), batch_size=50)
    features, first = watched.features, _reacher.SIGHTS - 1
    flat, truth = features.reshape(-1, features.shape[-1]), jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1).reshape(-1, 4)

    def error(ahead: int) -> Any:
        came, before = features[:, first + ahead], features[:, first]
        return ebm.relative_error(foreseen[:, first + ahead - 1], came, before)

    def apart(x: Any) -> Any:
        way = x[..., -1, :] - x[..., 0, :]
        return jnp.sqrt(jnp.sum(way**2, axis=(-1, *range(way.ndim - 2))))

    here = jax.vmap(lambda film, acted: model.watch(film, acted)[0])(seen[:50], torques[:50])
    one, other = (
        jax.vmap(lambda f, c, a: model.foresee(ebm.Remembered(f, c, None), a))(
            here.features[:, first], here.context[:, first], jnp.tile(sign * model.action_space.high, (50, 1))
        )
        for sign in (-1.0, 1.0)
    )
    return {
        "angles R²": jnp.min(ebm.probe(flat, truth, key=key)),
        **spectrum("features", flat),
        "rank correlation": ebm.rank_correlation(apart(features), apart(jnp.stack([jnp.cos(angles), jnp.sin(angles)]))),
        "action sensitivity": ebm.action_sensitivity(one, other),
        "error after 1 step": error(1),
        "error after 5 steps": error(5),
    }


def play(policy: Policy, sees: str, seed: int) -> Episode:
    """One episode, in which `policy` acts every 5 steps."""
    return play_in(gymnasium.make("ReacherMatch-v0", sees=sees), policy, seed, HELD)


def planned(model: ebm.RecurrentJEPA, planner: planners.AbstractPlanner, seed: int) -> Policy:
    """A policy that plans in a learned world, with a memory of what it has seen."""
    features = jnp.zeros(model.encoder.size)
    problem = ebm.Problem(model, ebm.Approach("features", features, tolerance=TOLERANCE, name="goal"))
    agent = planners.Agent(problem, planner, ebm.Filtering())
    memory: Any = None

    def policy(observation, info, tick):
        nonlocal agent, memory
        if tick == 0:
            agent = eqx.tree_at(lambda a: a.problem, agent, _towards(agent.problem, info["goal_observation"]))
            memory = agent.init(key=jax.random.key(seed))
        action, memory = agent.act(np.asarray(observation, np.float32) if observation.ndim == 1 else observation, memory)
        return np.asarray(action)

    return policy


def floor(name: str, seed: int) -> Policy:
    """Who knows nothing: "random", "still"; who turns each joint straight to its goal: "straight"; who knows the physics: "oracle"."""
    env: Any = gymnasium.make("ReacherMatch-v0").unwrapped
    env.reset(seed=seed)
    strength = env.action_space.high
    wandering = envs.ReacherMatchEnv.wander(np.random.default_rng((seed, OWN)), 1000)
    ask: Callable[[Any, Any], Any] | None = _knowing(env, seed) if name == "oracle" else None

    def policy(observation, info, tick):
        if name == "random":
            return wandering[tick]
        if name == "still":
            return np.zeros(2)
        if ask is not None:
            return ask(observation, info)
        way = (info["goal"] - info["angles"] + np.pi) % (2 * np.pi) - np.pi
        return np.clip(GAIN * way, -1.0, 1.0) * strength

    return policy


def _knowing(env: Any, seed: int) -> Callable[[Any, Any], Any]:
    """Plans in the physics itself, of which it is told the state."""
    model = envs.load(env, period=HELD * env.dt)
    problem = ebm.Problem(model, env.problem().energy)
    agent = planners.Agent(problem, planners.iCEM(horizon=5, num_samples=100, num_iterations=4, noise=NOISE))
    memory = agent.init(key=jax.random.key(seed))

    def ask(observation, info):
        nonlocal memory
        speeds = observation[4:] * envs.ReacherMatchEnv.slow
        action, memory = agent.act(model.state(qpos=info["angles"], qvel=speeds), memory)
        return np.asarray(action)

    return ask


@eqx.filter_jit
def _towards(problem: Any, observation: Any) -> Any:
    return problem.with_goal(problem.model.encode(observation))
