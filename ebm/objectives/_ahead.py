"""Prediction of what comes some frames later."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._representation import standardise
from ..nets import AbstractPredictor
from ._objective import AbstractObjective, read


class Ahead(AbstractObjective):
    """The mean squared error of features that are foreseen `steps` frames ahead, from features and context alone.

    What is hidden now comes back later: here it matters to the memory at once, not only when it comes. Frames ahead are foreseen by a
    network that learns with the rest, and is not needed afterwards. For films in which nobody acts.

    van den Oord et al. 2018, "Representation learning with contrastive predictive coding", arXiv:1807.03748, who look as far ahead.

    **Arguments:**

    - `predictor`: from features, no action and the context, to features.
    - `steps`: frames.

    **Raises:**

    `ValueError` for films that are not longer.
    """

    predictor: AbstractPredictor
    steps: int = eqx.field(static=True, default=4)

    def __call__(self, outcome):
        features, context = read(outcome, "features"), read(outcome, "context")
        if features.shape[1] <= self.steps:
            raise ValueError(f"These films have {features.shape[1]} frames, too few to look {self.steps} ahead. Lower `steps`.")
        came = jax.lax.stop_gradient(features[:, self.steps :])  # lest features become slow, to be easily foreseen

        def foresee(now, remembered):
            return standardise(self.predictor(now, jnp.zeros(0), self.predictor.condense(remembered)))

        foreseen = jax.vmap(jax.vmap(foresee))(features[:, : -self.steps], context[:, : -self.steps])
        return jnp.mean((foreseen - came) ** 2)
