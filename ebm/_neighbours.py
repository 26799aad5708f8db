"""`envs`, `planners` and `benchmarks` are also names of strangers' distributions: refuse to run beside one of those."""

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent

for name in ("envs", "planners", "benchmarks"):
    spec = find_spec(name)
    places = [] if spec is None else [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or "?"]]
    if places and HERE / name not in places:
        raise ImportError(
            f"The package `{name}` at {places[0]} is not the one of energy-planning, which hides behind it. "
            f"Uninstall the distribution it belongs to, or move it off the Python path, so that {HERE / name} is found."
        )
