"""What a model with a memory learns together with: whole films, frames foreseen from those before them."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PyTree

from ._masking import Blocks
from ._recurrent import RecurrentJEPA
from .objectives import Composition, Outcome


class JointRecurrent(eqx.Module):
    """What learns together: a `RecurrentJEPA`, and objectives, which may bring networks of their own.

    **Arguments:**

    - `seen`: frames of every film after which the model shuts its eyes, and imagines the rest, as it will when plans are made with it; by
      default it foresees one frame at a time.
    - `masks`: with them, it completes one frame at a time: a part of it is hidden, drawn anew, and the rest is told. What is foreseen is
      then right where nothing was hidden, so that errors are smaller by the share that is.
    """

    model: RecurrentJEPA
    objective: Composition
    seen: int | None = eqx.field(static=True, default=None)
    masks: Blocks | None = None

    def imagine(self, observations: PyTree, actions: Float[Array, "film step action"], key: Key[Array, ""] | None = None) -> Outcome:
        """Watch a batch of films, and foresee each frame from those before it.

        **Arguments:**

        - `observations`: leaves (film, frame, ...). `actions`: actuator units.
        - `key`: for masks, and objectives that draw something.

        **Raises:**

        `ValueError` for masks without a key.
        """
        hidden, masks = None, self.masks
        if masks is not None:
            if key is None:
                raise ValueError("`masks` need a key: what is hidden is drawn.")
            key, hide_key = jax.random.split(key)
            hidden = jax.vmap(jax.vmap(lambda key: masks.draw(key=key)))(jax.random.split(hide_key, actions.shape[:2]))
        watch = jax.vmap(lambda film, acted, hides: self.model.watch(film, acted, self.seen, hides))
        encoded, predicted = watch(observations, actions, hidden)
        return Outcome(encoded, predicted, self.model.scale(actions), key, observations=observations)
