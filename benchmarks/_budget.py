"""How many candidates a budget allows: measured, for a few counts, on the plant itself."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

# What a planner can do less of, in the order in which it is given up, with the least that makes sense.
KNOBS = {"num_samples": 8, "num_starts": 1, "num_simulations": 8, "width": 2}
KNOBS |= {"num_rounds": 1, "num_iterations": 1, "num_refinements": 1, "num_synced": 1}
MOST = {"num_iterations": 50, "num_refinements": 50}  # more of these changes nothing; of the others:
MANY = 8192
TRIES = 5
NEAR = 0.93  # of the budget counts as spent


class Cost(NamedTuple):
    """What a replan takes: control periods of one world, and the median in ms."""

    model_steps: float
    ms: float


class Fit(NamedTuple):
    """What a planner does with a budget: options that spend it, or, if its least is more, `None`; and what that costs."""

    options: dict[str, int] | None
    cost: Cost


def fit(knobs: tuple[str, ...], budget: Mapping[str, float], measure: Callable[[dict[str, int]], Cost]) -> Fit:
    """The largest counts that stay within the budget.

    **Arguments:**

    - `knobs`: options of the planner that may be turned, in this order: the first from its least upwards; the next one only if
      the budget does not reach even for that, from the planner's default downwards.
    - `budget`: `{"model_steps": limit}` or `{"ms": limit}`.
    - `measure`: what a replan with these options costs.
    """
    kind, limit = next(iter(budget.items()))
    held: dict[str, int] = {}
    cost = Cost(np.inf, np.inf)
    for knob in knobs:
        least = KNOBS[knob]

        def price(count: int, knob: str = knob, held: dict[str, int] = held) -> Cost:
            return measure(held | {knob: count})

        cost = price(least)
        if getattr(cost, kind) <= limit:
            count, cost = _most(price, kind, limit, least, cost, MOST.get(knob, MANY))
            return Fit(held | {knob: count}, cost)
        held = held | {knob: least}
    return Fit(None, cost)


def _most(price: Callable[[int], Cost], kind: str, limit: float, least: int, first: Cost, most: int) -> tuple[int, Cost]:
    """The largest count within the limit: costs are nearly a constant and a slope, so a few secants do."""
    known = {least: first}
    count = min(most, 4 * least)
    for _ in range(TRIES):
        known[count] = price(count)
        costs = {n: getattr(cost, kind) for n, cost in known.items()}
        below = max(n for n, cost in costs.items() if cost <= limit)
        above = [n for n, cost in costs.items() if cost > limit]
        if costs[below] >= NEAR * limit or below == most:
            break
        other = min(above) if above else max(n for n in costs if n != below)
        slope = max((costs[other] - costs[below]) / (other - below), 1e-9)
        count = int(np.clip(below + (limit - costs[below]) / slope, below + 1, min(above, default=most + 1) - 1))
        if count in known:
            break
    below = max(n for n, cost in known.items() if getattr(cost, kind) <= limit)
    return below, known[below]
