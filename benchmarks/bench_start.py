"""How long one waits before the first plan: for the import, and for what is built and compiled once.

`pytest benchmarks/bench_start.py` starts fresh Python processes, interleaved in one run, with their bytecode in a folder of their own.
Acceptance: importing `planners`, with all that a first plan needs of it, takes at most 1.15 times as long as importing the libraries it
stands on (the bare statement loads hardly anything, so it is not what is timed; Optax is one of them, which not every planner loads, and
is worth about a fifth of the others); after it, the first plan takes at most 3 s on the C
engine, and at most 2 s on a world in JAX with a warm compilation cache. Those seconds are for a quiet machine: the least of several
starts is held to them, and only if nothing else runs. Medians and processor time, which a busy machine stretches less, are recorded.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = "jax, equinox, optax, jaxtyping"
PAIRS, COLD_PAIRS, STARTS = 15, 3, 5
LARGEST_RATIO = 1.15
LONGEST_ON_C, LONGEST_ON_JAX = 3.0, 2.0  # s

TIMED = """
import time
wall, processor = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - wall, time.process_time() - processor)
"""
FIRST_PLAN = """
import ebm, envs, planners
import jax
jax.devices()
{timed}
"""
ON_C = 'planners.make("mppi", problem := envs.cart_table(), horizon=30, num_samples=48).predict(problem.model.example_state())'
ON_JAX = 'planners.make("mppi", problem := envs.pendulum(), horizon=25, num_samples=512).predict(problem.model.example_state())'


def fresh(code, bytecode, **variables):
    """Wall and processor time in s of what `code` times, in a new process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JAX_"))}
    environment |= {"PYTHONPYCACHEPREFIX": str(bytecode), "JAX_PLATFORMS": "cpu"} | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(float(word) for word in done.stdout.split())


def imports(names):
    return TIMED.format(code=f"import {names}")


PLANNERS = imports("ebm, planners; planners.make, planners.planner('mppi')")


def medians(times):
    wall, processor = np.median(times, axis=0)
    return {"wall_s": wall, "processor_s": processor, "least_wall_s": np.min(times, axis=0)[0]}


@pytest.mark.benchmark(group="start")
def test_importing_costs_little_more_than_the_libraries(benchmark, record, quiet, tmp_path):
    what, times = {"libraries": imports(LIBRARIES), "planners": PLANNERS}, {"libraries": [], "planners": []}
    cold = {name: [fresh(code, tmp_path / f"{name}{i}") for i in range(COLD_PAIRS)] for name, code in what.items()}
    for code in what.values():
        fresh(code, tmp_path)
    for i in range(PAIRS):
        for name in list(what)[:: 1 if i % 2 else -1]:
            times[name].append(fresh(what[name], tmp_path))
    warm = {name: medians(taken) for name, taken in times.items()}
    ratios = {clock: warm["planners"][clock] / warm["libraries"][clock] for clock in ("wall_s", "processor_s")}
    record(ratio=ratios, warm=warm, without_bytecode={name: medians(taken) for name, taken in cold.items()}, quiet=quiet)
    benchmark.pedantic(lambda: fresh(what["planners"], tmp_path), rounds=5)
    assert ratios["wall_s" if quiet else "processor_s"] <= LARGEST_RATIO


@pytest.mark.benchmark(group="start")
def test_the_first_plan_on_c_comes_soon(benchmark, record, quiet, tmp_path):
    code = FIRST_PLAN.format(timed=TIMED.format(code=ON_C))
    fresh(code, tmp_path)
    taken = medians([fresh(code, tmp_path) for _ in range(STARTS)])
    record(**taken, at_most_s=LONGEST_ON_C, quiet=quiet)
    benchmark.pedantic(lambda: fresh(code, tmp_path), rounds=1)
    assert taken["least_wall_s"] <= LONGEST_ON_C or not quiet


@pytest.mark.benchmark(group="start")
def test_the_first_plan_in_jax_comes_soon_from_the_compilation_cache(benchmark, record, quiet, tmp_path):
    code = FIRST_PLAN.format(timed=TIMED.format(code=ON_JAX))
    kept = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    fresh(code, tmp_path)
    without = medians([fresh(code, tmp_path) for _ in range(2)])
    fresh(code, tmp_path, **kept)
    taken = medians([fresh(code, tmp_path, **kept) for _ in range(STARTS)])
    record(**taken, at_most_s=LONGEST_ON_JAX, without_cache=without, quiet=quiet)
    benchmark.pedantic(lambda: fresh(code, tmp_path, **kept), rounds=1)
    assert taken["least_wall_s"] <= LONGEST_ON_JAX or not quiet
