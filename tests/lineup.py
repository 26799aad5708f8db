"""Every planner that has a name, small."""

import inspect

import pytest

import planners

NAMES = sorted(planners.PLANNERS)
# One of each family: what the others add to it is little, and they have their turn when there is time.
FAMILIES = ("mppi", "icem", "gradient", "ilqr", "lagrangian", "categorical", "tree")


def build(name, *, horizon=6, num_samples=16, num_iterations=2, num_simulations=8, width=6, **options):
    """The planner of that name, with as many of the options as it has."""
    options |= {"horizon": horizon, "num_samples": num_samples, "num_iterations": num_iterations}
    options |= {"num_simulations": num_simulations, "width": width, "period": 1}
    kind = planners.PLANNERS[name]
    options |= {"num_starts": 2, "num_rounds": 2, "num_refinements": 2, "num_synced": 1}
    return kind(**{option: value for option, value in options.items() if option in inspect.signature(kind).parameters})


def has(name, option):
    """Whether the planner of that name has this option."""
    return option in inspect.signature(planners.PLANNERS[name]).parameters


def quick_first(quick=FAMILIES):
    """Parameters for a test: one of each family, or those in `quick`, and the other planners marked slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


def grid(quick, engines=("c", "analytic", "learned", "mjx")):
    """Parameters (name, engine) for a law that holds everywhere: a planner of each family on the `quick` engines, the rest marked slow."""
    pairs = [(name, engine) for engine in engines for name in NAMES]
    return [pair if pair[0] in FAMILIES and pair[1] in quick else pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs]
