"""Latent variables: how they are drawn from base noise, and how far one distribution of them is from another."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

LEAST = 0.01  # a deviation, in units of the latent
TEMPERATURE = 1.0  # of the soft choice through which gradients pass


class AbstractLatent(eqx.Module):
    """A family of distributions of z, each of which is told by a vector of parameters that a network gives.

    `size` is that of z.
    """

    size: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def parameters(self) -> int:
        """How many numbers tell a distribution."""

    @abc.abstractmethod
    def noise(self, *, key: Key[Array, ""]) -> Array:
        """Base noise, which is the same whatever the parameters are."""

    @abc.abstractmethod
    def draw(self, parameters: Float[Array, " parameter"], noise: Array) -> Float[Array, " size"]:
        """z, made of parameters and base noise; through both a gradient passes to the parameters."""

    @abc.abstractmethod
    def nominal(self, parameters: Float[Array, " parameter"]) -> Float[Array, " size"]:
        """The most likely z."""

    @abc.abstractmethod
    def divergence(self, posterior: Float[Array, " parameter"], prior: Float[Array, " parameter"]) -> Float[Array, ""]:
        """Kullback and Leibler's KL(posterior ‖ prior), nats."""


class Gaussian(AbstractLatent):
    """Independent normal numbers (Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114)."""

    size: int = eqx.field(static=True, default=4)

    @property
    def parameters(self):
        return 2 * self.size

    def noise(self, *, key):
        return jax.random.normal(key, (self.size,))

    def draw(self, parameters, noise):
        mean, deviation = self._split(parameters)
        return mean + deviation * noise

    def nominal(self, parameters):
        return self._split(parameters)[0]

    def divergence(self, posterior, prior):
        (mean, deviation), (usual, spread) = self._split(posterior), self._split(prior)
        return jnp.sum(jnp.log(spread / deviation) + (deviation**2 + (mean - usual) ** 2) / (2 * spread**2) - 0.5)

    def _split(self, parameters: Float[Array, " parameter"]) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
        mean, raw = jnp.split(parameters, 2)
        return mean, LEAST + jax.nn.softplus(raw)


class Categorical(AbstractLatent):
    """Groups of which each is one of some classes, drawn by Gumbel's noise; gradients pass straight through the choice, as if it were soft.

    A share of every distribution is uniform, so that nothing is impossible.

    Jang et al. 2017, "Categorical reparameterization with Gumbel-softmax", arXiv:1611.01144; Hafner et al. 2023, "Mastering diverse domains
    through world models", arXiv:2301.04104, for groups and the uniform share. Where gradients pass through the chances instead, as there,
    a latent that decides between two futures was not learned here.
    """

    groups: int = eqx.field(static=True, default=4)
    classes: int = eqx.field(static=True, default=8)
    uniform: float = eqx.field(static=True, default=0.01)

    @property
    def size(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.groups * self.classes

    @property
    def parameters(self):
        return self.size

    def noise(self, *, key):
        return jax.random.gumbel(key, (self.groups, self.classes))

    def draw(self, parameters, noise):
        return self._choose(self._logarithms(parameters), noise)

    def nominal(self, parameters):
        return self._choose(self._logarithms(parameters), jnp.zeros((self.groups, self.classes)))

    def divergence(self, posterior, prior):
        mine, theirs = self._logarithms(posterior), self._logarithms(prior)
        return jnp.sum(jnp.exp(mine) * (mine - theirs))

    def _logarithms(self, parameters: Float[Array, " parameter"]) -> Float[Array, "group class"]:
        chances = jax.nn.softmax(parameters.reshape(self.groups, self.classes))
        return jnp.log((1 - self.uniform) * chances + self.uniform / self.classes)

    def _choose(self, logarithms: Float[Array, "group class"], noise: Array) -> Float[Array, " size"]:
        tilted = logarithms + noise
        chosen, soft = jax.nn.one_hot(jnp.argmax(tilted, axis=-1), self.classes), jax.nn.softmax(tilted / TEMPERATURE)
        return (chosen + soft - jax.lax.stop_gradient(soft)).ravel()


class AbstractLimit(eqx.Module):
    """What z may be, where it is searched for: a set from which z is drawn evenly, and into which it is brought back."""

    size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " size"]:
        """A z of the set."""

    @abc.abstractmethod
    def project(self, z: Float[Array, " size"]) -> Float[Array, " size"]:
        """The nearest z of the set."""


class Ball(AbstractLimit):
    """A norm of at most 1."""

    size: int = eqx.field(static=True, default=2)

    def noise(self, *, key):
        way, far = jax.random.split(key)
        heading = jax.random.normal(way, (self.size,))
        return heading / jnp.linalg.norm(heading) * jax.random.uniform(far) ** (1.0 / self.size)

    def project(self, z):
        return z / jnp.maximum(jnp.linalg.norm(z), 1.0)


class Sparse(AbstractLimit):
    """At most `active` numbers that are not 0, each within ±1."""

    size: int = eqx.field(static=True, default=8)
    active: int = eqx.field(static=True, default=1)

    def noise(self, *, key):
        which, far = jax.random.split(key)
        rank = jnp.argsort(jax.random.uniform(which, (self.size,)))
        return jnp.where(rank < self.active, jax.random.uniform(far, (self.size,), minval=-1.0), 0.0)

    def project(self, z):
        rank = jnp.argsort(jnp.argsort(-jnp.abs(z)))
        return jnp.where(rank < self.active, jnp.clip(z, -1.0, 1.0), 0.0)


def normal_loss(error: Float[Array, " feature"], log_deviation: Float[Array, " feature"]) -> Float[Array, ""]:
    """Minus the logarithm of a normal density, nats."""
    return jnp.sum(0.5 * (error * jnp.exp(-log_deviation)) ** 2 + log_deviation + 0.5 * math.log(2 * math.pi))
