"""A linear recurrence with one rate for each number that it keeps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Key

from .._representation import standardise
from ._memory import AbstractMemory

LONGEST = 1000.0  # frames after which the slowest number has faded to 1/e, at first
FASTEST = jnp.pi / 4  # rad per frame by which a number turns, at first


class Recurrence(eqx.Module):
    """`h ← λ ⊙ h + √(1 − |λ|²) ⊙ B x`, and `y = x + g(x, h)` through a gate, where `λ = exp(−exp(fading) + i turning)`.

    Its eigenvalues are inside the unit circle whatever is learnt, so that it is stable; and, being linear and diagonal, it can be computed
    for all frames at once.
    """

    fading: Float[Array, " state"]
    turning: Float[Array, " state"]
    into: eqx.nn.Linear
    out: eqx.nn.Linear
    gate: eqx.nn.Linear

    def __init__(self, width: int, states: int, *, key: Key[Array, ""]):
        """**Arguments:**

        - `width`: of a vector. `states`: how many complex numbers are kept.
        """
        keys = jax.random.split(key, 4)
        self.fading = -jnp.linspace(0.0, jnp.log(LONGEST), states)
        self.turning = jax.random.uniform(keys[3], (states,), maxval=FASTEST)
        self.into = eqx.nn.Linear(width, 2 * states, use_bias=False, key=keys[0])
        self.out = eqx.nn.Linear(2 * states, width, key=keys[1])
        self.gate = eqx.nn.Linear(width, width, key=keys[2])

    def rate(self) -> Complex[Array, " state"]:
        """The eigenvalues λ."""
        return jnp.exp(jax.lax.complex(-jnp.exp(self.fading), self.turning))

    def drive(self, x: Float[Array, " width"]) -> Complex[Array, " state"]:
        """What a vector adds, scaled so that noise keeps its variance."""
        gain = jnp.sqrt(-jnp.expm1(-2.0 * jnp.exp(self.fading)))
        return gain * jax.lax.complex(*jnp.split(self.into(standardise(x)), 2))

    def say(self, x: Float[Array, " width"], state: Complex[Array, " state"]) -> Float[Array, " width"]:
        """The vector after it was compared with what is kept."""
        read = jax.nn.gelu(self.out(jnp.concatenate([state.real, state.imag])))
        return x + read * jax.nn.sigmoid(self.gate(read))


class StateSpaceMemory(AbstractMemory):
    """Layers of linear recurrences, each with many rates, from one frame to a thousand: remembers for long, and cheaply.

    The carry holds real and imaginary parts, shape (depth, 2, states).

    Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", arXiv:2303.06349; Smith et al. 2023, "Simplified state
    space layers for sequence modeling", arXiv:2208.04933.
    """

    first: eqx.nn.Linear
    layers: list[Recurrence]
    last: eqx.nn.Linear
    in_size: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    states: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, width: int = 64, states: int = 64, depth: int = 2, *, key: Key[Array, ""]):
        """**Arguments:**

        - `in_size`, `size`: of what it takes in, and of what it says.
        - `width`: of the vectors between. `states`: how many complex numbers each layer keeps. `depth`: the number of layers.
        """
        keys = jax.random.split(key, depth + 2)
        self.in_size, self.size, self.states = in_size, size, states
        self.first = eqx.nn.Linear(in_size, width, key=keys[0])
        self.layers = [Recurrence(width, states, key=key) for key in keys[2:]]
        self.last = eqx.nn.Linear(width, size, key=keys[1])

    def init(self):
        return jnp.zeros((len(self.layers), 2, self.states))

    def __call__(self, carry, x):
        x, kept = self.first(x), []
        for layer, before in zip(self.layers, carry, strict=True):
            state = layer.rate() * jax.lax.complex(before[0], before[1]) + layer.drive(x)
            x = layer.say(x, state)
            kept.append(jnp.stack([state.real, state.imag]))
        return jnp.stack(kept), self.last(standardise(x))

    def film(self, xs):
        xs = jax.vmap(self.first)(xs)
        for layer in self.layers:
            driven = jax.vmap(layer.drive)(xs)
            rates = jnp.broadcast_to(layer.rate(), driven.shape)
            xs = jax.vmap(layer.say)(xs, jax.lax.associative_scan(_after, (rates, driven))[1])
        return jax.vmap(self.last)(standardise(xs))


def _after(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two steps `h ← a h + b` as one."""
    return one[0] * other[0], other[0] * one[1] + other[1]
