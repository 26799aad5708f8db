"""`ebm bench rooms-speed`: how fast films are made, a model learns, and plans are found in it; everything takes turns in one run."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ebm
import envs
import planners

from . import _rooms, _rooms_eval, _rooms_objectives
from ._eval import MODELS
from ._peers import FOLDER, prepared
from ._stages import optimiser

ROUNDS, STEPS = 9, 5  # of everything, taking turns; training steps in each
HORIZON, SAMPLES, ITERATIONS = 90, 200, 20  # the published replan, in steps of the model
SHAPES = ((2048, 2048, 2048), (512, 512, 512), (256, 256, 256), (200, 256, 256), (2000, 256, 256))  # of matrix products
TOGETHER = 16  # episodes
FRAMES = 9


def run_speed(path: Path, progress: Callable[[str], None], *, rounds: int = ROUNDS, torch: bool = True) -> dict[str, Any]:
    """Measure, and write `path`."""
    from ._runs import clean, versions

    runners = plans() | films() | training()
    with contextlib.ExitStack() as stack:
        if torch:
            runners["train, PyTorch"] = stack.enter_context(pytorch(progress))
        times: dict[str, list[float]] = {name: [] for name in runners}
        for turn in range(rounds):
            for name, (measure, _) in list(runners.items())[:: 1 if turn % 2 else -1]:
                progress(f"{turn + 1} of {rounds}: {name}")
                times[name].append(measure())
    rows = {
        name: {"ms": 1e3 * float(np.median(times[name])), "least_ms": 1e3 * min(times[name]), "work": work}
        for name, (_, work) in runners.items()
    }
    record = {"suite": "rooms-speed", "command": "ebm bench rooms-speed", "cores": os.cpu_count(), "versions": versions()}
    record |= {"rows": rows, "figures": figures(rows)}
    path.write_text(json.dumps(clean(record), indent=1) + "\n", encoding="utf-8")
    return record


def figures(rows: dict[str, Any]) -> dict[str, float]:
    """What one wants to know, of the least times."""
    rate = {name: row["work"] / row["least_ms"] / 1e6 for name, row in rows.items()}  # 10⁹ operations, or frames, a second
    peak = max(value for name, value in rate.items() if name.startswith("product"))
    found = {
        "peak of matrix products, GFLOP/s": peak,
        "published replan, ms": rows["replan"]["least_ms"],
        "published replan, share of the peak": rate["replan"] / peak,
        "16 episodes in one call, times one": rows["replan, 16 at once"]["least_ms"] / rows["replan, one of 16"]["least_ms"],
        "films, frames a second": 1e9 * rate["films"],
        "training step, ms": rows["train, ours"]["least_ms"],
        "training step with films, ms": rows["train, ours, with films"]["least_ms"],
    }
    if "train, PyTorch" in rows:
        found["PyTorch's training step, times ours"] = rows["train, PyTorch"]["least_ms"] / rows["train, ours"]["least_ms"]
    return found


Runner = tuple[Callable[[], float], float]  # what measures (s), and how much work it is


def timed(run: Callable[[], Any]) -> Callable[[], float]:
    """Compiled first, and waited for."""
    jax.block_until_ready(run())

    def measure() -> float:
        start = time.perf_counter()
        jax.block_until_ready(run())
        return time.perf_counter() - start

    return measure


def plans() -> dict[str, Runner]:
    """Matrix products, the published replan, and 16 episodes of `ebm eval`'s planner in one call."""
    model, region = _rooms.load(MODELS / "two-rooms")
    runners: dict[str, Runner] = {}
    for m, k, n in SHAPES:
        a, b = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((m, k), (k, n))))
        repeats = max(1, 2**31 // (m * k * n))
        multiply = jax.jit(lambda a, b, repeats=repeats: jax.lax.fori_loop(0, repeats, lambda i, c: (a + c[0, 0]) @ b, a @ b))
        runners[f"product {m} × {k} × {n}"] = timed(lambda f=multiply, a=a, b=b: f(a, b)), 2.0 * m * k * n * (repeats + 1)
    network = model.predictor.network  # pyright: ignore[reportAttributeAccessIssue]
    layers = [network.first, *network.between, network.last, network.straight]
    step = sum(2.0 * layer.in_features * layer.out_features for layer in layers)
    seen = envs.picture(envs.TwoRooms().example_state())
    planner = planners.CEM(HORIZON, SAMPLES, ITERATIONS, num_knots=HORIZON, noise=_rooms_eval.NOISE)
    agent = planners.Agent(_rooms_eval.pose(model), planner, ebm.Encoded())
    memory = agent.init(key=jax.random.key(0))
    runners["replan"] = timed(lambda: agent.act(seen, memory)), step * HORIZON * SAMPLES * ITERATIONS
    search = _rooms_eval.make_planner("subgoals", model, region, 18, 100, 4)
    goals = jax.random.uniform(jax.random.key(1), (TOGETHER, 2), minval=-1.5, maxval=1.5)
    keys = jax.random.split(jax.random.key(2), TOGETHER)

    @eqx.filter_jit
    def decide(goals: Any, keys: Any) -> Any:
        def one(goal: Any, key: Any) -> Any:
            problem = _rooms_eval.pose(model).with_goal(goal)
            state = model.encode(seen)
            now = ebm.Now(jnp.int32(0), problem.action_space.rest, jnp.float32(problem.dt))
            return search.plan(problem, state, search.init(problem, state, key=key), now)[0].actions

        return jax.vmap(one)(goals, keys)

    for name, count in (("replan, 16 at once", TOGETHER), ("replan, one of 16", 1)):
        runners[name] = timed(lambda count=count: decide(goals[:count], keys[:count])), float(count)
    return runners


def films() -> dict[str, Runner]:
    """The generator of training films, with every frame drawn."""
    draw = jax.jit(lambda key: envs.draw_films(key, 500, FRAMES, through_door=0.35, near_wall=0.25, held=_rooms.HELD).pictures())
    return {"films": (timed(lambda: draw(jax.random.key(0))), 500.0 * FRAMES)}


def training() -> dict[str, Runner]:
    """A step of the joint stage, on films that are there, and on films that are drawn in it."""
    settings = _rooms.Settings()
    lower, _ = _rooms.build(settings, key=jax.random.key(0))
    objective = _rooms_objectives.compose("recipe", "", settings.features, settings.context, key=jax.random.key(1))
    batch = _rooms.draw_batch(envs.TwoRooms(), jax.random.key(2), films=settings.joint_films, frames=FRAMES)
    draws = {
        "train, ours": eqx.Partial(_given, batch),
        "train, ours, with films": eqx.Partial(_rooms.draw_batch, envs.TwoRooms(), films=settings.joint_films, frames=FRAMES),
    }
    runners: dict[str, Runner] = {}
    for name, draw in draws.items():
        trainer = ebm.Trainer(ebm.joint_loss, draw, optimiser(1000, 1e-3), 1000, STEPS)
        progress = trainer.init(_rooms_objectives.join(lower, objective))
        advance = eqx.filter_jit(ebm.Trainer.advance)
        measure = timed(lambda t=trainer, p=progress, f=advance: f(t, p, jax.random.key(3))[1])
        runners[name] = (lambda measure=measure: measure() / STEPS), float(settings.joint_films * FRAMES)
    return runners


def _given(batch: Any, key: Any) -> Any:
    del key
    return batch


@contextlib.contextmanager
def pytorch(progress: Callable[[str], None]) -> Any:
    """The same training in PyTorch, in a process of its own."""
    python = prepared(Path.cwd() / ".cache" / "peers", progress)
    process = subprocess.Popen([python, FOLDER / "trainer.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pipes: Any = process

    def measure() -> float:
        pipes.stdin.write(f"{STEPS}\n")
        pipes.stdin.flush()
        return 1e-3 * float(pipes.stdout.readline())

    try:
        measure()
        yield measure, float(_rooms.Settings().joint_films * FRAMES)
    finally:
        process.kill()
        process.wait()
        pipes.stdin.close()
        pipes.stdout.close()


def table(record: dict[str, Any]) -> Any:
    """The figures."""
    from rich.table import Table

    shown = Table(title=f"Two Rooms on {record['cores']} cores", title_justify="left", show_header=False)
    for name, value in record["figures"].items():
        shown.add_row(name, f"{value:.3g}")
    return shown
