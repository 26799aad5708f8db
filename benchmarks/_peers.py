"""`ebm bench peers`: the same problems through other libraries' planners and ours, taking turns in one run.

Every peer runs in a process of its own, in an environment of their own that is made once, and is asked for one replan at a time; the
others wait meanwhile. Peers keep their defaults but for the size of the problem.
"""

import contextlib
import json
import subprocess
import time
import venv
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array

import ebm
import envs
import planners

from ._errors import UsageError
from ._recommended import accepted
from .peers.problems import PROBLEMS
from .peers.worker import ITERATIONS, REPLANS, begin, total

FOLDER = Path(__file__).parent / "peers"
SAMPLES = {"pendulum": 512, "cart-pole": 512, "box": 128}
ROUNDS, WARM, SEEDS, RESAMPLES = 60, 5, 10, 2000
NOISE = 0.5  # of half the action box, as the peers
LAST = {"icem": 10.0}  # how often the last state of a plan counts, once elsewhere: pytorch-icem's default, so ours beside it has it too
SAMPLING = {"pytorch-mppi": "mppi", "pytorch-icem": "icem", "torchrl-cem": "cem"}  # peer -> which of ours does the same
JAX = {"plain-jax": "mppi", "mctx": "tree"}
PAIRS = {"pendulum": SAMPLING | JAX | {"crocoddyl": "ilqr"}, "cart-pole": SAMPLING | JAX | {"crocoddyl": "ilqr"}, "box": SAMPLING}


def run_peers(out: Path, progress: Any) -> dict[str, Any]:
    """Measure, and write `peers.json`; `progress` is called with a line of text now and then."""
    from ._runs import clean, versions

    python = prepared(Path.cwd() / ".cache" / "peers", progress)
    rows: dict[str, Any] = {}
    for problem, pairs in PAIRS.items():
        rows |= compare(python, problem, pairs, lambda text, problem=problem: progress(f"{problem}: {text}"))
    requirements = [line for line in (FOLDER / "requirements.in").read_text().splitlines() if line and not line.startswith("#")]
    record = {
        "suite": "peers",
        "command": "ebm bench peers",
        "problem": f"medians of {ROUNDS} replans; costs of the plan after {REPLANS} replans and in closed loop, means of {SEEDS} seeds",
        "samples": SAMPLES,
        "versions": versions() | {"peers": requirements},
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(clean(record), indent=1) + "\n")
    return record


def compare(python: Path, problem: str, pairs: dict[str, str], progress: Any) -> dict[str, Any]:
    """Every pair of a peer and one of ours on a problem; one row each."""
    workers = {name: Worker(python, name, problem) for name in pairs}
    runners: dict[str, Any] = {name: Ours(name, problem) for name in dict.fromkeys(pairs.values())} | workers
    try:
        times: dict[str, list[float]] = {name: [] for name in runners}
        for i in range(WARM + ROUNDS):
            progress(f"replan {i + 1} of {WARM + ROUNDS}")
            for name in list(runners)[:: 1 if i % 2 else -1]:
                taken = runners[name].replan()
                if i >= WARM:
                    times[name].append(taken)
        costs: dict[str, dict[str, list[float]]] = {}
        for name, runner in runners.items():
            progress(f"costs of {name}")
            costs[name] = {"plan": [runner.plan(seed) for seed in range(SEEDS)], "loop": [runner.episode(seed) for seed in range(SEEDS)]}
    finally:
        for worker in workers.values():
            worker.close()
    draws = np.random.default_rng(0).integers(ROUNDS, size=(RESAMPLES, ROUNDS))
    rows = {}
    for peer, own in pairs.items():
        theirs, ours = np.array(times[peer]), np.array(times[own])
        ratios = np.median(theirs[draws], axis=1) / np.median(ours[draws], axis=1)
        rows[f"{problem}: {peer} / {own}"] = {
            "times_faster": float(np.median(theirs) / np.median(ours)),
            "interval": np.percentile(ratios, [2.5, 97.5]).tolist(),
            "peer_ms": float(np.median(theirs)),
            "ours_ms": float(np.median(ours)),
            "peer": costs[peer],
            "ours": costs[own],
        }
    return rows


def prepared(folder: Path, progress: Any) -> Path:
    """The Python of the peers' environment, which is made if it is not there or its requirements have changed."""
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    lock = FOLDER / "requirements.lock"
    wanted = lock.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        progress(f"making {folder}")
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", lock],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UsageError(
                f"the peers cannot be installed: {done.stderr.strip().splitlines()[-1]} Torch's build for the processor is not on PyPI: "
                "name PyTorch's own index for it, as PIP_EXTRA_INDEX_URL."
            )
        stamp.write_text(wanted)
    return python


class Worker:
    """A peer in its own process."""

    def __init__(self, python: Path, name: str, problem: str):
        command = [python, FOLDER / "worker.py", name, problem, str(SAMPLES[problem])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def replan(self) -> float:
        """ms."""
        return self._ask("replan")

    def plan(self, seed: int) -> float:
        """The cost of what it plans from rest; NaN if it does not show its plan."""
        return self._ask(f"plan {seed}")

    def episode(self, seed: int) -> float:
        """The total cost in closed loop."""
        return self._ask(f"episode {seed}")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # pyright: ignore[reportOptionalMemberAccess]

    def _ask(self, line: str) -> float:
        pipes: Any = self.process
        with contextlib.suppress(BrokenPipeError):
            pipes.stdin.write(line + "\n")
            pipes.stdin.flush()
        answer = pipes.stdout.readline()
        if not answer:
            said = pipes.stderr.read().strip().splitlines() or ["without a word"]
            raise UsageError(f"a peer has stopped: {said[-1]}")
        return float(answer)


class Same(ebm.AbstractStageEnergy):
    """The cost of a problem that peers solve, as an energy per second."""

    problem: Any = eqx.field(static=True)
    last: float = 1.0

    def stage(self, state, action, previous_action, time):
        return self.problem.cost(jnp, flat(state), action) / self.problem.dt

    def final(self, state, time):
        return (self.last - 1.0) * self.problem.cost(jnp, flat(state), jnp.zeros(len(self.problem.limit)))


class Ours:
    """One of our planners, asked in the same way."""

    def __init__(self, name: str, problem: str):
        self.problem = PROBLEMS[problem]()
        self.model = model_of(self.problem)
        options = {"horizon": self.problem.horizon, "noise": NOISE, "num_samples": SAMPLES[problem], "num_simulations": SAMPLES[problem]}
        options |= {"num_iterations": 1 if name == "mppi" else 5 if name == "ilqr" else ITERATIONS, "resolution": 3}
        if name == "ilqr":
            options["noise"] = 0.1
        planner = planners.planner(name, **accepted(name, options))
        self.agent = planners.Agent(ebm.Problem(self.model, Same(self.problem, LAST.get(name, 1.0))), planner)
        self.rest = np.asarray(self.problem.rest, float)
        self._reset(0)

    def replan(self) -> float:
        """ms, with everything that a user would wait for."""
        state, start = self._state(self.rest), time.perf_counter()
        self._act(state)
        return 1e3 * (time.perf_counter() - start)

    def plan(self, seed: int) -> float:
        """The cost of what it plans from rest."""
        self._reset(seed)
        actions = [self._act(self._state(self.rest)) for _ in range(REPLANS)][-1]
        return total(self.problem, self.rest, lambda t, _: actions[t], self.problem.horizon)

    def episode(self, seed: int) -> float:
        """The total cost in closed loop."""
        self._reset(seed)
        return total(self.problem, begin(self.problem, seed), lambda _, state: self._act(self._state(state))[0], self.problem.steps)

    def _reset(self, seed: int) -> None:
        self.memory = self.agent.init(key=jax.random.key(seed))

    def _act(self, state: Any) -> np.ndarray:
        _, plan, self.memory = self.agent.decide(state, self.memory)
        return np.asarray(plan.actions)

    def _state(self, values: np.ndarray) -> Any:
        if isinstance(self.model, envs.MujocoModel):
            return self.model.state(qpos=values[: self.model.mj_model.nq], qvel=values[self.model.mj_model.nq :])
        return type(self.model.example_state())(*values)


def flat(state: Any) -> Array:
    """A state as the numbers that peers know."""
    if isinstance(state, envs.PhysicsState):
        return jnp.concatenate([state.qpos, state.qvel])
    return jnp.stack(jax.tree.leaves(state))


def model_of(problem: Any) -> ebm.AbstractWorldModel:
    """Our model of the same world."""
    if hasattr(problem, "xml"):
        return envs.MujocoModel(mujoco.MjModel.from_xml_string(problem.xml), period=problem.dt)
    return envs.CartPole() if problem.size == 4 else envs.Pendulum()
