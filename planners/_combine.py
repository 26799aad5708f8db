"""How a gradient planner combines what several energies want."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

SMALL = 1e-12  # of the squared gradients, the largest entry being 1


class AbstractCombination(eqx.Module):
    """One direction from the gradients of several energies."""

    @abc.abstractmethod
    def __call__(self, gradients: Float[Array, "terms n"], *, key: Key[Array, ""]) -> Float[Array, " n"]:
        """The combined gradient, shape (n,)."""


class PCGrad(AbstractCombination):
    """Where two gradients conflict, each gives up its part against the other, in random order; then they are added.

    Keeps one large term from cancelling the progress of a small one. It changes what is minimised: at the end no term can improve without
    opposing another.

    Yu et al. 2020, "Gradient surgery for multi-task learning", arXiv:2001.06782.
    """

    def __call__(self, gradients, *, key):
        others = jax.random.permutation(key, gradients.shape[0])
        largest = jnp.max(jnp.abs(gradients), initial=0.0)
        scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
        gradients = gradients / scale

        def resolve(number):
            def against(g, i):
                other = gradients[i]
                conflict = jnp.where(i == number, 0.0, jnp.minimum(jnp.dot(g, other), 0.0))
                return g - conflict * other / jnp.maximum(jnp.dot(other, other), SMALL), None

            return jax.lax.scan(against, gradients[number], others)[0]

        return scale * jnp.sum(jax.vmap(resolve)(jnp.arange(gradients.shape[0])), axis=0)
