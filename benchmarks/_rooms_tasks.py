"""`ebm bench rooms-tasks`: what one frozen world model of Two Rooms can be asked for when it is used: a guardrail, and other energies.

Nothing here was known while it was trained. Places are shown to it as pictures, and distances are in px: its coordinates are actions.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
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

from . import _rooms, _rooms_eval
from ._eval import MODELS
from ._record import Record
from ._statistics import mean, rate, say_mean, say_rate

EPISODES, STEPS, LATER = 100, 200, 1_000_000  # between the seeds of a layout and of the next one tried
RADIUS, MARGIN = 5.0, 4.0  # px: of the forbidden disc; kept to spare, as the dot goes up to 12 px between two states of a plan
ROOM = 2.0  # px that must be left beside the disc
FAR, NEAR = 20.0, 8.0  # px: how far away is away, and where one begins
SAMPLES, ITERATIONS, HORIZON = 200, 6, 18
UNIT = 1.0 / (2.45 * _rooms.HELD)  # of the coordinates, a px: one is the longest action, held


def lineup(model: ebm.JEPA, region: ebm.Box) -> dict[str, Callable[[int], "Outcome"]]:
    """Row -> how one of its episodes is played."""
    two = planners.Subgoals(
        policy=ebm.Pursuit(model.action_space),
        region=region,
        horizon=HORIZON,
        num_samples=SAMPLES,
        num_iterations=ITERATIONS,
        num_subgoals=2,
    )
    one = _rooms_eval.make_planner("subgoals", model, region, HORIZON, 100, 4)
    freely = planners.iCEM(HORIZON, SAMPLES, ITERATIONS, noise=_rooms_eval.NOISE)
    multipliers = planners.AugmentedLagrangian(planner=two, penalty=10.0)  # pyright: ignore[reportCallIssue]
    rows: dict[str, Callable[[int], Outcome]] = {
        "disc, not known": partial(with_disc, "nothing", model, two),
        "disc, penalty": partial(with_disc, "penalty", model, two),
        "disc, ranking": partial(with_disc, "guardrail", model, two),
        "disc, augmented Lagrangian": partial(with_disc, "guardrail", model, multipliers),
    }
    rows |= {f"keep away, {who}": partial(keep_away, who, model, freely) for who in ("energy", "still", "random", "straight")}
    return rows | {f"patrol, {who}": partial(patrol, who, model, one) for who in ("energy", "still", "random", "straight", "oracle")}


def run_tasks(path: Path, *, only: tuple[str, ...] = (), episodes: int = EPISODES, first: int = 0) -> dict[str, Any]:
    """Play what `path` lacks."""
    rows = lineup(*_rooms.load(MODELS / "two-rooms"))
    record = Record(path, "rooms-tasks").data
    chosen = {name: run for name, run in rows.items() if not only or any(part in name for part in only)}
    return _rooms_eval.fill(path, record, chosen, range(first, first + episodes))


def table(record: dict[str, Any]) -> Any:
    """Success, how often and how deep the dot was in the disc, arrivals, and time."""
    from rich.table import Table

    shown = Table(title="One world model of Two Rooms, asked for other things", title_justify="left")
    for column in ("", "success", "in the disc", "deepest", "arrivals", "replan p50"):
        shown.add_column(column, justify="right" if column else "left")
    for name, known in record["rows"].items():
        episodes = list(known.values())
        times = [ms for episode in episodes for ms in episode["replan_ms"][1:]]
        cells = [name, say_rate(rate([episode["success"] for episode in episodes]))]
        deep = [episode["depth"] for episode in episodes]
        cells += [say_rate(rate([depth > 0 for depth in deep])), f"{max(deep):.1f} px"] if name.startswith("disc") else ["", ""]
        cells.append(say_mean(mean([episode["arrivals"] for episode in episodes])) if name.startswith("patrol") else "")
        shown.add_row(*cells, f"{np.median(times):.0f} ms" if times else "")
    return shown


class Outcome(NamedTuple):
    """How an episode went: `depth` is how far (px) the dot was inside of the disc, at worst; `arrivals` are counted."""

    seed: int
    success: bool
    depth: float
    arrivals: int
    replan_ms: list[float]


class Scene(NamedTuple):
    """An episode's environment at its beginning, and a place that matters in it, px."""

    env: Any
    observation: np.ndarray
    info: dict[str, Any]
    place: np.ndarray
    picture: np.ndarray


def disc_scene(seed: int) -> Scene:
    """An episode with a disc in the way through the door, which leaves a way around it; layouts without such a place are passed over."""
    for attempt in range(1000):
        env: Any = gymnasium.make("TwoRooms-v0").unwrapped
        observation, info = env.reset(seed=LATER * attempt + seed)
        door = np.array([info["wall"], info["door"]])
        rng = np.random.default_rng((seed, attempt, _rooms_eval.OWN))
        ends = [info["position"], info["goal"]]
        for end in (ends[i] for i in rng.permutation(2)):
            place = end + rng.uniform(0.3, 0.7) * (door - end)
            clear = min(np.linalg.norm(place - other) for other in (*ends, door))
            if clear > RADIUS + MARGIN + ROOM and passable(info, place):
                return Scene(env, observation, info, place, see(info, place))
    raise RuntimeError("No layout has room for the disc.")


def passable(info: dict[str, Any], place: np.ndarray) -> bool:
    """Whether there is a way from start to goal that keeps clear of walls and disc, on a grid of pixels."""
    x, y = np.meshgrid(np.arange(envs.TwoRoomsEnv.size), np.arange(envs.TwoRoomsEnv.size), indexing="ij")
    free = (x > 5) & (x < 59) & (y > 5) & (y < 59)
    free &= (np.abs(x - info["wall"]) > ROOM) | (np.abs(y - info["door"]) < ROOM)
    free &= np.hypot(x - place[0], y - place[1]) > RADIUS + MARGIN + 1.0
    start, goal = (tuple(np.rint(info[key]).astype(int).clip(6, 58)) for key in ("position", "goal"))
    queue, seen = deque([start]), {start}
    while queue:
        here = queue.popleft()
        if np.hypot(here[0] - goal[0], here[1] - goal[1]) <= 2:
            return True
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            there = (here[0] + step[0], here[1] + step[1])
            if free[there] and there not in seen:
                seen.add(there)
                queue.append(there)
    return False


def see(info: dict[str, Any], place: np.ndarray) -> np.ndarray:
    """The picture with the dot at `place`."""
    return np.asarray(envs.picture(_rooms_eval.at(info, place)))


def with_disc(kind: str, model: ebm.JEPA, planner: planners.AbstractPlanner, seed: int) -> Outcome:
    """Reach the goal, with the disc as a guardrail, as a penalty, or not at all ("nothing")."""
    scene = disc_scene(seed)
    goal, place = (encoded(model, picture) for picture in (scene.info["goal_picture"], scene.picture))
    rail = ebm.Tightened(ebm.KeepApart("features", place, RADIUS * UNIT, scale=UNIT, name="disc"), MARGIN * UNIT)
    energy: Any = ebm.Approach("features", goal, tolerance=_rooms_eval.TOLERANCE, name="goal")
    if kind == "penalty":
        energy = energy + ebm.Penalty(rail)
    problem = ebm.Problem(model, energy, guardrails=(rail,) if kind == "guardrail" else ())
    path, infos, times = act(scene, problem, planner, seed)
    depth = RADIUS - np.min(np.linalg.norm(between(path) - scene.place, axis=-1))
    return Outcome(seed, scene.env.success(infos), max(0.0, float(depth)), 0, times)


def keep_away(who: str, model: ebm.JEPA, planner: planners.AbstractPlanner, seed: int) -> Outcome:
    """Get away from a place and stay away: success is 20 px in every step of the second half."""
    env: Any = gymnasium.make("TwoRooms-v0").unwrapped
    rng = np.random.default_rng((seed, _rooms_eval.OWN))
    turn = rng.uniform(0, 2 * np.pi)
    _, info = env.reset(seed=seed)
    place = np.clip(info["position"] + NEAR * np.array([np.cos(turn), np.sin(turn)]), 6.6, 57.4)
    scene = Scene(env, np.asarray(see(info, info["position"])), info, place, see(info, place))
    if who == "energy":
        energy = ebm.Penalty(ebm.KeepApart("features", encoded(model, scene.picture), 1.3 * FAR * UNIT, scale=UNIT, name="away"))
        path, _, times = act(scene, ebm.Problem(model, energy), planner, seed)
    else:
        path, _, times = _drift(scene, who, seed)
    success = bool(np.all(np.linalg.norm(path[STEPS // 2 :] - place, axis=-1) >= FAR))
    return Outcome(seed, success, 0.0, 0, times)


def patrol(who: str, model: ebm.JEPA, planner: planners.AbstractPlanner, seed: int) -> Outcome:
    """Go to and fro between two rooms: as often as one can in 200 steps; success is three arrivals."""
    env: Any = gymnasium.make("TwoRooms-v0").unwrapped
    observation, info = env.reset(seed=seed)
    there, home = info["goal"], info["position"].copy()
    scene = Scene(env, observation, info, there, info["goal_picture"])
    places = [there, home]
    if who == "energy":
        pictures = [info["goal_picture"], observation]
        goals = [encoded(model, picture) for picture in pictures]
        problem = ebm.Problem(model, ebm.Approach("features", goals[0], tolerance=_rooms_eval.TOLERANCE, name="goal"))
        path, _, times = act(scene, problem, planner, seed, goals)
    else:
        path, _, times = _drift(scene, who, seed, places)
    count = 0
    for position in path:
        count += bool(np.linalg.norm(position - places[count % 2]) < envs.TwoRoomsEnv.at_goal)
    return Outcome(seed, count >= 3, 0.0, count, times)


def act(scene: Scene, problem: Any, planner: planners.AbstractPlanner, seed: int, goals: Any = ()) -> tuple[np.ndarray, list, list]:
    """Plan and act to the end; with several `goals`, the next one as soon as the model sees that one is reached."""
    agent = planners.Agent(problem, planner, ebm.Encoded())
    memory = agent.init(key=jax.random.key(seed))
    path, infos, times, reached = [scene.info["position"].copy()], [], [], 0
    observation = scene.observation
    for _ in range(0, STEPS, _rooms.HELD):
        start = time.perf_counter()
        if goals and _near(problem, observation, goals[reached % len(goals)]):
            reached += 1
            agent = eqx.tree_at(lambda a: a.problem, agent, problem.with_goal(goals[reached % len(goals)]))
        action, memory = agent.act(observation, memory)
        times.append(1e3 * (time.perf_counter() - start))
        for _ in range(_rooms.HELD):
            observation, _, _, _, info = scene.env.step(np.asarray(action))
            path.append(info["position"].copy())
            infos.append(info)
    return np.array(path), infos, times


def _drift(scene: Scene, who: str, seed: int, places: Any = ()) -> tuple[np.ndarray, list, list]:
    """A floor: "still", "random", straight from place to place or away from one, or the oracle's routes from place to place."""
    rng, longest, reached = np.random.default_rng((seed, _rooms_eval.OWN)), float(scene.env.action_space.high[0]), 0
    position, path, infos, ahead = scene.info["position"].copy(), [scene.info["position"].copy()], [], []
    for _ in range(STEPS):
        if places and np.linalg.norm(position - places[reached % 2]) < 0.5 * envs.TwoRoomsEnv.at_goal:
            reached, ahead = reached + 1, []
        if who == "random":
            action = rng.uniform(-longest, longest, 2)
        elif who == "still":
            action = np.zeros(2)
        elif who == "oracle":
            if not ahead:
                layout, goal = _rooms_eval.at(scene.info, position), jnp.asarray(places[reached % 2], jnp.float32)
                ahead = list(np.asarray(_rooms_eval.route(envs.TwoRooms(), layout, goal)))
            action = ahead.pop(0)
        else:
            way = places[reached % 2] - position if places else position - scene.place
            action = way * min(1.0 if places else np.inf, longest / max(float(np.linalg.norm(way)), 1e-6))
        _, _, _, _, info = scene.env.step(action.astype(np.float32))
        position = info["position"].copy()
        path.append(position)
        infos.append(info)
    return np.array(path), infos, []


def between(path: np.ndarray, count: int = 8) -> np.ndarray:
    """Also what lies between the steps of a path."""
    shares = np.linspace(0, 1, count, endpoint=False)[:, None]
    return np.concatenate([path[:-1, None] + shares * np.diff(path, axis=0)[:, None], path[1:, None]], axis=1).reshape(-1, 2)


@eqx.filter_jit
def encoded(model: ebm.JEPA, picture: Any) -> Any:
    return model.encode(picture).features


@eqx.filter_jit
def _near(problem: Any, observation: Any, goal: Any) -> Any:
    return jnp.linalg.norm(problem.model.encode(observation).features - goal) <= _rooms_eval.TOLERANCE
