"""`ebm` is also the name of a stranger's distribution: refuse to run on that one."""

from importlib.util import find_spec
from pathlib import Path

SPEC = find_spec("ebm")
EXPECTED = Path(__file__).resolve().parent.parent / "ebm"

if SPEC is None or EXPECTED not in [Path(place).resolve() for place in SPEC.submodule_search_locations or []]:
    raise ImportError(
        f"The package `ebm` that Python finds at {SPEC and SPEC.origin} is not the one of energy-planning, which `planners` needs. "
        f"Uninstall the distribution it belongs to, so that {EXPECTED} is found."
    )
