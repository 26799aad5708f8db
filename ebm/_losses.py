"""What the parts of a JEPA learn from: films for encoder and predictor together, representations for what stands on a finished encoder."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._average import Average
from ._displacement import Displacement
from ._jepa import JEPA
from ._masking import hide
from ._recurrent_loss import JointRecurrent
from ._representation import Representation, standardise
from .nets import AbstractPredictor
from .objectives import Composition, Outcome

ROLLOUT_WEIGHT = 0.25  # of errors that add up through a film, beside those of single steps
SMALL = 1e-4  # a squared distance, below which the slope of a distance falls to 0

Terms = dict[str, Float[Array, ""]]


class Joint(eqx.Module):
    """What learns together: a JEPA, and objectives, which may bring networks of their own.

    **Arguments:**

    - `target`: an average of the encoder, for objectives that distil from one.
    - `hidden`: the share of a picture that is hidden, for objectives that guess it.
    """

    model: JEPA
    objective: Composition
    target: Average | None = None
    hidden: float = eqx.field(static=True, default=0.0)

    def imagine(self, observations: PyTree, actions: Float[Array, "film step action"], key: Key[Array, ""] | None = None) -> Outcome:
        """Encode every frame of a batch of films, and predict each film from its first frame.

        **Arguments:**

        - `observations`: leaves (film, frame, ...). `actions`: actuator units.
        - `key`: for objectives that draw something.
        """
        encode = jax.vmap(jax.vmap(self.model.encode))
        encoded = encode(observations)
        first = jax.tree.map(lambda leaf: leaf[:, 0], encoded)
        predicted = jax.vmap(self.model.rollout)(first, actions).features[:, 1:]
        targets = masked = None
        if self.target is not None:
            slow = eqx.tree_at(lambda model: model.encoder, self.model, self.target.network)
            targets = jax.lax.stop_gradient(jax.vmap(jax.vmap(slow.encode))(observations))
        if self.hidden:
            if key is None:
                raise ValueError("`hidden` needs a key: where pictures are hidden is drawn.")
            key, hide_key = jax.random.split(key)
            masked = encode(hide(observations, self.hidden, key=hide_key))
        return Outcome(encoded, predicted, self.model.scale(actions), key, targets, masked, observations)

    def settle(self, share: Float[Array, ""]) -> "Joint":
        """The same with its average a step nearer to the encoder."""
        if self.target is None:
            return self
        return eqx.tree_at(lambda learner: learner.target, self, self.target.follow(self.model.encoder, share))


def joint_loss(
    learner: Joint | JointRecurrent, batch: tuple[PyTree, Array], share: Float[Array, ""], key: Array
) -> tuple[Float[Array, ""], Terms]:
    """The composition over a batch of films: observations (film, frame, ...) and actions (film, frame - 1, action).

    Its parts are the terms before they were weighed, and after it (`… weighed`), and how much each pulls (`… pull`).
    """
    outcome = learner.imagine(*batch, key)
    loss, values = learner.objective(outcome, share)
    terms = learner.objective.terms
    weighed = {f"{name} weighed": terms[name].at(share) * value for name, value in values.items()}
    pull = {f"{name} pull": value for name, value in learner.objective.pull(jax.lax.stop_gradient(outcome), share).items()}
    return loss, values | weighed | pull


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
    - `standardised`: whether features are, and what is predicted therefore will be: those of a JEPA without coordinates.
    """

    before: Representation
    after: Float[Array, "step feature"]
    actions: Float[Array, "step action"]
    films: Representation
    film_actions: Float[Array, "film length action"]
    standardised: bool = eqx.field(static=True, default=False)


def prediction_loss(predictor: AbstractPredictor, batch: Steps, share: Float[Array, ""], key: Array) -> tuple[Array, Terms]:
    """The mean distance between what is predicted and what came, over single steps and, with less weight, over whole films."""
    del share, key

    def predict(features, action, condensed):
        after = predictor(features, action, condensed)
        return standardise(after) if batch.standardised else after

    def step(before, action):
        return predict(before.features, action, predictor.condense(before.context))

    def film(first, actions):
        condensed = predictor.condense(first.context)

        def advance(features, action):
            features = predict(features, action, condensed)
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
