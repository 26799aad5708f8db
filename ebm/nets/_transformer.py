"""Transformer blocks: normalise, look at other tokens, add; normalise, think, add."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from .._representation import standardise

EXPANSION = 4  # of the layer between, in widths, by default
WHERE = 0.3  # standard deviation with which the embeddings of places in a grid begin


class Attended(eqx.Module):
    """What tokens ask for, and what they offer to others.

    **Arguments:**

    - `queries`, `keys`, `values`: shape (token, width).
    """

    queries: Float[Array, "token width"]
    keys: Float[Array, "token width"]
    values: Float[Array, "token width"]


class Modulation(eqx.Module):
    """What a condition does to a block: it moves and stretches what was normalised, and opens the gate of what is added.

    **Arguments:**

    - `shift`, `scale`, `gate`: shape (2, token, width): for the attention, and for the layers after it.
    """

    shift: Float[Array, "2 token width"]
    scale: Float[Array, "2 token width"]
    gate: Float[Array, "2 token width"]


class Block(eqx.Module):
    """A pre-norm block, which a condition may modulate; modulated, it begins as the identity, with closed gates.

    It comes in parts (`offer`, `attend`, `add`), so that keys and values can be kept from one call to the next.

    Xiong et al. 2020, "On layer normalization in the transformer architecture", arXiv:2002.04745; adaLN-zero: Peebles & Xie 2023, "Scalable
    diffusion models with transformers", arXiv:2212.09748.
    """

    project: eqx.nn.Linear
    merge: eqx.nn.Linear
    first: eqx.nn.Linear
    last: eqx.nn.Linear
    modulate: eqx.nn.Linear | None
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, *, condition_size: int = 0, expansion: int = EXPANSION, key: Key[Array, ""]):
        """**Arguments:**

        - `width`: of a token. `heads`: of the attention, a divisor of `width`.
        - `condition_size`: of the condition of a token; 0 for none.
        - `expansion`: of the layer between, in widths.
        """
        if width % heads:
            raise ValueError(f"`heads` must divide `width`, got {heads} and {width}. Each head looks at an equal part of a token.")
        keys = jax.random.split(key, 5)
        self.heads = heads
        self.project = eqx.nn.Linear(width, 3 * width, use_bias=False, key=keys[0])
        self.merge = eqx.nn.Linear(width, width, key=keys[1])
        self.first = eqx.nn.Linear(width, expansion * width, key=keys[2])
        self.last = eqx.nn.Linear(expansion * width, width, key=keys[3])
        self.modulate = None
        if condition_size:
            closed = eqx.nn.Linear(condition_size, 6 * width, key=keys[4])
            self.modulate = jax.tree.map(jnp.zeros_like, closed)

    def modulation(self, conditions: Float[Array, "token condition"]) -> Modulation | None:
        """What the conditions do, or `None` in a block that takes none."""
        if self.modulate is None:
            return None
        parts = jax.vmap(self.modulate)(conditions).reshape(conditions.shape[0], 3, 2, -1)
        return Modulation(*jnp.transpose(parts, (1, 2, 0, 3)))

    def offer(self, tokens: Float[Array, "token width"], modulation: Modulation | None = None) -> Attended:
        """Queries, keys and values."""
        return Attended(*jnp.split(jax.vmap(self.project)(_normal(tokens, modulation, 0)), 3, axis=-1))

    def attend(
        self,
        queries: Float[Array, "token width"],
        keys: Float[Array, "other width"],
        values: Float[Array, "other width"],
        visible: Bool[Array, "#token other"] | None = None,
        bias: Float[Array, "#token other head"] | float = 0.0,
    ) -> Float[Array, "token width"]:
        """What each token sees of the others: `softmax(q k / √d + bias) v`, a head at a time.

        **Arguments:**

        - `visible`: which of the others it may look at, at least one; by default all.
        - `bias`: for or against looking there, such as for what is near in time.
        """
        q, k, v = (x.reshape(x.shape[0], self.heads, -1) for x in (queries, keys, values))
        scores = jnp.einsum("thd,ohd->toh", q, k) / jnp.sqrt(q.shape[-1]) + bias
        if visible is not None:
            scores = jnp.where(visible[:, :, None], scores, -jnp.inf)
        seen = jnp.einsum("toh,ohd->thd", jax.nn.softmax(scores, axis=1), v)
        return seen.reshape(queries.shape)

    def add(
        self, tokens: Float[Array, "token width"], seen: Float[Array, "token width"], modulation: Modulation | None = None
    ) -> Float[Array, "token width"]:
        """The tokens after what they saw, and after they have thought about it."""
        tokens = tokens + _gated(jax.vmap(self.merge)(seen), modulation, 0)
        between = jax.nn.gelu(jax.vmap(self.first)(_normal(tokens, modulation, 1)))
        return tokens + _gated(jax.vmap(self.last)(between), modulation, 1)

    def __call__(self, tokens: Float[Array, "token width"]) -> Float[Array, "token width"]:
        """All tokens see all tokens."""
        offered = self.offer(tokens)
        return self.add(tokens, self.attend(offered.queries, offered.keys, offered.values))


def _normal(tokens: Float[Array, "token width"], modulation: Modulation | None, part: int) -> Float[Array, "token width"]:
    tokens = standardise(tokens)
    return tokens if modulation is None else tokens * (1.0 + modulation.scale[part]) + modulation.shift[part]


def _gated(added: Float[Array, "token width"], modulation: Modulation | None, part: int) -> Float[Array, "token width"]:
    return added if modulation is None else modulation.gate[part] * added
