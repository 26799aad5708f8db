"""A joint-embedding predictive architecture as a world model: what is predicted is the next representation, never the next picture."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._average import Average
from ._model import AbstractWorldModel
from ._perceive import AbstractPerceiver, Seen
from ._representation import Representation, split, standardise
from ._types import Box, Latents
from .nets import AbstractEncoder, AbstractPredictor

Coordinates = Callable[[Float[Array, " feature"]], Float[Array, " coordinate"]]


class JEPA(AbstractWorldModel):
    """An encoder and a predictor that meet in representations. A world model: every planner works on it.

    The encoder's vector has two blocks, of features and of context. The predictor moves the features, or `coordinates` made of them, and is
    told the context. If it has a latent, the model has base noise for every step; without, a rollout is the nominal one.

    **Arguments:**

    - `encoder`: from one observation to a vector.
    - `predictor`: from features, action and context to features.
    - `action_space`: of one action. The predictor sees actions in half ranges of this box.
    - `coordinates`: what is predicted instead of the features: a more abstract level, such as `ebm.Displacement`.
    - `dt`: s between two states.
    - `context_size`: how many of the encoder's numbers, its last, are context.
    - `held`: control periods for which one action is held; part of what the model was trained for.

    LeCun 2022, "A path towards autonomous machine intelligence"; Sobal et al. 2022, "Joint embedding predictive architectures focus on slow
    features", arXiv:2211.10831.
    """

    encoder: AbstractEncoder
    predictor: AbstractPredictor
    action_space: Box
    coordinates: Coordinates | None = None
    dt: float = eqx.field(static=True, default=1.0)
    context_size: int = eqx.field(static=True, default=0)
    held: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if not 0 <= self.context_size < self.encoder.size:
            raise ValueError(f"`context_size` must be in [0, {self.encoder.size}), got {self.context_size}: some numbers must be features.")
        if self.held < 1:
            raise ValueError(f"`held` must be positive, got {self.held}. It counts the control periods for which an action is held.")

    def encode(self, observation: PyTree) -> Representation:
        """The representation of one observation."""
        return self.refine(split(self.encoder(observation), self.context_size, self.encoder.standardised))

    def refine(self, representation: Representation) -> Representation:
        """What is predicted, made of one representation by the encoder."""
        if self.coordinates is None:
            return representation
        return Representation(self.coordinates(representation.features), representation.context)

    def example_state(self):
        zeros = Representation(jnp.zeros(self.encoder.size - self.context_size), jnp.zeros(self.context_size))
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), jax.eval_shape(self.refine, zeros))

    def sample_latents(self, horizon, *, key):
        noise = jax.vmap(lambda key: self.predictor.sample_noise(key=key))(jax.random.split(key, horizon))
        return None if noise is None else Latents(jnp.zeros(()), noise)

    def step(self, state, action, latents=None):
        condensed = self.predictor.condense(state.context)
        noise = None if latents is None else latents.step
        return Representation(self._advance(state.features, action, condensed, noise), state.context)

    def rollout(self, state, actions, latents=None):
        condensed = self.predictor.condense(state.context)

        def advance(features, step):
            features = self._advance(features, step[0], condensed, step[1])
            return features, features

        noise = None if latents is None else latents.step
        _, after = jax.lax.scan(advance, jnp.asarray(state.features), (actions, noise))
        context = jnp.broadcast_to(state.context, (actions.shape[0] + 1, *state.context.shape))
        return Representation(jnp.concatenate([state.features[None], after]), context)

    def scale(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """Actions in half ranges of their box."""
        return in_half_ranges(actions, self.action_space)

    def _advance(self, features: Float[Array, " feature"], action: Array, condensed: PyTree, noise: PyTree) -> Float[Array, " feature"]:
        inputs = features, self.scale(action), condensed
        after = self.predictor(*inputs) if noise is None else self.predictor.draw(*inputs, noise)
        return standardise(after) if self.coordinates is None and self.encoder.standardised else after


def in_half_ranges(actions: Float[Array, "*batch action"], box: Box) -> Float[Array, "*batch action"]:
    """Actions as networks see them.

    **Raises:**

    `ValueError` if they have another size than the box: they would be broadcast, and something else learned.
    """
    if jnp.shape(actions)[-1:] != (box.size,):
        raise ValueError(f"Actions of shape {jnp.shape(actions)} do not end in the {box.size} numbers of `action_space`. Reshape them.")
    return (actions - box.center) / box.half_range


class Encoded(AbstractPerceiver):
    """Each observation by itself, through the model's encoder; surprising by how far the features are from those foreseen.

    Energy: half the mean squared difference, so that 1 is what two unrelated observations have.
    """

    def init(self, model):
        return Seen(model.example_state(), jnp.array(False))

    def observe(self, model, memory, action, observation):
        del memory, action
        state = _encode(model, observation)
        return state, Seen(state, jnp.array(True))

    def energy(self, model, memory, action, observation):
        foreseen, seen = model.step(memory.state, action), _encode(model, observation)
        return jnp.where(memory.seen, 0.5 * jnp.mean((foreseen.features - seen.features) ** 2), 0.0)


def _encode(model: AbstractWorldModel, observation: PyTree) -> Representation:
    if not isinstance(model, JEPA):
        raise TypeError(f"`Encoded` perceives through the encoder of a JEPA, and {type(model).__name__} has none. Use `ebm.Direct`.")
    return model.encode(observation)


def is_network(part: Any) -> bool:
    """Whether a part of a tree is a network or a layer of one, and so something that learns."""
    return isinstance(part, eqx.Module) and any(kind.__module__.startswith(("equinox.nn", "ebm.nets")) for kind in type(part).__mro__)


def trainable(tree: PyTree) -> PyTree:
    """A filter for `eqx.partition`: True for the parameters of networks: layers of `equinox.nn` and `ebm.nets`, and what derives from them.

    In a network of one's own, derived from `nets.AbstractEncoder` for instance, every array of floats learns that is JAX's, not NumPy's.
    Goals, weights, action boxes and scales do not learn, although they are arrays; nor does an `Average`, although it has layers.
    """

    def mark(part: Any) -> PyTree:
        return jax.tree.map(eqx.is_inexact_array, part) if is_network(part) else jax.tree.map(lambda _: False, part)

    return jax.tree.map(mark, tree, is_leaf=lambda part: is_network(part) or isinstance(part, Average))
