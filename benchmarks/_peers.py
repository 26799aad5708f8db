"""`ebm bench peers`: the same pendulum through other libraries' planners and ours, taking turns in one run.

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

import numpy as np

from ._errors import UsageError

FOLDER = Path(__file__).parent / "peers"
SAMPLES, HORIZON, STEPS = 512, 50, 150
ROUNDS, WARM, SEEDS, RESAMPLES = 60, 5, 10, 2000
START = 0.1  # rad and rad/s around hanging at rest
AGAINST = {"pytorch-mppi": "mppi", "pytorch-icem": "icem", "torchrl-cem": "cem"}  # which of ours does the same
OURS: dict[str, dict[str, Any]] = {
    "mppi": {"num_iterations": 1, "noise": 0.5},
    "icem": {"num_iterations": 3, "noise": 0.5},
    "cem": {"num_iterations": 3, "noise": 0.5},
}


def run_peers(out: Path, progress: Any) -> dict[str, Any]:
    """Measure, and write `peers.json`; `progress` is called with a line of text now and then."""
    from ._runs import clean, versions

    python = prepared(Path.cwd() / ".cache" / "peers", progress)
    workers = {name: Worker(python, name) for name in AGAINST}
    runners = {name: Ours(name) for name in OURS} | workers
    try:
        times: dict[str, list[float]] = {name: [] for name in runners}
        for i in range(WARM + ROUNDS):
            progress(f"replan {i + 1} of {WARM + ROUNDS}")
            for name in list(runners)[:: 1 if i % 2 else -1]:
                taken = runners[name].replan()
                if i >= WARM:
                    times[name].append(taken)
        costs = {}
        for name, runner in runners.items():
            progress(f"closed loop: {name}")
            costs[name] = [runner.episode(seed) for seed in range(SEEDS)]
    finally:
        for worker in workers.values():
            worker.close()
    rows = {}
    for peer, own in AGAINST.items():
        theirs, ours = np.array(times[peer]), np.array(times[own])
        rng = np.random.default_rng(0)
        draws = rng.integers(ROUNDS, size=(RESAMPLES, ROUNDS))
        ratios = np.median(theirs[draws], axis=1) / np.median(ours[draws], axis=1)
        rows[f"{peer} / {own}"] = {
            "times_faster": float(np.median(theirs) / np.median(ours)),
            "interval": np.percentile(ratios, [2.5, 97.5]).tolist(),
            "peer_ms": float(np.median(theirs)),
            "ours_ms": float(np.median(ours)),
            "peer_cost": float(np.mean(costs[peer])),
            "ours_cost": float(np.mean(costs[own])),
            "costs": {"peer": costs[peer], "ours": costs[own]},
        }
    requirements = [line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    record = {
        "suite": "peers",
        "command": "ebm bench peers",
        "problem": f"pendulum, {SAMPLES} samples, {HORIZON} steps; closed loop of {STEPS} steps, mean of {SEEDS} seeds",
        "versions": versions() | {"peers": requirements},
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(clean(record), indent=1) + "\n")
    return record


def prepared(folder: Path, progress: Any) -> Path:
    """The Python of the peers' environment, which is made if it is not there or its requirements have changed."""
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = (FOLDER / "requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        progress(f"making {folder}")
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--requirement", FOLDER / "requirements.txt"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UsageError(f"the peers cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        stamp.write_text(wanted)
    return python


class Worker:
    """A peer in its own process."""

    def __init__(self, python: Path, name: str):
        command = [python, FOLDER / "worker.py", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def replan(self) -> float:
        """ms."""
        return self._ask("replan")

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


class Ours:
    """One of our planners, asked in the same way."""

    def __init__(self, name: str):
        import envs
        import planners

        self.problem = envs.pendulum()
        self.planner = planners.planner(name, horizon=HORIZON, num_samples=SAMPLES, **OURS[name])
        self.agent = planners.Agent(self.problem, self.planner)
        self.hanging = self.problem.model.example_state()
        self.memory = self._fresh(0)

    def replan(self) -> float:
        """ms, with everything that a user would wait for."""
        start = time.perf_counter()
        action, self.memory = self.agent.act(self.hanging, self.memory)
        np.asarray(action)
        return 1e3 * (time.perf_counter() - start)

    def episode(self, seed: int) -> float:
        """The total cost in closed loop, of the same plant in NumPy from the same start."""
        import envs

        memory, total = self._fresh(seed), 0.0
        angle, speed = np.array([np.pi, 0.0]) + np.random.default_rng(seed).uniform(-START, START, 2)
        for _ in range(STEPS):
            action, memory = self.agent.act(envs.PendulumState(angle, speed), memory)
            torque = float(np.asarray(action)[0])
            total += 2.0 * (1.0 - np.cos(angle)) + 0.1 * speed**2 + 0.001 * torque**2
            speed = float(np.clip(speed + (15.0 * np.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0))
            angle += 0.05 * speed
        return total

    def _fresh(self, seed: int) -> Any:
        import jax

        return self.agent.init(key=jax.random.key(seed))
