"""What every planner is, and what every plan says."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

import ebm


class RESULTS(eqx.Enumeration):
    """How planning ended."""

    successful = "The plan is finite and keeps every guardrail."
    infeasible = "No plan that keeps every guardrail was found: this one violates them least."
    nonfinite_state = "The state was not finite: this is the previous plan, moved on in time."
    nonfinite_plan = "No candidate stayed finite: this is the previous plan, moved on in time."
    bad_gradient = "The gradient was not finite, zero or exploding at every start: this is the best plan that was tried."


class Plan(eqx.Module):
    """What a planner decided, always at the level of the actuators, always finite and inside the limits.

    **Arguments:**

    - `actions`: shape (horizon, action), actuator units.
    - `trajectory`: what the model says they lead to.
    - `energy`, `terms`, `violations`: as in `ebm.Evaluation`.
    - `result`: how planning ended.
    - `upper`: the plan of the level above, in a hierarchy.
    """

    actions: Float[Array, "horizon action"]
    trajectory: ebm.Trajectory
    energy: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    violations: dict[str, Float[Array, " horizon"]]
    result: RESULTS
    upper: "Plan | None" = None

    def action(self, tick: Int[Array, ""] | int) -> Float[Array, " action"]:
        """The action that is due at `tick` (control periods since the episode began); the first or last one outside the plan."""
        index = jnp.clip(tick - self.trajectory.now.tick, 0, self.actions.shape[0] - 1)
        return self.actions[index]


class AbstractPlanner(eqx.Module):
    """Minimises a problem's energy over actions. Pure: `jit` and `vmap` over problems, goals and keys."""

    horizon: eqx.AbstractVar[int]

    @property
    def requires(self) -> frozenset[str]:
        """What a problem must provide, beyond `evaluate`, `bounds` and `project`: a subset of `AbstractProblem.provides`."""
        return frozenset()

    @abc.abstractmethod
    def init(self, problem: ebm.AbstractProblem, state: PyTree, *, key: Key[Array, ""]) -> Any:
        """The plan state before the first plan.

        **Raises:**

        `ValueError` if the problem lacks something that this planner requires.
        """

    @abc.abstractmethod
    def plan(self, problem: ebm.AbstractProblem, state: PyTree, plan_state: Any, now: ebm.Now) -> tuple[Plan, Any]:
        """The best actions found from `state`, and the plan state to hand to the next call: always of one structure."""

    @property
    def adopts(self) -> bool:
        """Whether it can be told where to begin."""
        return type(self).adopt is not AbstractPlanner.adopt

    def adopt(self, problem: ebm.AbstractProblem, plan_state: Any, actions: Float[Array, "horizon action"]) -> Any:
        """The plan state from which the next plan begins at `actions`, the first of them due now: how one planner refines another's plan.

        **Raises:**

        `NotImplementedError` for a planner that cannot be told where to begin.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot begin at given actions. Use it first, and one that can after it.")


def is_plan(plan: Plan) -> Bool[Array, ""]:
    """Whether anything was planned, instead of moving on what was planned before."""
    return (plan.result != RESULTS.nonfinite_state) & (plan.result != RESULTS.nonfinite_plan)


def no_plan(planner: AbstractPlanner, problem: ebm.AbstractProblem, state: PyTree, plan_state: Any) -> Plan:
    """Zeros in the structure of this planner's plans: what a planner around it carries before there is one."""
    now = ebm.Now(0, jnp.zeros(problem.action_space.size), 0.0)
    shape = eqx.filter_eval_shape(lambda state, plan_state: planner.plan(problem, state, plan_state, now)[0], state, plan_state)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf, shape)


def check_requirements(planner: AbstractPlanner, problem: ebm.AbstractProblem) -> None:
    """Raise a `ValueError` that names what is missing, or where numbers are float64, which only an agent puts right."""
    if problem.action_space.size == 0:
        raise ValueError(
            "The model of this problem has no actuators, so there is nothing to plan. Add one, or imagine it with `model.rollout`."
        )
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        name = type(planner).__name__
        raise ValueError(f"{name} plans in float32, and `jax_enable_x64` is set. Put it into a `planners.Agent`, or unset it around it.")
    missing = sorted(planner.requires - problem.provides)
    if missing:
        raise ValueError(
            f"{type(planner).__name__} requires {', '.join(map(repr, missing))}, which this {type(problem).__name__} does not provide "
            f"(it provides {', '.join(sorted(problem.provides)) or 'nothing extra'}). A sampling planner such as MPPI needs none of it."
        )


def finish(state: PyTree, actions: Float[Array, "horizon action"], value: ebm.Evaluation, useful: Bool[Array, ""] | bool = True) -> Plan:
    """The plan for the best actions that were found, with its result; `useful`: whether any gradient was, where they are followed."""
    feasible = value.violation <= 0
    result = RESULTS.where(jnp.asarray(useful), RESULTS.successful, RESULTS.bad_gradient)
    result = RESULTS.where(feasible, result, RESULTS.infeasible)
    result = RESULTS.where(value.finite, result, RESULTS.nonfinite_plan)
    result = RESULTS.where(ebm.all_finite(state), result, RESULTS.nonfinite_state)
    return Plan(actions, value.trajectory, value.energy, value.terms, value.violations, result)
