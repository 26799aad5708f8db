"""Attention to what was taken in before, here and elsewhere."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from .._representation import standardise
from ._memory import AbstractMemory
from ._transformer import EXPANSION, WHERE, Attended, Block


class Kept(eqx.Module):
    """Keys and values of the last inputs, in a ring: input `n` is in slot `n mod length`.

    **Arguments:**

    - `keys`, `values`: shape (depth, length, place, width).
    - `count`: how many inputs there were.
    """

    keys: Float[Array, "depth length place width"]
    values: Float[Array, "depth length place width"]
    count: Int[Array, ""]


class TransformerMemory(AbstractMemory):
    """A causal transformer, each block of which looks at the last `length` inputs, whose keys and values it keeps.

    How long ago an input was counts by a learnt bias for each head. A condition, such as an action, modulates every block (adaLN-zero).
    An input may be a grid of places, flat: each is a token then, which looks at all places of all these inputs and says something of its
    own. A state that holds this memory has `2 · depth · length · places · width` numbers: keep it small where many futures are imagined.

    Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762. The bias begins as in Press et al. 2022, "Train short, test long",
    arXiv:2108.12409.
    """

    first: eqx.nn.Linear
    conditions: eqx.nn.Linear | None
    blocks: list[Block]
    ages: eqx.nn.Embedding
    where: Float[Array, "place width"] | None
    last: eqx.nn.Linear
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    condition_size: int = eqx.field(static=True)
    places: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        size: int,
        length: int = 16,
        width: int = 64,
        depth: int = 2,
        *,
        heads: int = 4,
        condition_size: int = 0,
        places: int = 1,
        expansion: int = EXPANSION,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it says.
        - `length`: inputs that a block looks at, the present one among them.
        - `width`: of a token. `depth`: the number of blocks. `heads`: of the attention, a divisor of `width`.
        - `condition_size`: how many of the input's numbers, its last, are a condition, and not part of the tokens.
        - `places`: tokens of an input, each an equal part of the numbers that are left; as many equal parts has what it says.
        - `expansion`: of the layer between in every block, in widths.
        """
        if length < 1:
            raise ValueError(f"`length` must be positive, got {length}. It counts the inputs that a block looks at.")
        if not 0 <= condition_size < in_size:
            raise ValueError(f"`condition_size` must be in [0, {in_size}), got {condition_size}: some numbers must be the token.")
        if places < 1 or (in_size - condition_size) % places or size % places:
            raise ValueError(f"`places` must divide the {in_size - condition_size} numbers of an input and the {size} said, got {places}.")
        keys = jax.random.split(key, depth + 3)
        self.in_size, self.size, self.length, self.condition_size, self.places = in_size, size, length, condition_size, places
        self.first = eqx.nn.Linear((in_size - condition_size) // places, width, key=keys[0])
        self.where = WHERE * jax.random.normal(jax.random.fold_in(key, places), (places, width)) if places > 1 else None
        self.conditions = eqx.nn.Linear(condition_size, width, key=keys[1]) if condition_size else None
        conditioned = width if condition_size else 0
        self.blocks = [Block(width, heads, condition_size=conditioned, expansion=expansion, key=key) for key in keys[3:]]
        slopes = 2.0 ** (-8.0 * jnp.arange(1, heads + 1) / heads)
        self.ages = eqx.nn.Embedding(weight=-slopes * jnp.arange(float(length))[:, None])
        self.last = eqx.nn.Linear(width, size // places, key=keys[2])

    def init(self):
        kept = jnp.zeros((len(self.blocks), self.length, self.places, self.first.out_features))
        return Kept(kept, kept, jnp.int32(0))

    def __call__(self, carry, x):
        tokens, conditions = self._take_in(x[None])
        slot = carry.count % self.length
        ages = (carry.count - jnp.arange(self.length)) % self.length
        visible, bias = (jnp.repeat(each, self.places, axis=0)[None] for each in (ages <= carry.count, self.ages.weight[ages]))
        keys, values = carry.keys, carry.values

        def keep(i: int, offered: Attended) -> tuple[Array, Array]:
            nonlocal keys, values
            keys, values = keys.at[i, slot].set(offered.keys), values.at[i, slot].set(offered.values)
            return keys[i].reshape(-1, keys.shape[-1]), values[i].reshape(-1, values.shape[-1])

        said = self._through(tokens, conditions, visible, bias, keep)[0]
        return Kept(keys, values, carry.count + 1), said

    def film(self, xs):
        tokens, conditions = self._take_in(xs)
        step = jnp.repeat(jnp.arange(xs.shape[0]), self.places)
        ages = step[:, None] - step
        visible, bias = (ages >= 0) & (ages < self.length), self.ages.weight[jnp.clip(ages, 0, self.length - 1)]
        return self._through(tokens, conditions, visible, bias, lambda i, offered: (offered.keys, offered.values))

    def _take_in(self, xs: Float[Array, "frame in"]) -> tuple[Float[Array, "token width"], Float[Array, "token condition"]]:
        """Tokens, a frame after another, and what conditions each."""
        cut = self.in_size - self.condition_size
        conditions = xs[:, cut:]
        if self.conditions is not None:
            conditions = jax.nn.silu(jax.vmap(self.conditions)(conditions))
        tokens = jax.vmap(self.first)(xs[:, :cut].reshape(xs.shape[0] * self.places, -1))
        if self.where is not None:
            tokens = tokens + jnp.tile(self.where, (xs.shape[0], 1))
        return tokens, jnp.repeat(conditions, self.places, axis=0)

    def _through(
        self,
        tokens: Float[Array, "token width"],
        conditions: Float[Array, "token condition"],
        visible: Bool[Array, "#token other"],
        bias: Float[Array, "#token other head"],
        keep: Callable[[int, Attended], tuple[Array, Array]],
    ) -> Float[Array, "frame size"]:
        """What the tokens say after all blocks; `keep` takes what they offer in each, and returns the keys and values they look at."""
        for i, block in enumerate(self.blocks):
            modulation = block.modulation(conditions)
            offered = block.offer(tokens, modulation)
            tokens = block.add(tokens, block.attend(offered.queries, *keep(i, offered), visible, bias), modulation)
        return jax.vmap(self.last)(standardise(tokens)).reshape(-1, self.size)
