"""What the benchmark files share: times that are comparable, and a record of figures that says nothing about whose machine it was."""

import os
import sys
import time

import jax
import numpy as np
import pytest

from ._runs import clean, versions

QUIET = 1.5  # load average per run below which absolute times mean something
FIGURES = ("median", "q1", "q3", "rounds")


@pytest.fixture
def interleave():
    """A function that calls each of several functions in turn, `rounds` times, and returns the s that every call took."""

    def measure(calls, rounds):
        times = {name: [] for name in calls}
        for call in calls.values():
            jax.block_until_ready(call())
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                jax.block_until_ready(call())
                times[name].append(time.perf_counter() - start)
        return {name: np.array(taken) for name, taken in times.items()}

    return measure


@pytest.fixture
def record(benchmark, capsys):
    """A function that prints figures, and keeps them with the benchmark."""

    def keep(**figures):
        benchmark.extra_info.update(clean(figures))
        with capsys.disabled():
            print(f"\n{benchmark.name}: " + ", ".join(f"{name} {value}" for name, value in clean(figures).items()))

    return keep


@pytest.fixture
def quiet():
    """Whether the machine has time for us, so that absolute times can be held to."""
    return os.getloadavg()[0] < QUIET


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Keep the figures and what they depend on; leave out names of machines, users and folders."""
    del benchmarks
    machine = output_json["machine_info"]
    kept = {
        "command": "pytest " + " ".join(arg for arg in config.invocation_params.args if not os.path.isabs(arg)),
        "versions": versions(),
        "cpu": machine.get("cpu", {}).get("brand_raw"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": sys.platform,
        "benchmarks": {
            entry["name"]: {"group": entry["group"], **{name: entry["stats"][name] for name in FIGURES}, **entry["extra_info"]}
            for entry in output_json["benchmarks"]
        },
    }
    output_json.clear()
    output_json.update(clean(kept))
