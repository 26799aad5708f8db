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
    method: AbstractSearch,
    evaluate: Callable[[PyTree], PyTree],
    rank: Callable[[PyTree], Ranking],
    belief: Belief,
    *,
    num_iterations: int,
    key: Key[Array, ""],
) -> tuple[Belief, PyTree]:
    """Improve `belief` and remember the best value met.

    **Arguments:**

    - `evaluate`: candidates -> values, both with a leading axis.
    - `rank`: values -> `Ranking`.
    - `num_iterations`: rounds of propose, evaluate, update; one compiled body, however many.

    **Returns:**

    The belief after the last round, and the best value (one entry of what `evaluate` returned).
    """

    def iterate(belief, key):
        candidates = method.propose(belief, key=key)
        values = evaluate(candidates)
        ranking = rank(values)
        return method.update(belief, candidates, ranking), pick(values, ranking.best)

    belief, best = jax.lax.scan(iterate, belief, jax.random.split(key, num_iterations))
    return belief, pick(best, rank(best).best)


def pick(values: PyTree, index: Int[Array, ""] | int) -> PyTree:
    """One entry along the leading axis of every leaf."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], values)
