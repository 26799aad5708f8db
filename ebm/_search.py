"""The one sampling core: propose, evaluate, update, over any pytree. Planning over actions and inference over answers share it."""

import abc
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

Belief = TypeVar("Belief")


class Ranking(eqx.Module):
    """How candidates compare.

    **Arguments:**

    - `best`: index of the best candidate.
    - `order`: all indices, best first; costs a sort, if it is used.
    - `energy`: what may be averaged over: +inf for candidates outside the best class (infeasible beside feasible ones, or not finite).
    """

    best: Int[Array, ""]
    order: Int[Array, " candidates"]
    energy: Float[Array, " candidates"]


class AbstractSearch(eqx.Module):
    """A belief about where the minimum is, improved by trying candidates."""

    @abc.abstractmethod
    def propose(self, belief: Any, *, key: Key[Array, ""]) -> PyTree[Float[Array, "candidates ..."]]:
        """Candidates drawn from the belief; a leading axis of fixed size."""

    @abc.abstractmethod
    def update(self, belief: Any, candidates: PyTree[Float[Array, "candidates ..."]], ranking: Ranking) -> Any:
        """The belief after the candidates were ranked. Must stay finite, also when no candidate was."""


def search(
    method: AbstractSearch, rank: Callable[[PyTree], Ranking], belief: Belief, *, num_iterations: int, key: Key[Array, ""]
) -> tuple[Belief, PyTree]:
    """Improve `belief` by trying candidates.

    **Arguments:**

    - `rank`: compares candidates (leaves with a leading axis).
    - `num_iterations`: rounds of propose, rank, update; one compiled body, however many.

    **Returns:**

    The belief after the last round, and the best candidate of every round (leaves with a leading axis of `num_iterations`).
    """

    def iterate(belief, key):
        candidates = method.propose(belief, key=key)
        ranking = rank(candidates)
        return method.update(belief, candidates, ranking), pick(candidates, ranking.best)

    # a split takes as long to compile as the rest of a round
    keys = jax.random.split(key, num_iterations) if num_iterations > 1 else key[None]
    return jax.lax.scan(iterate, belief, keys)


def pick(values: PyTree, index: Int[Array, ""] | int) -> PyTree:
    """One entry along the leading axis of every leaf."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], values)
