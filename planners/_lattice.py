"""Search on a lattice of states."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, UInt32

import ebm

from ._checks import ABOVE_ZERO, check_numbers
from ._discrete import advance, check_branches, decisions
from ._sequence import AbstractSequenceSearch

PAIRS = 64  # that are compared in the memory of a partial plan
HELD_CELLS = 5.0  # for half the action box


class LatticeSearch(AbstractSequenceSearch):
    """Grow plans choice by choice; of those that lead into one cell of a lattice of states, only the cheapest lives on.

    Forward dynamic programming, exact where a cell holds one state and the width all that can be reached: it finds the way out of any
    maze, which a beam without cells fills with copies of one dead end. Plans are ordered as in `BeamSearch`, but nothing is guessed about
    what lies ahead. Deterministic. Dolgov et al. 2010, "Path planning for autonomous vehicles in unknown semi-structured environments".

    **Arguments:**

    - `horizon`: actions planned ahead. `hold`: steps that a choice lasts.
    - `width`: cells that are kept at every depth.
    - `cell`: the side of a cell, in the units of the coordinates; a scalar or one per coordinate.
    - `coordinates`: `state -> (coordinate,)`; by default all numbers of a state.
    - `choices`: the actions to choose from; by default a grid of `resolution` values per actuator.
    """

    effort = "width"
    horizon: int = eqx.field(static=True, default=25)
    width: int = eqx.field(static=True, default=64)
    hold: int = eqx.field(static=True, default=3)
    resolution: int = eqx.field(static=True, default=3)
    choices: ebm.Discrete | None = None
    cell: Float[Array, "*coordinate"] = eqx.field(converter=ebm.to_float, default=0.1)
    coordinates: Callable[[Any], Array] | None = None

    def __check_init__(self):
        check_numbers(self, cell=(ABOVE_ZERO, np.inf))
        if self.coordinates is not None and not callable(self.coordinates):
            raise TypeError(f"`coordinates` must be a function of a state, such as `lambda s: s.position`, got {self.coordinates!r}.")

    def search(self, problem, state, choices, now, key):
        del key  # deterministic
        state, count, box = jax.tree.map(jnp.asarray, state), decisions(self.horizon, self.hold), problem.action_space
        check_branches(
            (self.width * choices.shape[0]) ** 2 // PAIRS, f"A width of {self.width} with {choices.shape[0]} choices, all compared,"
        )
        limited = getattr(problem, "rate_limit", None) is not None
        fine = HELD_CELLS / jnp.where(box.half_range > 0, box.half_range, 1.0)

        def held_in(sent):  # where it says what can be done next, an action is part of the state
            return (sent - box.center) * fine if limited else sent[..., :0]

        def deepen(front, depth):
            states, held, energy, violation = front
            tick = now.tick + depth * self.hold
            left = jnp.minimum(self.horizon - depth * self.hold, self.hold)

            def follow(state, held, action):
                return advance(problem, state, action, self.hold, held, tick, left)

            grown, sent, costs, broken, finite = jax.vmap(lambda s, h: jax.vmap(lambda a: follow(s, h, a))(choices))(states, held)
            energy, violation = (energy[:, None] + costs).ravel(), (violation[:, None] + broken).ravel()
            finite = finite.ravel() & jnp.isfinite(energy)
            final = jax.vmap(jax.vmap(lambda state: problem.energy.final(state, (tick + left).astype(jnp.float32) * problem.dt)))(grown)
            worth = jnp.where(finite, energy + final.ravel(), jnp.inf)
            safe = finite & (violation <= 0)
            order = jnp.lexsort((jnp.where(safe, worth, violation), ~safe, ~finite))
            place = jnp.zeros_like(order).at[order].set(jnp.arange(order.size))
            cells = jax.vmap(jax.vmap(self._cell))(grown, held_in(sent)).reshape(order.size, 2)
            # a plan lives on if none that leads into its cell comes before it
            same = jnp.all(cells[:, None] == cells[None], axis=-1) & finite[None]
            beaten = jnp.any(same & (place[None] < place[:, None]), axis=1) | ~finite
            chosen = jnp.argsort(jnp.where(beaten, order.size, place))[: self.width]
            parent, choice = chosen // choices.shape[0], chosen % choices.shape[0]
            states = jax.tree.map(lambda leaf: leaf[parent, choice], grown)
            energy = jnp.where(beaten[chosen], jnp.inf, energy[chosen])
            return (states, sent[parent, choice], energy, violation[chosen]), (parent, choice)

        def repeat(leaf):
            return jnp.broadcast_to(leaf, (self.width, *jnp.shape(leaf)))

        # one plan at first: its copies count as not finite
        energy = jnp.where(jnp.arange(self.width) == 0, 0.0, jnp.inf)
        first = jax.tree.map(repeat, state), repeat(now.previous_action), energy, jnp.zeros(self.width)
        _, family = jax.lax.scan(deepen, first, jnp.arange(count))

        def back(child, generation):
            parent, choice = generation
            return parent[child], choice[child]

        # the last generation stands in order: its first is the best
        _, chosen = jax.lax.scan(back, jnp.zeros((), family[0].dtype), family, reverse=True)
        return jnp.repeat(choices[chosen], self.hold, axis=0)[None, : self.horizon]

    def _cell(self, state, held) -> UInt32[Array, "2"]:
        """Two numbers that stand for a cell: two different cells share both once in 2⁶⁴."""
        numbers = ravel_pytree(state if self.coordinates is None else self.coordinates(state))[0]
        if self.cell.shape not in ((), (1,), numbers.shape):
            raise ValueError(f"`cell` must be one number or {numbers.size}, one for each coordinate, got shape {self.cell.shape}.")
        cell = jnp.concatenate([jnp.nan_to_num(numbers) / self.cell, held])
        cell = jnp.round(cell).astype(jnp.int32).astype(jnp.uint32)
        odd = np.random.default_rng(0).integers(1 << 31, size=(cell.size, 2), dtype=np.uint32) * 2 + 1
        return jnp.sum((cell[:, None] ^ (cell[:, None] >> 15)) * jnp.asarray(odd), axis=0, dtype=jnp.uint32)
