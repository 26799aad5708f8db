"""A control barrier for every guardrail."""

import importlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import ebm

from ._checks import ABOVE_ZERO, check_counts, check_numbers, need
from ._filter import AbstractFilter, least_violating, sendable
from ._retreat import constants


class BarrierFilter(AbstractFilter):
    """The nearest action that lets no guardrail's margin shrink faster than by a given share a step: a discrete control barrier.

    With the margin h = -violation, it solves `min |u - action|²` so that `h(after) ≥ (1 - rate) h(now)`, linearised around the action, in
    the box, in every world that the problem draws. Smoother than `BackupFilter`, and it foresees less: it needs a margin that the next
    steps can change, such as one with braking distance in it. If no action can do that, the sum of what is missing is as small as possible,
    counted for each guardrail in the change of action that it takes. Where a margin or its slope is not finite, the action passes only if
    it keeps every guardrail for these steps; else hold, rest or an end of the box is sent, whichever violates least.

    **Arguments:**

    - `rate`: the share of its margin that a guardrail may lose per step, in (0, 1].
    - `steps`: that the action is held; the margin is looked at after each.
    - `price`: of what is missing, relative to the squared change of the action.

    Ames et al. 2019, "Control barrier functions: theory and applications"; Agrawal and Sreenath 2017 (discrete time).
    """

    rate: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=0.3)
    steps: int = eqx.field(static=True, default=2)
    price: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=1e3)

    def __check_init__(self):
        check_counts(self, steps=1)
        check_numbers(self, rate=(ABOVE_ZERO, 1.0), price=(ABOVE_ZERO, np.inf))
        need("qpax", self)

    def __call__(self, problem, state, action, now):
        solver: Any = importlib.import_module("qpax")  # slow to import, and used by nobody else

        if not problem.guardrails:
            sent = sendable(problem, action[None], now)[0]
            return sent, jnp.any(sent != action)
        box = problem.action_space
        unit = jnp.where(box.half_range > 0, box.half_range, 1.0)
        asked, action = action, sendable(problem, action[None], now)[0]
        kept = jnp.cumprod(jnp.full(self.steps, 1.0 - self.rate))
        key, draws = jax.random.key(0), getattr(problem.unjudged(), "num_latents", 1)
        if draws == 1:
            worlds = jax.tree.map(lambda leaf: leaf[None], problem.model.sample_latents(self.steps, key=key))
        else:
            worlds = problem.model.sample_worlds(self.steps, draws, key=key)

        def margins(u):
            return jax.vmap(lambda latents: margins_in(u, latents), axis_size=draws)(worlds).ravel()

        def margins_in(u, latents):
            held = jnp.broadcast_to(action + unit * u, (self.steps, box.size))
            states = problem.model.rollout(state, held, latents)
            times = (now.tick + jnp.arange(self.steps + 1)).astype(jnp.float32) * problem.dt

            def margin(guardrail):
                arguments = action + unit * u, now.previous_action
                h = jax.vmap(lambda state, time: -guardrail.stage(state, *arguments, time) / guardrail.scale)(states, times)
                return h[1:] - kept * jnp.maximum(h[0], 0.0)

            return jnp.concatenate([margin(g) for g in problem.guardrails])

        still = jnp.zeros(box.size)
        left, slope = margins(still), jax.jacfwd(margins)(still)
        usable = jnp.isfinite(left) & jnp.all(jnp.isfinite(slope), axis=1)
        left, slope = jnp.where(usable, left, 1.0), jnp.where(usable[:, None], slope, 0.0)
        # in units of the change of action; no change within the box is worth more than `most`, so that nothing depends on what is beyond
        steep, most = jnp.linalg.norm(slope, axis=1), 4.0 * np.sqrt(box.size)
        steep = jnp.where(steep > 0, steep, 1.0)
        left, slope = jnp.clip(left / steep, -most, most), slope / steep[:, None]
        low, high = (problem.project(end[None], now)[0] for end in (box.low, box.high))  # what can be sent, rate limits included
        rows = jnp.concatenate([-slope, jnp.eye(box.size), -jnp.eye(box.size)])
        limits = jnp.concatenate([left, (high - action) / unit, (action - low) / unit])
        change = solver.solve_qp_elastic(jnp.eye(box.size), still, rows, limits, self.price)[0]
        solved = jnp.all(jnp.isfinite(change))
        safe = problem.project((action + unit * jnp.where(jnp.any(left < 0) & solved, change, 0.0))[None], now)[0]
        tried = jnp.repeat(jnp.concatenate([action[None], constants(box, now.previous_action)])[:, None], self.steps, axis=1)
        blind = ebm.all_finite(state) & ~(jnp.all(usable) & solved)
        sent = jax.lax.cond(blind, lambda: least_violating(problem, state, tried, now)[0], lambda: safe)
        return sent, jnp.any(sent != asked)
