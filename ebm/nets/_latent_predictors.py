"""Predictors of what cannot be predicted: a latent says which of several futures comes."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._latent import AbstractLatent, AbstractLimit, normal_loss
from ._predictors import AbstractPredictor
from ._residual import ResidualMLP

STEP = 0.3  # of a search for z, of the size of what z may be


class AbstractLatentPredictor(AbstractPredictor):
    """A predictor with a latent of each step. Without noise it foresees the nominal future."""

    @abc.abstractmethod
    def bound(
        self, features: Array, action: Array, condensed: PyTree, after: Array, *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """How badly the latent that fits best explains what came, nats, and what that latent costs, nats: their sum is minimised."""


class LatentPredictor(AbstractLatentPredictor):
    """A conditional variational autoencoder: a prior says which latents may come, a posterior which one came.

    `z ~ prior(features, action, context)`, and the next features are normal around `features + network(features, action, z)`.

    Sohn et al. 2015, "Learning structured output representation using deep conditional generative models"; Hafner et al. 2019,
    arXiv:1811.04551.
    """

    network: ResidualMLP
    prior: ResidualMLP
    posterior: ResidualMLP
    log_deviation: Float[Array, " feature"]
    latent: AbstractLatent

    def __init__(
        self,
        features: int,
        actions: int,
        latent: AbstractLatent,
        width: int = 256,
        depth: int = 2,
        *,
        context_size: int = 0,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `features`, `actions`, `context_size`: how many numbers each is.
        - `latent`: `Gaussian` or `Categorical`.
        - `width`, `depth`: of each of three networks.
        """
        keys = jax.random.split(key, 3)
        sizes = {"width": width, "depth": depth, "condition_size": context_size}
        self.network = ResidualMLP(features + actions + latent.size, features, **sizes, key=keys[0])
        self.prior = ResidualMLP(features + actions, latent.parameters, **sizes, key=keys[1])
        self.posterior = ResidualMLP(2 * features + actions, latent.parameters, **sizes, key=keys[2])
        self.log_deviation, self.latent = jnp.full(features, -1.0), latent

    def condense(self, context):
        return tuple(each.condition(context) for each in (self.network, self.prior, self.posterior))

    def sample_noise(self, *, key):
        return self.latent.noise(key=key)

    def __call__(self, features, action, condensed):
        known = jnp.concatenate([features, action])
        return self._come(features, action, condensed, self.latent.nominal(self.prior(known, condensed[1])))

    def draw(self, features, action, condensed, noise):
        known = jnp.concatenate([features, action])
        return self._come(features, action, condensed, self.latent.draw(self.prior(known, condensed[1]), noise))

    def bound(self, features, action, condensed, after, *, key):
        known = jnp.concatenate([features, action])
        prior = self.prior(known, condensed[1])
        posterior = self.posterior(jnp.concatenate([known, after - features]), condensed[2])
        z = self.latent.draw(posterior, self.latent.noise(key=key))
        error = after - self._come(features, action, condensed, z)
        return normal_loss(error, self.log_deviation), self.latent.divergence(posterior, prior)

    def _come(self, features: Array, action: Array, condensed: PyTree, z: Array) -> Float[Array, " feature"]:
        return features + self.network(jnp.concatenate([features, action, z]), condensed[0])


class SearchedPredictor(AbstractLatentPredictor):
    """A latent that no network infers: of several drawn within a limit, the one that explains best what came, then improved by gradients.

    The limit on z is what keeps it from saying everything. Any z of the limit is as likely when it is drawn, so the network must make the
    futures as frequent as they are.

    LeCun 2022, "A path towards autonomous machine intelligence", section 4.3 (regularised latent variables); Li & Malik 2018, "Implicit
    maximum likelihood estimation", arXiv:1809.09087.
    """

    network: ResidualMLP
    log_deviation: Float[Array, " feature"]
    limit: AbstractLimit
    tries: int = eqx.field(static=True)
    refinements: int = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        actions: int,
        limit: AbstractLimit,
        width: int = 256,
        depth: int = 2,
        *,
        tries: int = 8,
        refinements: int = 2,
        context_size: int = 0,
        key: Key[Array, ""],
    ):
        """**Arguments:**

        - `features`, `actions`, `context_size`: how many numbers each is.
        - `limit`: `Ball` or `Sparse`.
        - `width`, `depth`: of the network.
        - `tries`: draws of z, of which the best is taken. `refinements`: steps along the gradient from there.

        **Raises:**

        `ValueError` for less than one try, or negative refinements.
        """
        if tries < 1 or refinements < 0:
            raise ValueError(f"`tries` must be positive and `refinements` not negative, got {tries} and {refinements}.")
        size = features + actions + limit.size
        self.network = ResidualMLP(size, features, width, depth, condition_size=context_size, key=key)
        self.log_deviation, self.limit, self.tries, self.refinements = jnp.full(features, -1.0), limit, tries, refinements

    def condense(self, context):
        return self.network.condition(context)

    def sample_noise(self, *, key):
        return self.limit.noise(key=key)

    def __call__(self, features, action, condensed):
        return self.draw(features, action, condensed, jnp.zeros(self.limit.size))

    def draw(self, features, action, condensed, noise):
        return features + self.network(jnp.concatenate([features, action, noise]), condensed)

    def bound(self, features, action, condensed, after, *, key):
        def wrong(z):
            return normal_loss(after - self.draw(features, action, condensed, z), self.log_deviation)

        drawn = jax.vmap(lambda key: self.limit.noise(key=key))(jax.random.split(key, self.tries))
        best = drawn[jnp.argmin(jax.vmap(wrong)(drawn))]

        def improve(z, _):
            slope = jax.grad(wrong)(z)
            moved = self.limit.project(z - STEP * slope / (jnp.linalg.norm(slope) + 1e-6))
            return jnp.where(wrong(moved) < wrong(z), moved, z), None

        z, _ = jax.lax.scan(improve, best, length=self.refinements)
        return wrong(jax.lax.stop_gradient(z)), jnp.float32(0.0)


class Spread(AbstractPredictor):
    """Another predictor's foresight with normal errors around it: what a deterministic one says about chance, if its errors are measured.

    **Arguments:**

    - `predictor`: which is not changed. `deviation`: of its errors, shape (feature,).
    """

    predictor: AbstractPredictor
    deviation: Float[Array, " feature"]

    def condense(self, context):
        return self.predictor.condense(context)

    def sample_noise(self, *, key):
        return jax.random.normal(key, self.deviation.shape)

    def __call__(self, features, action, condensed):
        return self.predictor(features, action, condensed)

    def draw(self, features, action, condensed, noise):
        return self.predictor(features, action, condensed) + self.deviation * noise
