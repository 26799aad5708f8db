"""A world model with a memory, for films whose frames alone are no state, and the perceiver that keeps it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._jepa import in_half_ranges
from ._masking import Blocks
from ._model import AbstractWorldModel
from ._perceive import AbstractPerceiver, Seen
from ._representation import Representation, standardise
from ._types import AbstractState, Box
from .nets import AbstractCompleter, AbstractDecoder, AbstractEncoder, AbstractMemory, AbstractPredictor


class Remembered(AbstractState):
    """What is seen or imagined at one moment, and what is remembered of all before it.

    **Arguments:**

    - `features`: of this moment. `context`: what the memory makes of everything up to it. Both can be read, by these names.
    - `carry`: what the memory keeps.
    """

    features: Float[Array, "*batch feature"]
    context: Float[Array, "*batch context"]
    carry: Any

    def read(self, name):
        return Representation(self.features, self.context).read(name)


class RecurrentJEPA(AbstractWorldModel):
    """Encoder, memory and predictor: the next features are foreseen from these, the action, and what is remembered.

    `z = standardise(encode(frame))`, `m, carry ← memory(carry, (z, action before))`, `ẑ' = standardise(predict(z, action, m))`; an encoder
    may do without (`standardised`).

    A world model: in imagination its own prediction takes the place of the next frame, and enters the memory like one, so that every
    planner works on it. Of a moment that follows no action, such as the first, the memory is told the middle of the action box.

    **Arguments:**

    - `encoder`: from one observation to a vector.
    - `memory`: of features and actions one after another; its `in_size` is the sum of theirs.
    - `predictor`: from features, action and what the memory says, which is its context, to features.
    - `action_space`: of one action, which networks see in half ranges of this box. `ebm.Box([], [])` for a film.
    - `dt`: s between two states.
    - `held`: control periods for which one action is held; part of what the model was trained for.

    Ha & Schmidhuber 2018, "World models", arXiv:1803.10122; Hafner et al. 2019, "Learning latent dynamics for planning from pixels",
    arXiv:1811.04551, who reconstruct the frames.
    """

    encoder: AbstractEncoder
    memory: AbstractMemory
    predictor: AbstractPredictor
    action_space: Box
    dt: float = eqx.field(static=True, default=1.0)
    held: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        features, actions = self.encoder.size, self.action_space.size
        if self.memory.in_size != features + actions:
            raise ValueError(
                f"The memory takes in {self.memory.in_size} numbers, but there are {features} features and {actions} of the action before. "
                f"Give it `in_size={features + actions}`."
            )
        if self.held < 1:
            raise ValueError(f"`held` must be positive, got {self.held}. It counts the control periods for which an action is held.")

    def encode(self, observation: PyTree) -> Float[Array, " feature"]:
        """The features of one observation."""
        return self._settled(self.encoder(observation))

    def foresee(self, state: Remembered, action: Float[Array, " action"]) -> Float[Array, " feature"]:
        """The features after `action`."""
        return self._foresee(state.features, state.context, self.scale(action))

    def complete(
        self, state: Remembered, action: Float[Array, " action"], seen: Float[Array, " feature"], hidden: Bool[Array, " feature"]
    ) -> Float[Array, " feature"]:
        """The features after `action`, where those that are not `hidden` were seen: these as they are, and the others as foreseen.

        **Raises:**

        `TypeError` if the predictor is no `AbstractCompleter`.
        """
        return self._complete(state.features, state.context, self.scale(action), seen, hidden)

    def take_in(self, state: Remembered, action: Float[Array, " action"], features: Float[Array, " feature"]) -> Remembered:
        """The state after `action` led from `state` to `features`, seen or imagined."""
        carry, context = self.memory(state.carry, jnp.concatenate([features, self.scale(action)]))
        return Remembered(features, context, carry)

    def watch(
        self,
        observations: PyTree,
        actions: Float[Array, "step action"],
        seen: int | None = None,
        hidden: Bool[Array, "step feature"] | None = None,
    ) -> tuple[Representation, Float[Array, "step feature"]]:
        """A whole film at once: what a `Filtering` perceiver would read at every frame, and what it would have foreseen of every next one.

        **Arguments:**

        - `observations`: leaves (frame, ...), one more than `actions`, of which each leads from one frame to the next.
        - `seen`: frames after which it shuts its eyes, and foresees the rest by imagination; by default never.
        - `hidden`: which of the next features are foreseen while the others are told (`complete`); by default all.

        **Returns:**

        Features and contexts of all frames, and the features foreseen of all but the first.

        **Raises:**

        `ValueError` if `seen` is not between 1 and the number of frames, or if something is `hidden` from shut eyes.
        """
        features, scaled = jax.vmap(self.encode)(observations), self.scale(actions)
        frames = features.shape[0]
        if seen is not None and not 1 <= seen <= frames:
            raise ValueError(f"`seen` must be in [1, {frames}], got {seen}. It counts the frames before it shuts its eyes.")
        if seen is not None and hidden is not None:
            raise ValueError("From shut eyes nothing need be hidden. Give `seen` or `hidden`, not both.")
        before = jnp.concatenate([jnp.zeros((1, self.action_space.size)), scaled])
        inputs = jnp.concatenate([features, before], axis=1)
        contexts = self.memory.film(inputs)
        if hidden is not None:
            return Representation(features, contexts), jax.vmap(self._complete)(features[:-1], contexts[:-1], scaled, features[1:], hidden)
        foreseen = jax.vmap(self._foresee)(features[:-1], contexts[:-1], scaled)
        if seen is not None:
            carry, _ = jax.lax.scan(lambda carry, x: self.memory(carry, x), self.memory.init(), inputs[:seen])
            imagined = self.rollout(Remembered(features[seen - 1], contexts[seen - 1], carry), actions[seen - 1 :])
            foreseen = jnp.concatenate([foreseen[: seen - 1], imagined.features[1:]])
        return Representation(features, contexts), foreseen

    def example_state(self):
        return Remembered(jnp.zeros(self.encoder.size), jnp.zeros(self.memory.size), self.memory.init())

    def step(self, state, action, latents=None):
        del latents
        return self.take_in(state, action, self.foresee(state, action))

    def scale(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """Actions in half ranges of their box."""
        return in_half_ranges(actions, self.action_space)

    def _settled(self, features: Float[Array, " feature"]) -> Float[Array, " feature"]:
        return standardise(features) if self.encoder.standardised else features

    def _foresee(
        self, features: Float[Array, " feature"], context: Float[Array, " context"], scaled: Float[Array, " action"]
    ) -> Float[Array, " feature"]:
        return self._settled(self.predictor(features, scaled, self.predictor.condense(context)))

    def _complete(
        self,
        features: Float[Array, " feature"],
        context: Float[Array, " context"],
        scaled: Float[Array, " action"],
        seen: Float[Array, " feature"],
        hidden: Bool[Array, " feature"],
    ) -> Float[Array, " feature"]:
        if not isinstance(self.predictor, AbstractCompleter):
            raise TypeError(f"{type(self.predictor).__name__} foresees all or nothing. To hide a part, use a `nets.AbstractCompleter`.")
        guess = self.predictor.complete(features, scaled, self.predictor.condense(context), seen, hidden)
        return jnp.where(hidden, self._settled(guess), seen)


class Filtering(AbstractPerceiver):
    """Each observation through the encoder and into the memory; surprising by how far its features are from those foreseen.

    Energy: half the mean squared difference, as for `Encoded`, so that 1 is what two unrelated observations have. With `masks` it is the
    mean over these of the same for what each hides, while the rest of the observation is told: what does not go with the rest surprises,
    and what is merely uncertain does less.

    **Arguments:**

    - `masks`: what is hidden, one after another; by default everything at once.
    """

    masks: Blocks | None = None

    def init(self, model):
        return Seen(_recurrent(model).example_state(), jnp.array(False))

    def observe(self, model, memory, action, observation):
        model = _recurrent(model)
        action = jnp.where(memory.seen, action, model.action_space.center)
        state = model.take_in(memory.state, action, model.encode(observation))
        return state, Seen(state, jnp.array(True))

    def energy(self, model, memory, action, observation):
        model = _recurrent(model)
        came = model.encode(observation)
        error = _guessed(model, self.masks, memory.state, action, came, lambda guess: 0.5 * jnp.mean((guess - came) ** 2))
        return jnp.where(memory.seen, error, 0.0)


class FilteringPictures(AbstractPerceiver):
    """The same memory; surprising by how far a picture is from the one that was foreseen.

    For models that were trained by `objectives.Reconstruction` of what they predict: beside `Filtering` it says what it buys to compare
    representations. Energy: the mean squared error of the picture, as a fraction of 255.

    **Arguments:**

    - `decoder`: from features to a picture.
    - `masks`: as for `Filtering`; what is told is decoded as well.
    """

    decoder: AbstractDecoder
    masks: Blocks | None = None

    def init(self, model):
        return Filtering().init(model)

    def observe(self, model, memory, action, observation):
        return Filtering().observe(model, memory, action, observation)

    def energy(self, model, memory, action, observation):
        model = _recurrent(model)
        came = model.encode(observation)
        error = _guessed(model, self.masks, memory.state, action, came, lambda guess: self.decoder.error(guess, observation))
        return jnp.where(memory.seen, error, 0.0)


def _guessed(
    model: RecurrentJEPA, masks: Blocks | None, state: Remembered, action: Array, came: Array, error: Callable[[Array], Array]
) -> Float[Array, ""]:
    """The error of what is foreseen; with masks the mean of those of completions, each for every part that was hidden."""
    if masks is None:
        return error(model.foresee(state, action))
    tried = jnp.asarray(masks.tried())
    guesses = jax.vmap(lambda hidden: model.complete(state, action, came, hidden))(tried)
    return jnp.mean(jax.vmap(error)(guesses) / jnp.mean(tried, axis=1))


def _recurrent(model: AbstractWorldModel) -> RecurrentJEPA:
    if not isinstance(model, RecurrentJEPA):
        raise TypeError(f"A filter keeps the memory of a `RecurrentJEPA`, and {type(model).__name__} has none. Use `ebm.Encoded`.")
    return model
