"""Every test runs with checked annotations, a kept compilation cache, quick compilation and, in parallel, one thread per worker."""

import gc
import itertools
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKED = ["ebm", "envs", "planners"]
MIN_COMPILE_TIME = 0.3  # s; what compiles faster than this is not worth a file
MAPS = Path("/proc/self/maps")  # a line for every piece of memory that the system has mapped for this process
MANY_MAPS = 25_000  # Linux allows 65,530, and XLA crashes beyond; a program of MJX takes thousands for as long as it is kept
EVERY = 8  # tests between two looks

# Set as variables, not through jax.config, so that the processes the tests start have them too. JAX reads them when it is first imported.
# One folder per worker: JAX writes an entry in place, so a second process could read half of it.
worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".cache" / "jax" / worker)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(MIN_COMPILE_TIME)
# Most of the time would go into compiling programs that run once. `make test-slow` sets this to 0, and has them compiled as for users.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"
if worker != "main":
    # Workers share the cores. The pool that runs host callbacks keeps its size: with one thread, a callback that waits never ends.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook(CHECKED, "beartype.beartype")

# The first example compiles, so no example has a deadline; the same examples every time, so that a failure is the change's own.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

tests = itertools.count(1)


@pytest.fixture(autouse=True)
def _few_mappings():
    """Forget compiled programs before the system refuses to map any more."""
    yield
    if next(tests) % EVERY == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()
        gc.collect()
