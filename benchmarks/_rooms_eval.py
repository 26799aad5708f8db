"""Two Rooms, judged: episodes of the environment itself, beside those of who knows nothing, and of who knows all."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import ebm
import envs
import planners

from ._errors import Interrupted, UsageError
from ._rooms import HELD
from ._runs import clean

TOLERANCE = 0.3  # of displacement coordinates: 3.7 px
WIDE = 1.0  # of features, where they are planned in themselves
STEPS = 200  # of an episode
NOISE = 0.6  # of sampled actions, in half ranges of their box
REPLAN = 5  # steps after which the oracle looks again
SPEED = 0.98  # of the longest step along x or y, at which it goes
OWN = 2  # of the seeds of what is drawn beside an environment, which draws its episode from the seed alone


class Episode(NamedTuple):
    """How an episode went: the distance to the goal at its end and the smallest, px, and the time of every replan, ms."""

    seed: int
    success: bool
    distance: float
    nearest: float
    replan_ms: list[float]


Policy = Callable[[np.ndarray, dict[str, Any], int], np.ndarray]  # observation, info, tick -> action
Watch = Callable[[np.ndarray, dict[str, Any]], None]  # observation, info
Told = Callable[[planners.Plan], None]
ENV = "TwoRooms-v0"


def play(policy: Policy, seed: int, held: int = 1, watch: Watch | None = None, env: str = ENV) -> Episode:
    """One episode, in which `policy` acts every `held` steps, and `watch` sees every one."""
    return play_in(gymnasium.make(env), policy, seed, held, watch)


def play_in(env: gymnasium.Env, policy: Policy, seed: int, held: int = 1, watch: Watch | None = None) -> Episode:
    """The same in any environment whose `info` has a "distance", to the end of its episode."""
    env = env.unwrapped
    observation, info = env.reset(seed=seed)
    history, times, ended = [], [], False
    while not ended:
        start = time.perf_counter()
        action = policy(observation, info, len(history))
        times.append(1e3 * (time.perf_counter() - start))
        for _ in range(held):
            if watch is not None:
                watch(observation, info)
            observation, _, _, ended, info = env.step(action)
            history.append(info)
    distances = [float(info["distance"]) for info in history]
    return Episode(seed, env.success(history), distances[-1], min(distances), times)  # pyright: ignore[reportAttributeAccessIssue]


def fill(path: Path, record: dict[str, Any], rows: Mapping[str, Callable[[int], Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """Play what `record` lacks, and write it after every episode: row -> seed -> a tuple with names.

    **Raises:**

    `Interrupted`, with all that was done kept.
    """
    try:
        for row, run in rows.items():
            known = record["rows"].setdefault(row, {})
            for seed in seeds:
                if str(seed) not in known:
                    known[str(seed)] = clean(run(seed)._asdict())
                    replace(path, json.dumps(record, separators=(",", ":")) + "\n")
    except KeyboardInterrupt as stop:
        raise Interrupted(f"the same command goes on from here: {path}") from stop
    return record


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def pose(model: ebm.JEPA) -> ebm.Problem:
    """To be where a goal is seen, in the world that was learned."""
    goal = jnp.zeros_like(model.example_state().features)
    tolerance = WIDE if model.coordinates is None else TOLERANCE
    return ebm.Problem(model, ebm.Approach("features", goal, tolerance=tolerance, name="goal"))


def planned(model: ebm.JEPA, planner: planners.AbstractPlanner, seed: int, replan: int = HELD, told: Told | None = None) -> Policy:
    """A policy that plans in a learned world, from pictures, every so many steps; `told` hears of every plan."""
    agent = planners.Agent(pose(model), planner, ebm.Encoded())
    memory: Any = None

    def policy(observation, info, tick):
        nonlocal agent, memory
        if tick == 0:
            agent = eqx.tree_at(lambda a: a.problem, agent, _towards(agent.problem, info["goal_picture"]))
            memory = agent.init(key=jax.random.key(seed))
        action, plan, memory = agent.decide(observation, memory, elapsed=replan * model.dt / model.held)
        if told is not None:
            told(plan)
        return np.asarray(action)

    return policy


@eqx.filter_jit
def _towards(problem: Any, picture: Any) -> Any:
    return problem.with_goal(problem.model.encode(picture).features)


def make_planner(name: str, model: ebm.JEPA, region: ebm.Box, horizon: int, samples: int, iterations: int) -> planners.AbstractPlanner:
    """The planner of that name; subgoals are pursued by the policy that the coordinates give for free.

    **Raises:**

    `UsageError` if the model has no coordinates to pursue them in.
    """
    options = {"horizon": horizon, "num_samples": samples, "num_iterations": iterations}
    if name == "subgoals":
        if model.coordinates is None:
            raise UsageError("--planner subgoals: this model was trained with coordinates=0. Take another, such as icem.")
        return planners.Subgoals(policy=ebm.Pursuit(model.action_space), region=region, **options)
    return planners.planner(name, noise=NOISE, **options)


def floor(name: str, seed: int, world: envs.TwoRooms | None = None) -> Policy:
    """Who knows nothing of the wall: "random", "still", "straight"; and who knows all: "oracle"."""
    world = world or envs.TwoRooms()
    longest = float(world.action_space.high[0])
    rng = np.random.default_rng((seed, OWN))
    ahead = np.zeros((STEPS, 2))

    def policy(observation, info, tick):
        nonlocal ahead
        if name == "random":
            return rng.uniform(-longest, longest, 2)
        if name == "still":
            return np.zeros(2)
        if name == "straight":
            way = info["goal"] - info["position"]
            return way * min(1.0, longest / max(float(np.linalg.norm(way)), 1e-6))
        if tick % REPLAN == 0:  # it bounces off walls at random
            ahead = np.asarray(route(world, at(info, info["position"]), jnp.asarray(info["goal"])))
        return ahead[tick % REPLAN]

    return policy


def at(info: dict[str, Any], place: Any) -> envs.TwoRoomsState:
    """The dot at a place (px) in the layout that an environment tells of."""
    return envs.TwoRoomsState(jnp.asarray(place, jnp.float32), jnp.float32(info["wall"]), jnp.float32(info["door"]))


@eqx.filter_jit
def route(world: envs.TwoRooms, state: envs.TwoRoomsState, goal: Any, steps: int = REPLAN) -> Any:
    """The next actions of who knows wall and door."""
    return envs.oracle_route(state, goal, steps, SPEED * world.action_space.high[0], world)
