"""Other ways to pose a plant's problem than its own: with a level above it, or with what that level knows as an energy."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

import ebm
import envs
import planners

LOOK_AHEAD = 0.7  # s: the subgoal is where the map says one should be by then
DEPTH, WIDTH = 24, 36  # moves on the map that are planned, and rooms that are kept at each: all there are
BRAKE = 2.0  # of the strongest action, per m/s or rad/s
GOAL, AT_GOAL, NEAR, LATER = 0.95, 0.02, 0.6, 0.2  # m, m, m, and s that are still to come at the end of a plan; of the cart at risk
STRIDE = 0.3  # s of a step between the map and the physics, in a tower of three levels


def on_the_map(problem: ebm.Problem, planner: Any, *, period: int = 5, fallback: bool = True, notes: bool = True) -> tuple[Any, Any]:
    """The way is found on the map, every `period` control periods; the planner only goes where it leads, and what is closed is noted."""
    condition = planners.Subgoal(ahead=LOOK_AHEAD, read=_place, name="goal")
    above = planners.HierarchicalProblem(envs.maze_map(), problem, envs.from_above, condition, envs.MazeNotes() if notes else None)
    return above, _under(_map_planner(), planner, period, fallback)


def tower(problem: ebm.Problem, planner: Any, *, period: int = 5, fallback: bool = True) -> tuple[Any, Any]:
    """As `on_the_map`, with a level in between that moves without inertia."""
    walk = ebm.Problem(envs.MazeWalk(dt=STRIDE), ebm.Reach("place", "goal", tolerance=0.3, name="goal"))
    middle = planners.HierarchicalProblem(envs.maze_map(), walk, lambda state: state, planners.Subgoal(read=_place, name="goal"))
    between = _under(_map_planner(), planners.MPPI(6, 24, noise=0.5), 2, fallback)
    whole = planners.HierarchicalProblem(middle, problem, envs.from_above, planners.Subgoal(ahead=2 * STRIDE, read=_place, name="goal"))
    return whole, _under(between, planner, period, fallback)


def with_way_left(problem: ebm.Problem, planner: Any) -> tuple[Any, Any]:
    """Flat, with the map's own value as the energy at the end: the length of the shortest way from there."""
    return ebm.Problem(problem.model, envs.maze_energy(way_left=True)), planner


def as_penalty(problem: ebm.Problem, planner: Any, *, weight: float = 100.0) -> tuple[Any, Any]:
    """Guardrails as energies that may be outweighed."""
    energy = problem.energy
    for guardrail in problem.guardrails:
        energy = energy + weight * ebm.Penalty(guardrail)
    return problem.relaxed(energy), planner


def in_one_world(problem: ebm.Problem, planner: Any) -> tuple[Any, Any]:
    """The plan model as it is, without the masses and frictions that it might have as well: what planners do with it, step for step."""
    return certain(problem), planner


def certain(problem: ebm.Problem) -> ebm.Problem:
    """A problem whose model is sure of its parameters."""
    model: Any = problem.model
    sure = model.randomise(dict.fromkeys(model.engine.parameters, (1.0, 1.0)))
    return ebm.Problem(sure, problem.energy, problem.guardrails)


class Late(ebm.AbstractStageEnergy):
    """1 per second far from the goal of `CartTable-v0`, 0 at it: bounded, so that it does not drown what falling costs."""

    name: str = eqx.field(static=True, default="late")

    def stage(self, state, action, previous_action, time):
        return self._away(state)

    def final(self, state, time):
        return LATER * self._away(state)

    def _away(self, state: Any) -> Any:
        return 1.0 - ebm.tolerance(state.read("joint:slider")[0] - GOAL, -AT_GOAL, AT_GOAL, margin=NEAR)


class Fallen(ebm.AbstractStageEnergy):
    """1 per second while a guardrail is violated."""

    guardrail: ebm.AbstractGuardrail
    name: str = eqx.field(static=True, default="fallen")

    def stage(self, state, action, previous_action, time):
        still = jnp.zeros_like(action)
        return jnp.where(self.guardrail.stage(state, still, still, time) > 0.0, 1.0, 0.0)

    def final(self, state, time):
        return jnp.float32(0.0)


def at_risk(
    problem: ebm.Problem, planner: Any, *, risk: str, masses: tuple[float, float], weight: float = 3.0, num_latents: int = 8
) -> tuple[Any, Any]:
    """Hurry to the edge of the table with a cart of unknown mass: falling is dear, but it may be traded, and a risk measure decides."""
    unknown: Any = problem.model
    model = unknown.randomise({"mass": masses, "friction": (0.7, 1.3), "damping": (0.7, 1.3)})
    energy = Late() + weight * Fallen(problem.guardrails[0]) + 0.01 * ebm.Effort(5.0)
    return ebm.Problem(model, energy, risk=getattr(ebm, risk)(), num_latents=num_latents), planner


def with_multipliers(problem: ebm.Problem, planner: Any, *, num_rounds: int = 3) -> tuple[Any, Any]:
    """Guardrails as energies whose weights are learned in every plan."""
    return problem, planners.AugmentedLagrangian(planner=planner, num_rounds=num_rounds)  # pyright: ignore[reportCallIssue]


POSES: dict[str, Callable[..., tuple[Any, Any]]] = {
    "on the map": on_the_map,
    "tower": tower,
    "way left": with_way_left,
    "penalty": as_penalty,
    "one world": in_one_world,
    "risk": at_risk,
    "multipliers": with_multipliers,
}


def _map_planner() -> planners.LatticeSearch:
    return planners.LatticeSearch(DEPTH, WIDTH, 1, choices=envs.MazeMap.moves(), cell=0.5, coordinates=_place)


class Behind(planners.AbstractFilter):
    """A filter that keeps the guardrails of a problem of its own, whatever the planner before it knows of them."""

    problem: ebm.Problem
    filter: planners.AbstractFilter

    def __call__(self, problem, state, action, now):
        return self.filter(self.problem, state, action, now)


def last_word(problem: ebm.Problem) -> Behind:
    """An action passes if some simple behaviour after it, among them braking every joint, keeps the guardrails."""
    strength = BRAKE * problem.action_space.half_range  # the actuated joints of our plants come first
    brake = planners.follow(lambda state, time: -strength * state.qvel[: strength.size])
    return Behind(problem, planners.BackupFilter(horizon=25, backup=brake))


def _under(upper: Any, lower: Any, period: int, fallback: bool) -> planners.HierarchicalPlanner:
    return planners.HierarchicalPlanner(upper=upper, lower=lower, period=period, fallback=fallback)  # pyright: ignore[reportCallIssue]


def _place(state: envs.MazeState) -> Any:
    return state.position
