"""The loop: observe the live simulator, decide, step the plant, judge what happened."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, Protocol, Self

import gymnasium
import jax
import mujoco
import numpy as np

import ebm
import envs
import planners

from ._judge import Judge, Verdict
from ._plant import Bench, at_rest
from ._success import success

PLANS_KEPT = 60  # per episode, for the plot of what was planned
RESULT_NAMES = ("successful", "infeasible", "nonfinite_state", "nonfinite_plan", "bad_gradient")


class Recorder(Protocol):
    """What takes the lines of an episode, such as a run folder."""

    def step(self, **line: Any) -> None:
        """One control period."""

    def episode(self, **line: Any) -> None:
        """One episode, at its end."""


class Decision(NamedTuple):
    """What a policy decided: the action, how long it thought (ms), its plan, if it made one, and how many steps of the model that took."""

    action: np.ndarray
    milliseconds: float | None = None
    plan: planners.Plan | None = None
    model_steps: float | None = None


class Stop:
    """Turns the first Ctrl-C into a wish that the loop looks at; the second one ends the program. Use it in a `with` statement."""

    def __init__(self):
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class PlannerPolicy:
    """An agent that reads the simulator's state. Its random numbers follow from the seed of the episode, and from `restart`."""

    def __init__(self, bench: Bench, planner: planners.AbstractPlanner, filter: planners.AbstractFilter | None = None, restart: int = 0):
        if bench.problem is None:
            raise ValueError("A planner needs a problem.")
        self.model: Any = bench.problem.model
        self.simulator: Any = bench.plant.unwrapped
        live = isinstance(self.model, envs.MujocoModel)
        self.agent = planners.Agent(bench.problem, planner, envs.FromGym(bench.plant) if live else ebm.Direct(), filter=filter)
        self.restart = restart
        self._memory: Any = None

    def reset(self, seed: int) -> None:
        """Forget the last episode."""
        key = jax.random.key(seed)
        self._memory = self.agent.init(key=jax.random.fold_in(key, self.restart) if self.restart else key)

    def act(self) -> Decision:
        """Decide, from what the simulator is now."""
        start, before = time.perf_counter(), self._steps()
        action, plan, self._memory = self.agent.decide(self._observe(), self._memory)
        action = np.asarray(action)
        return Decision(action, 1e3 * (time.perf_counter() - start), plan, self._steps() - before)

    def _steps(self) -> float:
        """Control periods that the plan model has simulated, where they are counted: on the C engine."""
        if not isinstance(self.model, envs.MujocoModel):
            return float("nan")
        return self.model.engine.pool.steps / self.model.engine.substeps

    def _observe(self) -> Any:
        """Nothing for a perceiver that looks into the simulator itself; for a model on another engine, the state in its layout."""
        return None if isinstance(self.agent.perceiver, envs.FromGym) else self.model.state(self.simulator.data)

    def warm_up(self) -> float:
        """Compile; the s that it took."""
        start = time.perf_counter()
        self.reset(0)
        self.act()
        return time.perf_counter() - start


class Floor:
    """What any planner must beat: no action, or random ones."""

    def __init__(self, bench: Bench, name: str):
        self.space: Any = bench.plant.action_space
        self.random = name == "random"

    def reset(self, seed: int) -> None:
        """Begin the random numbers of an episode."""
        self.space.seed(seed)

    def act(self) -> Decision:
        """Decide, from nothing."""
        return Decision(self.space.sample() if self.random else at_rest(self.space))


Watch = Callable[[int, int, Decision | None], None]  # episode, step, decision: before the first step and after each


def run_episode(
    bench: Bench,
    policy: PlannerPolicy | Floor,
    judge: Judge | None,
    writer: Recorder,
    *,
    episode: int,
    seed: int,
    stop: Stop,
    watch: Watch,
    progress: Callable[[float, float | None], None],
) -> dict[str, Any]:
    """One episode, written into the run folder; its line in `episodes.jsonl` is returned."""
    env = bench.plant
    inner: Any = env.unwrapped
    start_episode(env, bench.keyframe, seed)
    policy.reset(seed)
    watch(episode, 0, None)
    model: Any = None if bench.judged is None else bench.judged.model
    every = max(1, bench.max_steps // PLANS_KEPT)
    state = None if model is None else model.state(inner.data)
    previous = np.zeros(env.action_space.shape or (), np.float32)
    collected = {"return": 0.0, "energy": 0.0, "margins": {}, "violated": 0}
    history: list[dict[str, Any]] = []
    verdict, step, terminated, truncated = Verdict({}, {}, [], None), 0, False, False
    while not (terminated or truncated or step >= bench.max_steps or stop.asked):
        decision = policy.act()
        _, reward, terminated, truncated, info = env.step(decision.action)
        history.append(info)
        line: dict[str, Any] = {"episode": episode, "step": step, "time": (step + 1) * bench.period, "reward": float(reward)}
        line |= {"action": decision.action.tolist(), "replan_ms": decision.milliseconds, "model_steps": decision.model_steps}
        if decision.plan is not None:
            line |= {"result": result_name(decision.plan.result), "planned_energy": float(decision.plan.energy)}
        if judge is not None and model is not None:
            after = model.state(inner.data)
            verdict = judge(state, decision.action, after, previous, step)
            if info.get("diverged"):  # what is seen now is a new world: nothing is known of what was kept in the old one
                verdict = verdict.unknown()
            state = after
            line |= {"terms": verdict.terms, "margins": verdict.margins, "tracked": verdict.tracked, "distance": verdict.distance}
            if decision.plan is not None and step % every == 0:
                line["plan"] = judge.planned(decision.plan.trajectory)
            collect(collected, verdict)
        writer.step(**line)
        collected["return"] += float(reward)
        previous, step = decision.action, step + 1
        watch(episode, step, decision)
        progress(collected["return"], decision.milliseconds)
    row: dict[str, Any] = {"episode": episode, "seed": seed, "return": collected["return"], "steps": step}
    row |= {
        "terminated": bool(terminated),
        "diverged": bool(history and history[-1].get("diverged")),
        "interrupted": stop.asked and not (terminated or truncated),
        "success": success(env, history, step * bench.period, terminated),
    }
    if judge is not None:
        row |= {"energy": collected["energy"] / max(step, 1), "margins": collected["margins"], "violated_steps": collected["violated"]}
        row["distance"] = verdict.distance
    writer.episode(**row)
    return row


def start_episode(env: gymnasium.Env, keyframe: int | None, seed: int) -> None:
    """Reset the plant, to a keyframe if there is one."""
    env.reset(seed=seed)
    if keyframe is not None:
        inner: Any = env.unwrapped
        mujoco.mj_resetDataKeyframe(inner.model, inner.data, keyframe)
        inner.data.time = 0.0
        mujoco.mj_forward(inner.model, inner.data)


def collect(collected: dict[str, Any], verdict: Verdict) -> None:
    """Add one step to the sums of an episode."""
    collected["energy"] += sum(verdict.terms.values())
    for name, value in verdict.margins.items():
        collected["margins"][name] = float(np.minimum(value, collected["margins"].get(name, np.inf)))  # once unknown, unknown
    collected["violated"] += any(not value >= 0 for value in verdict.margins.values())


def result_name(result: Any) -> str:
    """The short name of how planning ended."""
    for name in RESULT_NAMES:
        if bool(result == getattr(planners.RESULTS, name)):
            return name
    return "other"
