"""Trees that are equal but for their numbers, as one tree with a leading axis."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def stack(trees: Sequence[Any], what: str) -> Any:
    """All of them in one: every array has a leading axis, and what is no array is that of the first.

    **Raises:**

    `ValueError` if they differ in more than numbers; `what` names them there.
    """
    arrays, rest = zip(*(eqx.partition(tree, eqx.is_array) for tree in trees), strict=True)
    for other, values in zip(rest[1:], arrays[1:], strict=True):
        if not eqx.tree_equal(rest[0], other) or _shapes(values) != _shapes(arrays[0]):
            raise ValueError(
                f"{what} must be equal but for their numbers. Build all of them with the same settings, and with the same functions: one "
                "optimiser and one loss for all."
            )
    return eqx.combine(jax.tree.map(lambda *leaves: jnp.stack(leaves), *arrays), rest[0])


def unstack(tree: Any, index: Int[Array, ""] | int) -> Any:
    """One of the trees."""
    return jax.tree.map(lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, tree)


def _shapes(tree: Any) -> list[tuple]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
