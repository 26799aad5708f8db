"""What really happened on the plant, in the terms of the problem: energies, guardrails, and how far the goal was."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

import ebm


class Verdict(NamedTuple):
    """One step, judged: the terms of its energy, each guardrail's margin (SI units, < 0: broken), what is tracked, the goal's distance."""

    terms: dict[str, float]
    margins: dict[str, float]
    tracked: list[float]
    distance: float | None


class Judge:
    """Judges the plant's real states by all guardrails, whether the planner knows them or not."""

    def __init__(self, problem: ebm.AbstractProblem):
        self.problem = problem
        self.goal = find_goal(problem)
        self.reading = find_reading(problem)

    def __call__(self, before: Any, action: np.ndarray, after: Any, previous: np.ndarray, tick: int) -> Verdict:
        states = jax.tree.map(lambda a, b: np.stack([a, b]).astype(np.float32), before, after)
        terms, violations, tracked, distance = jax.device_get(
            _judge(
                self.problem,
                self.goal,
                self.reading,
                states,
                jnp.asarray(action, jnp.float32),
                jnp.asarray(previous, jnp.float32),
                jnp.asarray(tick, jnp.int32),
            )
        )
        return Verdict(
            {name: float(value) for name, value in terms.items()},
            {name: -float(value) for name, value in violations.items()},
            [] if tracked is None else [float(x) for x in tracked],
            None if distance is None else float(distance),
        )

    def planned(self, trajectory: ebm.Trajectory) -> np.ndarray:
        """The tracked reading along a plan, shape (horizon + 1, component)."""
        return np.asarray(_along(self.reading, trajectory.states)) if self.reading is not None else np.zeros((trajectory.horizon + 1, 0))

    def describe(self) -> dict[str, Any]:
        """What is tracked, for the plots: a label, and the goal where it is a number."""
        goal, reading = self.goal, self.reading
        numbers = np.asarray(goal.goal) if goal is not None and goal.goal.size else np.zeros(0)
        same = goal is not None and getattr(goal, "reading", None) is reading
        return {
            "label": _label(reading),
            "name": None if reading is None else reading.name,
            "goal": numbers.tolist() if same else [],
            "tolerance": float(goal.tolerance) if goal is not None and same else None,
        }


def find_goal(problem: ebm.AbstractProblem) -> ebm.AbstractGoalEnergy | None:
    """The first goal of a problem: what an episode is about."""
    nodes = jax.tree.leaves(getattr(problem, "energy", None), is_leaf=lambda node: isinstance(node, ebm.AbstractGoalEnergy))
    return next((node for node in nodes if isinstance(node, ebm.AbstractGoalEnergy)), None)


def find_reading(problem: ebm.AbstractProblem) -> ebm.Reading | None:
    """What to follow through plans and reality: what the goal reads, or else the first thing that an energy or a guardrail reads."""
    goal = getattr(find_goal(problem), "reading", None)
    if isinstance(goal, ebm.Reading):
        return goal
    tree = (getattr(problem, "energy", None), getattr(problem, "guardrails", ()))
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, ebm.Reading))
    return next((node for node in nodes if isinstance(node, ebm.Reading)), None)


@eqx.filter_jit
def _judge(problem: Any, goal: Any, reading: Any, states: Any, action: Array, previous: Array, tick: Array):
    now = ebm.Now(tick, previous, problem.dt)
    trajectory = ebm.Trajectory(states, action[None], now, problem.dt)
    after = jax.tree.map(lambda leaf: leaf[1], states)
    arguments = (after, action, previous, trajectory.times[1])
    violations = {guardrail.name: guardrail.stage(*arguments) for guardrail in problem.guardrails}
    tracked = None if reading is None else reading(after)
    return problem.energy.terms(trajectory), violations, tracked, None if goal is None else goal.distance(after)


@eqx.filter_jit
def _along(reading: ebm.Reading, states: Any) -> Float[Array, "steps component"]:
    return jax.vmap(reading)(states)


def _label(reading: ebm.Reading | None) -> str:
    if reading is None:
        return "nothing"
    return reading.label if reading.axis is None else f"{reading.label} {'xyz'[reading.axis] if 0 <= reading.axis < 3 else reading.axis}"


def unit(name: str | None) -> str:
    """The SI unit of a reading, as far as its name says."""
    if name is None or name.startswith(("sensor:", "orientation:", "up:")):
        return ""
    if name.startswith("spin:"):
        return "rad/s"
    joint = name.removeprefix("velocity:").startswith("joint:")
    return ("m/s or rad/s" if joint else "m/s") if name.startswith("velocity:") else ("m or rad" if joint else "m")
