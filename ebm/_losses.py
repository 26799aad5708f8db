"""What the parts of a JEPA learn from: films for encoder and predictor together, representations for what stands on a finished encoder."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._displacement import Displacement
from ._jepa import JEPA
from ._representation import Representation
from .nets import AbstractPredictor
from .objectives import Composition, Outcome

ROLLOUT_WEIGHT = 0.25  # of errors that add up through a film, beside those of single steps
SMALL = 1e-4  # a squared distance, below which the slope of a distance falls to 0

Terms = dict[str, Float[Array, ""]]


class Joint(eqx.Module):
    """What learns together: a JEPA, and objectives, which may bring networks of their own."""

    model: JEPA
    objective: Composition

    def imagine(self, observations: PyTree, actions: Float[Array, "film step action"]) -> Outcome:
        """Encode every frame of a batch of films, and predict each film from its first frame.

        **Arguments:**

        - `observations`: leaves (film, frame, ...). `actions`: actuator units.
        """
        encoded = jax.vmap(jax.vmap(self.model.encode))(observations)
        first = jax.tree.map(lambda leaf: leaf[:, 0], encoded)
        predicted = jax.vmap(self.model.rollout)(first, actions).features[:, 1:]
        return Outcome(encoded, predicted, self.model.scale(actions))


def joint_loss(learner: Joint, batch: tuple[PyTree, Array], share: Float[Array, ""], key: Array) -> tuple[Float[Array, ""], Terms]:
    """The composition over a batch of films: observations (film, frame, ...) and actions (film, frame - 1, action)."""
    del key
    return learner.objective(learner.imagine(*batch), share)


def displacement_loss(head: Displacement, batch: tuple[Array, Array, Array], share: Float[Array, ""], key: Array) -> tuple[Array, Terms]:
    """The mean distance between `c(after) - c(before)` and the action, over features before and after, and actions in half ranges."""
    del share, key
    before, after, actions = batch
    error = distance(jax.vmap(head)(after) - jax.vmap(head)(before) - actions)
    return jnp.mean(error), {"median": jnp.median(error)}


class Steps(eqx.Module):
    """Representations that a predictor learns from.

    **Arguments:**

    - `before`, `after`: one step. `actions`: in half ranges, shape (step, action).
    - `films`: leaves (film, frame, ...). `film_actions`: shape (film, frame - 1, action).
    """

    before: Representation
    after: Float[Array, "step feature"]
    actions: Float[Array, "step action"]
    films: Representation
    film_actions: Float[Array, "film length action"]


def prediction_loss(predictor: AbstractPredictor, batch: Steps, share: Float[Array, ""], key: Array) -> tuple[Array, Terms]:
    """The mean distance between what is predicted and what came, over single steps and, with less weight, over whole films."""
    del share, key

    def step(before, action):
        return predictor(before.features, action, predictor.condense(before.context))

    def film(first, actions):
        condensed = predictor.condense(first.context)

        def advance(features, action):
            features = predictor(features, action, condensed)
            return features, features

        return jax.lax.scan(advance, first.features, actions)[1]

    single = distance(jax.vmap(step)(batch.before, batch.actions) - batch.after)
    first = jax.tree.map(lambda leaf: leaf[:, 0], batch.films)
    through = distance(jax.vmap(film)(first, batch.film_actions) - batch.films.features[:, 1:])
    parts = {"single": jnp.mean(single), "film": jnp.mean(through), "film_end": jnp.median(through[:, -1])}
    return parts["single"] + ROLLOUT_WEIGHT * parts["film"], parts


def distance(difference: Float[Array, "*batch feature"]) -> Float[Array, "*batch"]:
    """Its length: unlike its square it lets the many errors that are small count beside the few that cannot be helped."""
    return jnp.sqrt(jnp.sum(difference**2, axis=-1) + SMALL)
