"""What a model with a memory learns together with: whole films, frames foreseen from those before them."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PyTree

from ._recurrent import RecurrentJEPA
from .objectives import Composition, Outcome


class JointRecurrent(eqx.Module):
    """What learns together: a `RecurrentJEPA`, and objectives, which may bring networks of their own.

    **Arguments:**

    - `seen`: frames of every film after which the model shuts its eyes, and imagines the rest, as it will when plans are made with it; by
      default it foresees one frame at a time.
    """

    model: RecurrentJEPA
    objective: Composition
    seen: int | None = eqx.field(static=True, default=None)

    def imagine(self, observations: PyTree, actions: Float[Array, "film step action"], key: Key[Array, ""] | None = None) -> Outcome:
        """Watch a batch of films, and foresee each frame from those before it.

        **Arguments:**

        - `observations`: leaves (film, frame, ...). `actions`: actuator units.
        - `key`: for objectives that draw something.
        """
        encoded, predicted = jax.vmap(lambda film, acted: self.model.watch(film, acted, self.seen))(observations, actions)
        return Outcome(encoded, predicted, self.model.scale(actions), key, observations=observations)
