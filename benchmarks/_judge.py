"""What really happened on the plant, in the terms of the problem: energies, guardrails, and how far the goal was."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

import ebm


class Verdict(NamedTuple):
    """One step, judged: the terms of its energy, each guardrail's margin (SI units, < 0: broken), what is tracked, the goal's distance."""

    terms: dict[str, float]
    margins: dict[str, float]
    tracked: list[float]
    distance: float | None

    def unknown(self) -> "Verdict":
        """The same, of a step of which nothing is known."""
        terms, margins = (dict.fromkeys(part, np.nan) for part in (self.terms, self.margins))
        return Verdict(terms, margins, [np.nan] * len(self.tracked), None if self.distance is None else np.nan)


class Separation(eqx.Module):
    """How far two readings are apart."""

    source: ebm.Reading
    target: ebm.Reading

    def __call__(self, state: Any) -> Float[Array, "1"]:
        return jnp.linalg.norm(self.source(state) - self.target(state))[None]


class Judge:
    """Judges the plant's real states by all guardrails, whether the planner knows them or not."""

    def __init__(self, problem: ebm.AbstractProblem):
        self.problem = problem
        self.goal = find_goal(problem)
        self.tracked = find_tracked(problem)

    def __call__(self, before: Any, action: np.ndarray, after: Any, previous: np.ndarray, tick: int) -> Verdict:
        states = jax.tree.map(lambda a, b: np.stack([a, b]).astype(np.float32), before, after)
        given = (jnp.asarray(action, jnp.float32), jnp.asarray(previous, jnp.float32), jnp.asarray(tick, jnp.int32))
        terms, violations, tracked, distance = jax.device_get(_judge(self.problem, self.goal, self.tracked, states, *given))
        tracked = [] if tracked is None else [float(x) for x in tracked]
        if distance is None and isinstance(self.tracked, Separation):
            distance = tracked[0]
        return Verdict(
            {name: float(value) for name, value in terms.items()},
            {name: -float(value) for name, value in violations.items()},
            tracked,
            None if distance is None else float(distance),
        )

    def planned(self, trajectory: ebm.Trajectory) -> np.ndarray:
        """What is tracked, along a plan, shape (horizon + 1, component)."""
        return np.zeros((trajectory.horizon + 1, 0)) if self.tracked is None else np.asarray(_along(self.tracked, trajectory.states))

    def describe(self) -> dict[str, Any]:
        """What is tracked, for plots and films: label, reading, unit, and the goal where it is a number."""
        goal, tracked = self.goal, self.tracked
        if isinstance(tracked, Separation):
            label = f"{tracked.source.label} to {tracked.target.label}"
            return {"label": label, "name": tracked.source.name, "unit": unit(tracked.source.name), "goal": [], "tolerance": None}
        found: dict[str, Any] = {
            "label": _label(tracked),
            "name": tracked.name if tracked is not None else None,
            "goal": [],
            "tolerance": None,
        }
        found["unit"] = unit(found["name"], getattr(self.problem.model, "mj_model", None))
        if goal is not None and tracked is not None and _reading_of(goal) is tracked:
            found |= {"goal": np.asarray(goal.goal).tolist(), "tolerance": float(goal.tolerance)}
        return found


def find_goal(problem: ebm.AbstractProblem) -> ebm.AbstractGoalEnergy | None:
    """The first goal of a problem: what an episode is about."""
    return next(iter(ebm.goals(getattr(problem, "energy", None))), None)


def find_tracked(problem: ebm.AbstractProblem) -> ebm.Reading | Separation | None:
    """What to follow through plans and reality: what the first goal reads, or how far two things are apart that should meet."""
    goal = find_goal(problem)
    energy, guardrails = getattr(problem, "energy", None), getattr(problem, "guardrails", ())
    reading, target = _reading_of(goal), getattr(goal, "target", None)
    if reading is not None:
        return Separation(reading, target) if isinstance(target, ebm.Reading) else reading
    for node in jax.tree.leaves(energy, is_leaf=_is_pair):
        if _is_pair(node):
            return Separation(node.source, node.target)
    nodes = jax.tree.leaves((energy, guardrails), is_leaf=lambda node: isinstance(node, ebm.Reading))
    return next((node for node in nodes if isinstance(node, ebm.Reading)), None)


@eqx.filter_jit
def _judge(problem: Any, goal: Any, tracked: Any, states: Any, action: Array, previous: Array, tick: Array):
    now = ebm.Now(tick, previous, problem.dt)
    trajectory = ebm.Trajectory(states, action[None], now, problem.dt)
    after = jax.tree.map(lambda leaf: leaf[1], states)
    arguments = (after, action, previous, trajectory.times[1])
    violations = {guardrail.name: guardrail.stage(*arguments) for guardrail in problem.guardrails}
    value = None if tracked is None else tracked(after)
    return problem.energy.terms(trajectory), violations, value, None if goal is None else goal.distance(after)


@eqx.filter_jit
def _along(tracked: Any, states: Any) -> Float[Array, "steps component"]:
    return jax.vmap(tracked)(states)


def _reading_of(goal: ebm.AbstractGoalEnergy | None) -> ebm.Reading | None:
    """What a goal looks at, if that is one thing."""
    reading = getattr(goal, "reading", None)
    if isinstance(reading, tuple) and len(reading) == 1:
        reading = reading[0]
    return reading if isinstance(reading, ebm.Reading) else None


def _is_pair(node: Any) -> bool:
    return isinstance(getattr(node, "source", None), ebm.Reading) and isinstance(getattr(node, "target", None), ebm.Reading)


def _label(reading: ebm.Reading | None) -> str:
    if reading is None:
        return "nothing"
    return reading.label if reading.axis is None else f"{reading.label} {'xyz'[reading.axis] if 0 <= reading.axis < 3 else reading.axis}"


def unit(name: str | None, model: mujoco.MjModel | None = None) -> str:
    """The SI unit of a reading, as far as its name and the model say."""
    if name is None or name.startswith(("sensor:", "orientation:", "up:")):
        return ""
    if name.startswith("spin:"):
        return "rad/s"
    kind, _, element = name.removeprefix("velocity:").partition(":")
    length = "m"
    if kind == "joint" and model is not None:
        length = {mujoco.mjtJoint.mjJNT_SLIDE: "m", mujoco.mjtJoint.mjJNT_HINGE: "rad"}.get(
            mujoco.mjtJoint(model.joint(element).type[0]), ""
        )
    return f"{length}/s" if length and name.startswith("velocity:") else length
