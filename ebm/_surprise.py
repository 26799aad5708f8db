"""How surprising a film is, frame by frame."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._model import AbstractWorldModel
from ._perceive import AbstractPerceiver


def surprise(
    model: AbstractWorldModel, perceiver: AbstractPerceiver, observations: PyTree, actions: Float[Array, "step action"] | None = None
) -> Float[Array, " frame"]:
    """The perceiver's energy at every frame: how badly it was foreseen from all frames before it.

    `s[t] = perceiver.energy(memory[t - 1], action[t - 1], frame[t])`, and `s[0] = 0`: the first frame surprises nobody.

    It asks for a perceiver and its model, and no more: an encoder with a memory, a filter, or `Direct` and the true physics, whose surprise
    is what the best of models cannot avoid. Average it over frames to compare films; its maximum rewards whoever looks at pixels.

    **Arguments:**

    - `observations`: leaves (frame, ...), each frame what the perceiver takes (after `sense`).
    - `actions`: shape (frame - 1, action), each leading from one frame to the next; `None` where nobody acts.

    **Returns:**

    In the unit of the perceiver's energy, shape (frame,). `jax.vmap` for many films.

    **Raises:**

    `ValueError` if there is not one action between each frame and the next.

    Piloto et al. 2022, "Intuitive physics learning in a deep-learning model inspired by developmental psychology"; Garrido et al. 2025,
    "Intuitive physics understanding emerges from self-supervised pretraining on natural videos", arXiv:2502.11831.
    """
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(observations)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"Every leaf of `observations` must have the frames as its first axis, got lengths {sorted(lengths)}.")
    ((count,),) = lengths
    rest = model.action_space.rest
    actions = jnp.broadcast_to(rest, (count - 1, rest.size)) if actions is None else actions
    if actions.shape[0] != count - 1:
        raise ValueError(f"{count} frames have {count - 1} actions between them, got {actions.shape[0]}.")

    return _watch(model, perceiver, observations, jnp.concatenate([rest[None], actions]))


@eqx.filter_jit
def _watch(
    model: AbstractWorldModel, perceiver: AbstractPerceiver, observations: PyTree, before: Float[Array, "frame action"]
) -> Float[Array, " frame"]:
    """The energies, with the action before each frame; of the first there is none, and none is needed."""

    def watch(memory, frame):
        action, observation = frame
        energy = perceiver.energy(model, memory, action, observation)
        return perceiver.observe(model, memory, action, observation)[1], energy

    return jax.lax.scan(watch, perceiver.init(model), (before, observations))[1]
