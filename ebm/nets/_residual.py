"""The network that most others here are made of."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class ResidualMLP(eqx.Module):
    """A linear layer, `depth` residual layers, and a linear layer beside which the input passes straight to the output.

    `h ← relu(W x + c)`, then `h ← h + relu(W h)`, and `y = W h + V x`, where `c` is a condition: what stays the same through many calls is
    condensed once (`condition`) and costs nothing at every call.

    **Arguments:**

    - `in_size`, `out_size`: of the vectors.
    - `width`: of the layers between. `depth`: how many of them are residual.
    - `condition_size`: of the vector that `condition` takes; 0 for none.
    """

    first: eqx.nn.Linear
    between: list[eqx.nn.Linear]
    last: eqx.nn.Linear
    straight: eqx.nn.Linear
    conditions: eqx.nn.MLP | None

    def __init__(self, in_size: int, out_size: int, width: int = 256, depth: int = 2, *, condition_size: int = 0, key: Key[Array, ""]):
        keys = jax.random.split(key, depth + 4)
        self.first = eqx.nn.Linear(in_size, width, key=keys[0])
        self.between = [eqx.nn.Linear(width, width, key=key) for key in keys[4:]]
        self.last = eqx.nn.Linear(width, out_size, key=keys[1])
        self.straight = eqx.nn.Linear(in_size, out_size, use_bias=False, key=keys[2])
        self.conditions = eqx.nn.MLP(condition_size, width, width // 2, 2, key=keys[3]) if condition_size else None

    def condition(self, context: Float[Array, " condition"]) -> Float[Array, " width"]:
        """What `context` adds to the first layer."""
        return jnp.zeros(self.first.out_features) if self.conditions is None else self.conditions(context)

    def __call__(self, x: Float[Array, " in"], added: Float[Array, " width"] | float = 0.0) -> Float[Array, " out"]:
        h = jax.nn.relu(self.first(x) + added)
        for layer in self.between:
            h = h + jax.nn.relu(layer(h))
        return self.last(h) + self.straight(x)
