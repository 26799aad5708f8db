"""What a model with a memory learns from: whole films, each frame foreseen from all before it."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from ._recurrent import RecurrentJEPA
from .objectives import Composition, Outcome


class JointRecurrent(eqx.Module):
    """What learns together: a `RecurrentJEPA`, and objectives, which may bring networks of their own."""

    model: RecurrentJEPA
    objective: Composition

    def imagine(self, observations: PyTree, actions: Float[Array, "film step action"]) -> Outcome:
        """Watch a batch of films, and foresee each frame from those before it.

        **Arguments:**

        - `observations`: leaves (film, frame, ...). `actions`: actuator units.
        """
        encoded, predicted = jax.vmap(self.model.watch)(observations, actions)
        return Outcome(encoded, predicted, self.model.scale(actions))


def joint_recurrent_loss(
    learner: JointRecurrent, batch: tuple[PyTree, Array], share: Float[Array, ""], key: Array
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The composition over a batch of films: observations (film, frame, ...) and actions (film, frame - 1, action)."""
    del key
    return learner.objective(learner.imagine(*batch), share)
