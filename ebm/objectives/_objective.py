"""What a representation is trained for: an objective maps what was encoded and predicted to a scalar; a composition weighs several."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from .._representation import Representation
from .._types import to_float


class Outcome(eqx.Module):
    """A batch of films, encoded, and the same films predicted from their first frame.

    **Arguments:**

    - `encoded`: leaves (film, frame, ...).
    - `predicted`: the features after every action, shape (film, frame - 1, feature).
    - `actions`: in half ranges of their box, shape (film, frame - 1, action).
    - `key`: for objectives that draw something, such as directions.
    - `targets`: like `encoded`, by a copy of the encoder that follows it slowly; through it nothing learns.
    - `masked`: like `encoded`, of the same pictures with parts of them hidden.
    - `observations`: what was encoded, for objectives that make it again; leaves (film, frame, ...).
    """

    encoded: Representation
    predicted: Float[Array, "film step feature"]
    actions: Float[Array, "film step action"]
    key: Key[Array, ""] | None = None
    targets: Representation | None = None
    masked: Representation | None = None
    observations: PyTree = None


class AbstractObjective(eqx.Module):
    """A scalar that is low for good representations, an average over whatever it looks at, so that its weight does not depend on sizes."""

    @abc.abstractmethod
    def __call__(self, outcome: Outcome) -> Float[Array, ""]:
        """The loss of one batch."""


class Weighted(eqx.Module):
    """An objective and its weight, which may change while training goes on, linearly in the share of it that is done.

    **Arguments:**

    - `objective`: what is weighed.
    - `weight`: at the beginning. `final`: at the end; by default the same.
    """

    objective: AbstractObjective
    weight: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    final: Float[Array, ""] | None = eqx.field(converter=lambda x: None if x is None else to_float(x), default=None)

    def at(self, share: Float[Array, ""] | float) -> Float[Array, ""]:
        """The weight when `share` of the training is done."""
        return self.weight if self.final is None else self.weight + share * (self.final - self.weight)


class Composition(eqx.Module):
    """Objectives by name, weighed and added."""

    terms: dict[str, Weighted]

    def __call__(self, outcome: Outcome, share: Float[Array, ""] | float = 1.0) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss, and its terms before they were weighed."""
        values = {name: term.objective(outcome) for name, term in self.terms.items()}
        return sum((self.terms[name].at(share) * value for name, value in values.items()), jnp.float32(0.0)), values

    def pull(self, outcome: Outcome, share: Float[Array, ""] | float = 1.0) -> dict[str, Float[Array, ""]]:
        """How much each term, weighed, pulls at what was encoded and predicted: its share of the norms of all these gradients.

        Where one term has nearly all of it, the others are not being learned.
        """

        def norm(term: Weighted) -> Array:
            def value(moved):
                encoded, predicted, masked = moved
                seen = Outcome(encoded, predicted, outcome.actions, outcome.key, outcome.targets, masked, outcome.observations)
                return term.at(share) * term.objective(seen)

            return optax.tree.norm(jax.grad(value)((outcome.encoded, outcome.predicted, outcome.masked)))

        norms = {name: norm(term) for name, term in self.terms.items()}
        whole = jnp.maximum(sum(norms.values(), jnp.float32(0.0)), 1e-12)
        return {name: value / whole for name, value in norms.items()}

    def without(self, *names: str) -> "Composition":
        """The same without some terms.

        **Raises:**

        `ValueError` for a name that is not there.
        """
        for name in names:
            if name not in self.terms:
                raise ValueError(f"There is no term {name!r}: {', '.join(self.terms)}.")
        return Composition({name: term for name, term in self.terms.items() if name not in names})


def samples(block: Float[Array, "film frame feature"]) -> Float[Array, "sample feature"]:
    """All frames of all films, one after another."""
    return block.reshape(-1, block.shape[-1])


def covariance(x: Float[Array, "sample feature"]) -> Float[Array, "feature feature"]:
    """Over the samples, unbiased."""
    x = x - jnp.mean(x, axis=0)
    return x.T @ x / (x.shape[0] - 1)


def off_diagonal_mean(matrix: Float[Array, "feature feature"]) -> Float[Array, ""]:
    """The mean of squares off the diagonal; 0 where there is nothing off it."""
    size = matrix.shape[0]
    return jnp.sum(matrix**2 * (1.0 - jnp.eye(size))) / max(size * (size - 1), 1)


def read(outcome: Outcome, of: str) -> Float[Array, "film frame feature"]:
    """One block of what was encoded."""
    return outcome.encoded.read(of)


def views(outcome: Outcome, of: str) -> tuple[Float[Array, "film step feature"], Float[Array, "film step feature"]]:
    """The same thing seen twice: of features, as it was predicted and as it came; of the context, in a frame and in the next."""
    block = read(outcome, of)
    return outcome.predicted if of == "features" else block[:, :-1], block[:, 1:]


def directions(outcome: Outcome, count: int, size: int) -> Float[Array, "direction feature"]:
    """Drawn evenly from the sphere, anew for every batch.

    **Raises:**

    `ValueError` if the outcome has no key.
    """
    if outcome.key is None:
        raise ValueError("An objective that draws directions needs `Outcome(key=...)`: `ebm.joint_loss` gives one.")
    drawn = jax.random.normal(outcome.key, (count, size))
    return drawn / jnp.linalg.norm(drawn, axis=-1, keepdims=True)


def deviation(variance: Float[Array, " feature"]) -> Float[Array, " feature"]:
    """The square root, with a slope also at 0 (the constant of Bardes et al. 2022)."""
    return jnp.sqrt(variance + 1e-4)


def hinge(x: Float[Array, " feature"], least: Float[Array, ""]) -> Float[Array, ""]:
    """How far, on average, something falls short."""
    return jnp.mean(jax.nn.relu(least - x))
