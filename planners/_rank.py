"""Which of several evaluated plans is better."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import ebm

from ._planner import Plan


def rank(values: ebm.Evaluation) -> ebm.Ranking:
    """Order candidates: feasible ones by energy, then infeasible ones by mean positive violation, then those that are not finite.

    Guardrails are not traded: any feasible plan is better than every infeasible one.

    **Arguments:**

    - `values`: evaluations with a leading candidate axis.

    **Returns:**

    The ranking. Its `energy` is that of the best class only: the energies of feasible candidates, or, if none is feasible, the violations
    of the finite ones; +inf elsewhere.
    """
    finite = values.finite & jnp.isfinite(values.energy)
    feasible = finite & (values.violation <= 0)
    violation: Float[Array, " candidates"] = jnp.where(finite, values.mean_violation, jnp.inf)
    key = jnp.where(feasible, values.energy, violation)
    order = jnp.lexsort((key, ~feasible, ~finite))
    best_class = jnp.where(jnp.any(feasible), feasible, finite)
    energy = jnp.where(best_class, key, jnp.inf)
    return ebm.Ranking(jnp.argmin(energy), order, energy)


def choose(plans: Plan) -> Plan:
    """The best of several plans of one problem, which are stacked; the first of equals."""
    return ebm.pick(plans, best_of(plans))


def best_of(plans: Plan) -> Int[Array, ""]:
    """Which of several plans of one problem, which are stacked, is the best; the first of equals."""
    finite = jnp.isfinite(plans.energy)
    return rank(ebm.Evaluation(plans.energy, plans.terms, plans.violations, finite, plans.trajectory, None)).best
