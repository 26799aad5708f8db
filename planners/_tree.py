"""Monte Carlo tree search."""

import importlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import ebm

from ._checks import check_numbers, need
from ._discrete import advance, decisions, outlook
from ._sequence import AbstractSequenceSearch

LOST = 1e6  # times what can be had at once: the energy of what is not finite, where a number is needed


class TreeSearch(AbstractSequenceSearch):
    """Grow a tree of choices where it looks good: Gumbel MuZero's search, in a world model that is not learned for it.

    A leaf is worth what can be had from it by holding one choice, the best, to the end of the horizon. The plan is the way to the best leaf
    and that choice, judged as a whole beside the last plan moved on in time. Values are rescaled inside the tree, so energies of any size
    serve. Needs the extra `solvers`.

    Every plan grows a new tree. What a kept subtree would save was measured on pendulum and cart-pole swing-up, with the plant's own model
    and plans only where a choice ends: 43 % of 32 nodes and 10 % of 256 lie below the choice that is carried out, and energies do not
    fall any more from 32 simulations on; between the ends of choices, or on another plant, nothing could be kept.

    **Arguments:**

    - `horizon`: actions planned ahead. `hold`: steps that a choice lasts.
    - `num_simulations`: leaves that are tried, one after the other.
    - `choices`: the actions to choose from; by default a grid of `resolution` values per actuator.
    - `penalty`: energy per summed violation inside the tree.

    Danihelka et al. 2022, "Policy improvement by planning with Gumbel"; DeepMind's mctx.
    """

    effort = "num_simulations"
    horizon: int = eqx.field(static=True, default=25)
    num_simulations: int = eqx.field(static=True, default=64)
    hold: int = eqx.field(static=True, default=5)
    resolution: int = eqx.field(static=True, default=5)
    choices: ebm.Discrete | None = None
    penalty: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=100.0)

    def __check_init__(self):
        need("mctx", self)
        check_numbers(self, penalty=(0.0, np.inf))

    def search(self, problem, state, choices, now, key):
        mctx: Any = importlib.import_module("mctx")  # slow to import, and used by nobody else

        count, num_choices = decisions(self.horizon, self.hold), choices.shape[0]
        evenly = jnp.zeros((1, num_choices))

        def value(state, held, depth):
            done = jnp.minimum(depth * self.hold, self.horizon)
            about = count * self.hold, now.tick + done, self.horizon - done, self.penalty  # in one go, for the engine is asked every time
            costs = jax.vmap(lambda action: outlook(problem, state, held, action, *about))(choices)
            return jnp.min(costs), choices[jnp.argmin(costs)]

        def expand(params, key, choice, node):
            del params, key
            state, held, depth, _ = jax.tree.map(lambda leaf: leaf[0], node)
            action = choices[choice[0]]
            left = jnp.clip(self.horizon - depth * self.hold, 0, self.hold)
            after, sent, energy, violation, finite = advance(problem, state, action, self.hold, held, now.tick + depth * self.hold, left)
            cost, inside = jnp.where(finite, energy + self.penalty * violation, lost), (depth < count) & finite
            ahead, then = value(after, sent, depth + 1)
            node = jax.tree.map(lambda leaf: leaf[None], (after, sent, depth + 1, then))
            worth = -jnp.minimum(ahead, lost)
            numbers = jnp.where(depth < count, -cost, 0.0), jnp.where(inside, 1.0, 0.0), jnp.where(inside, worth, 0.0)
            reward, more, left = (number[None] for number in numbers)
            return mctx.RecurrentFnOutput(reward=reward, discount=more, prior_logits=evenly, value=left), node

        state = jax.tree.map(jnp.asarray, state)
        least, then = value(state, now.previous_action, jnp.int32(0))
        lost = LOST * (1.0 + jnp.where(jnp.isfinite(least), jnp.abs(least), 0.0))
        worth = -jnp.minimum(least, lost)
        root = jax.tree.map(lambda leaf: leaf[None], (state, now.previous_action, jnp.int32(0), then))
        output = mctx.gumbel_muzero_policy(
            params=(),
            rng_key=key,
            root=mctx.RootFnOutput(prior_logits=evenly, value=worth[None], embedding=root),
            recurrent_fn=expand,
            num_simulations=self.num_simulations,
            max_depth=count,
            max_num_considered_actions=min(num_choices, 16),
            gumbel_scale=1.0,
        )
        return jnp.repeat(_best_path(output.search_tree, choices, count), self.hold, axis=0)[None, : self.horizon]


def _best_path(tree: Any, choices: Float[Array, "choices action"], count: int) -> Float[Array, "count action"]:
    """The choices on the way to the leaf with the largest return, and from there on the one that its value stands for."""
    parents, choice = tree.parents[0], tree.action_from_parent[0]

    def descend(carry, node):
        returns, depths = carry
        parent = jnp.maximum(parents[node], 0)
        returns = returns.at[node].set(returns[parent] + tree.children_rewards[0, parent, choice[node]])
        return (returns, depths.at[node].set(depths[parent] + 1)), None

    nothing = jnp.zeros(parents.size), jnp.zeros(parents.size, jnp.int32)
    (returns, depths), _ = jax.lax.scan(descend, nothing, jnp.arange(1, parents.size))
    best = jnp.argmax(jnp.where(tree.node_visits[0] > 0, returns + tree.raw_values[0], -jnp.inf))

    def ascend(carry, _):
        node, path = carry
        here = (jnp.arange(count) == depths[node] - 1)[:, None]  # nowhere, at the root
        path = jnp.where(here, choices[choice[node]], path)
        return (jnp.where(node > 0, parents[node], 0), path), None

    then = jnp.broadcast_to(tree.embeddings[3][0, best], (count, choices.shape[1]))
    (_, path), _ = jax.lax.scan(ascend, (best, then), length=count)
    return path
