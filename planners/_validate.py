"""Is this plan fit to be executed? An independent check, for plans from anywhere."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Key, PyTree

import ebm


class Validation(eqx.Module):
    """What a check of a plan found, or of a batch of them.

    **Arguments:**

    - `finite`: the actions, and everything that the model says they lead to.
    - `inside`: every action keeps its box, and `within_rate` the rate limits from the previous action on.
    - `violations`: the worst of each guardrail, in its scale; at most 0 is safe.
    - `energy`: of the plan; like the violations +inf if the actions are not finite.
    """

    finite: Bool[Array, "..."]
    inside: Bool[Array, "..."]
    within_rate: Bool[Array, "..."]
    violations: dict[str, Float[Array, "..."]]
    energy: Float[Array, "..."]

    @property
    def valid(self) -> Bool[Array, "..."]:
        """Whether the plan may be executed."""
        valid = self.finite & self.inside & self.within_rate
        for value in self.violations.values():
            valid = valid & (value <= 0)
        return valid


def validate(
    problem: ebm.AbstractProblem,
    state: PyTree,
    actions: Float[Array, "horizon action"],
    now: ebm.Now,
    *,
    key: Key[Array, ""],
    tolerance: ArrayLike = 1e-5,
) -> Validation:
    """Check a plan against the limits and, by imagining it once more, against the guardrails.

    **Arguments:**

    - `actions`: in actuator units, the first of them due now.
    - `key`: draws the worlds in which it is tried; give one that the planner has not seen.
    - `tolerance`: of the limits, as a share of half the box.

    **Raises:**

    `ValueError` if there are no actions, or they do not have one column per actuator.
    """
    actions, size = ebm.to_float(actions), problem.action_space.size
    if actions.ndim != 2 or actions.shape[1] != size or not len(actions):
        raise ValueError(f"`actions` must have shape (horizon, {size}), got {actions.shape}: one row per step, one column per actuator.")
    box, slack = problem.bounds(now, actions.shape[0]), jnp.asarray(tolerance) * problem.action_space.half_range
    good = jnp.all(jnp.isfinite(actions))
    value = problem.evaluate(state, jnp.where(good, actions, 0.0), now, key=key)
    inside = jnp.all((actions >= box.low - slack) & (actions <= box.high + slack))
    within_rate = jnp.all(jnp.abs(problem.project(actions, now) - jnp.clip(actions, box.low, box.high)) <= slack)
    violations = {name: jnp.where(good, jnp.max(violation, axis=-1), jnp.inf) for name, violation in value.violations.items()}
    return Validation(good & value.finite, inside, within_rate, violations, jnp.where(good, value.energy, jnp.inf))
