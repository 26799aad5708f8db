"""Beam search."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import ebm

from ._checks import check_numbers
from ._discrete import advance, check_branches, decisions, outlook
from ._sequence import AbstractSequenceSearch


class BeamSearch(AbstractSequenceSearch):
    """Grow plans choice by choice, and keep the best few at every depth (Lowerre 1976).

    A partial plan stands for the whole one that holds its last choice to the end, and is ordered like that: first those that have not
    violated anything, then by energy. The survivors are judged once more as whole plans, beside the last plan moved on in time.
    Deterministic.

    **Arguments:**

    - `horizon`: actions planned ahead. `hold`: steps that a choice lasts.
    - `width`: partial plans that are kept.
    - `choices`: the actions to choose from; by default a grid of `resolution` values per actuator.
    - `penalty`: energy per summed violation in what lies ahead of a partial plan.
    """

    effort = "width"
    horizon: int = eqx.field(static=True, default=25)
    width: int = eqx.field(static=True, default=32)
    hold: int = eqx.field(static=True, default=3)
    resolution: int = eqx.field(static=True, default=5)
    choices: ebm.Discrete | None = None
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=100.0)

    def __check_init__(self):
        check_numbers(self, penalty=(0.0, np.inf))

    def search(self, problem, state, choices, now, key):
        del key  # deterministic
        state = jax.tree.map(jnp.asarray, state)
        count, num_choices = decisions(self.horizon, self.hold), choices.shape[0]
        check_branches(self.width * num_choices, f"A width of {self.width} with {num_choices} choices")

        def repeat(leaf):
            return jnp.broadcast_to(leaf, (self.width, *jnp.shape(leaf)))

        def deepen(beam, depth):
            states, held, energy, violation, plans, best = beam
            tick, left = now.tick + depth * self.hold, self.horizon - depth * self.hold
            now_left = jnp.minimum(left, self.hold)

            def follow(state, held, action):
                after, sent, cost, broken, finite = advance(problem, state, action, self.hold, held, tick, now_left)
                ahead = outlook(problem, after, sent, action, self.hold, tick + now_left, left - now_left, self.penalty)
                return after, sent, cost, broken, jnp.where(finite, ahead, jnp.inf)

            grown, sent, costs, broken, aheads = jax.vmap(lambda s, h: jax.vmap(lambda a: follow(s, h, a))(choices))(states, held)
            energy, violation = energy[:, None] + costs, violation[:, None] + broken
            key = energy + aheads
            finite = jnp.isfinite(key)
            safe = finite & (violation <= 0)
            order = jnp.lexsort(tuple(x.ravel() for x in (jnp.where(safe, key, violation), ~safe, ~finite)))[: self.width]
            parent, choice = order // num_choices, order % num_choices
            states = jax.tree.map(lambda leaf: leaf[parent, choice], grown)
            later = (jnp.arange(count) >= depth)[:, None]
            plans = jnp.where(later, choices[choice][:, None], plans[parent])
            energy = jnp.where(finite, energy, jnp.inf)
            # the best whole plan met so far, for a beam may lose it
            whole = jnp.where(finite, key, jnp.inf)[parent, choice] + self.penalty * violation[parent, choice]
            first = jnp.argmin(whole)
            best = jax.tree.map(lambda new, old: jnp.where(whole[first] < best[0], new, old), (whole[first], plans[first]), best)
            return (states, sent[parent, choice], energy[parent, choice], violation[parent, choice], plans, best), None

        # the beam starts as one plan: its copies count as not finite
        energy = jnp.where(jnp.arange(self.width) == 0, 0.0, jnp.inf)
        plans = jnp.broadcast_to(now.previous_action, (self.width, count, choices.shape[1]))
        nothing = jnp.float32(jnp.inf), plans[0]
        first = jax.tree.map(repeat, state), repeat(now.previous_action), energy, jnp.zeros(self.width), plans, nothing
        *_, plans, (_, best) = jax.lax.scan(deepen, first, jnp.arange(count))[0]
        return jnp.repeat(jnp.concatenate([best[None], plans]), self.hold, axis=1)[:, : self.horizon]
