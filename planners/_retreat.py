"""Simple plans, one of which may keep every guardrail when nothing else does."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._basis import shift

SHARES = (0.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)  # of the way from what keeps the guardrails to what descent came to


def constants(box: ebm.Box, previous: Float[Array, " action"]) -> Float[Array, "constants action"]:
    """Hold what was sent last, rest, and either end of the box."""
    return jnp.stack([box.clip(previous), box.rest, box.low, box.high])


def retreats(
    problem: ebm.AbstractProblem, actions: Float[Array, "horizon action"], whole: Float[Array, ""], now: ebm.Now
) -> Float[Array, "retreats horizon action"]:
    """What was planned before, moved on by `whole` steps, with its last action, rest or either end of the box after it; and these at once.

    Planners that descend come to a limit from either side. What kept the guardrails a step ago mostly still does, if one only knows how it
    ends: a plan that is too short to stop in is no retreat.
    """
    box, moved = problem.action_space, shift(actions, whole)
    ends = constants(box, now.previous_action)[1:, None]
    known = (jnp.arange(moved.shape[0]) + whole < moved.shape[0])[:, None]
    at_once = jnp.broadcast_to(ends, (len(ends), *moved.shape))
    tried = jnp.concatenate([moved[None], jnp.where(known, moved, at_once), at_once])
    return jax.vmap(lambda actions: problem.project(actions, now))(tried)


def on_the_way(
    problem: ebm.AbstractProblem, here: Float[Array, "horizon action"], there: Float[Array, "horizon action"], now: ebm.Now
) -> Float[Array, "shares horizon action"]:
    """Plans between one that is known to be good, which is the first, and one that descent came to, which weighs violations against energy.

    Without them a planner might wait for ever where the end of every descent exceeds a limit by a hair.
    """
    there = jnp.where(jnp.isfinite(there), there, here)
    between = here + jnp.asarray(SHARES)[:, None, None] * (there - here)
    return jax.vmap(lambda actions: problem.project(actions, now))(between)
