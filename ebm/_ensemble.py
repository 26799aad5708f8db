"""Several models of one world: where they agree they can be believed."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ._energy import AbstractStageEnergy
from ._fit import Loss
from ._model import AbstractWorldModel
from ._perceive import AbstractPerceiver
from ._reading import Reading
from ._stack import stack, unstack
from ._terms import Source
from ._types import Box, Latents, Numbers, to_positive
from ._vectors import safe_norm


class Member(eqx.Module):
    """Which world a rollout is in: the model that is true there, and what else is drawn for an episode of it."""

    index: Int[Array, "*samples"]
    episode: Any = None


class Ensemble(AbstractWorldModel):
    """Models of one structure, one of which is true, and nobody knows which: the member is the latent of an episode.

    A plan is so tried in the worlds of several members, by what there is for uncertain worlds: `Problem(risk=CVaR(), num_latents=5)`. With
    at least as many draws as members, all take part, equally often or nearly so; guardrails hold in all that do. One draw is Thompson
    sampling: one member, another one at every replan.

    Nominal is the first member, not the mean: a mean of states need be no state (of two ways around a wall it goes through it), and its
    rollout would cost as much as all of theirs.

    Members share what a state means, so that one state can be given to each. Learned models share an encoder, and differ in predictors.

    **Arguments:**

    - `models`: two or more, equal but for their numbers.

    **Raises:**

    `ValueError` if there are fewer, or they differ in more than numbers.

    Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles", arXiv:1612.01474; Chua et
    al. 2018, "Deep reinforcement learning in a handful of trials using probabilistic dynamics models", arXiv:1805.12114.
    """

    members: AbstractWorldModel
    action_space: Box
    count: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def __init__(self, models: Sequence[AbstractWorldModel]):
        if len(models) < 2:
            raise ValueError(f"An ensemble needs at least two models, got {len(models)}. What one model does not know it cannot tell.")
        self.members = stack(models, "The models of an ensemble")
        self.action_space, self.dt, self.count = models[0].action_space, models[0].dt, len(models)

    def member(self, index: Int[Array, ""] | int) -> AbstractWorldModel:
        """One of the models."""
        return unstack(self.members, index)

    def each(self, function: Callable[[AbstractWorldModel], Any]) -> Any:
        """`function` of every member, leaves with a leading axis of members."""
        return eqx.filter_vmap(function)(self.members)

    @property
    def compiler_options(self):
        return self.member(0).compiler_options

    def example_state(self):
        return self.member(0).example_state()

    def step(self, state, action, latents=None):
        model, latents = self._true(latents)
        return model.step(state, action, latents)

    def rollout(self, state, actions, latents=None):
        model, latents = self._true(latents)
        return model.rollout(state, actions, latents)

    def difference(self, a, b):
        return self.member(0).difference(a, b)

    def linearize(self, trajectory, latents=None):
        model, latents = self._true(latents)
        return model.linearize(trajectory, latents)

    def follow(self, trajectory, law, state=None):
        return self.member(0).follow(trajectory, law, state)

    def move(self, state, lift_t, tangent):
        return self.member(0).move(state, lift_t, tangent)

    def sample_latents(self, horizon, *, key):
        return jax.tree.map(lambda leaf: leaf[0], self.sample_worlds(horizon, 1, key=key))

    def sample_worlds(self, horizon, count, *, key):
        order, key = jax.random.split(key)
        turns = jax.random.permutation(order, self.count)[jnp.arange(count) % self.count].astype(jnp.int32)
        drawn = self.member(0).sample_worlds(horizon, count, key=key)
        return Latents(Member(turns), None) if drawn is None else Latents(Member(turns, drawn.episode), drawn.step)

    def _true(self, latents: Latents | None) -> tuple[AbstractWorldModel, Latents | None]:
        """The member that is true, and the latents of its own."""
        if latents is None:
            return self.member(0), None
        episode, step = latents.episode.episode, latents.step
        own = Latents(episode, step) if jax.tree.leaves((episode, step)) else None
        return self.member(latents.episode.index), own


class Nominal(AbstractPerceiver):
    """Another perceiver, through the first member of an ensemble: `Nominal(Encoded())`."""

    perceiver: AbstractPerceiver

    def init(self, model):
        return self.perceiver.init(_first(model))

    def observe(self, model, memory, action, observation):
        return self.perceiver.observe(_first(model), memory, action, observation)

    def energy(self, model, memory, action, observation):
        return self.perceiver.energy(_first(model), memory, action, observation)

    def sense(self, model, observation):
        return self.perceiver.sense(_first(model), observation)


class Disagreement(AbstractStageEnergy):
    """How far apart the members of an ensemble see the next state, per second: the root mean square of what sets them apart.

    `√(mean_{m, i} (pᵐᵢ − p̄ᵢ)²) / scale`, where `pᵐ` is read from member m's next state. Added, it keeps plans where models can be believed;
    subtracted, it is curiosity. It costs a step of every member at every stage.

    **Arguments:**

    - `ensemble`: whose members are asked; mostly the model of the problem itself.
    - `source`: what is read of their states, such as `"features"`, or a callable state -> array.
    - `scale`: in the unit of the reading; a disagreement of one scale costs 1 per second.

    Pathak et al. 2019, "Self-supervised exploration via disagreement", arXiv:1906.04161.
    """

    ensemble: Ensemble
    reading: Reading
    scale: Float[Array, ""]

    def __init__(self, ensemble: Ensemble, source: Source = "features", *, scale: Numbers = 1.0):
        self.ensemble, self.reading, self.scale = ensemble, Reading(source), to_positive(scale, "scale")

    def stage(self, state, action, previous_action, time):
        foreseen = self.ensemble.each(lambda model: self.reading(model.step(state, action)))
        apart = foreseen - jnp.mean(foreseen, axis=0)
        return safe_norm(apart.ravel()) / (apart.size**0.5 * self.scale)

    def final(self, state, time):
        return jnp.float32(0.0)


def independently(loss: Loss) -> Loss:
    """A loss of an ensemble, of which each member learns from the whole batch as if it were alone, with a key of its own.

    **Arguments:**

    - `loss`: of one model, as a `Trainer` takes it. What it does not look at does not learn: members that share an encoder want a loss of
      representations, such as `prediction_loss` of their predictors.
    """

    def of_all(ensemble: Ensemble, batch: Any, share: Float[Array, ""], key: Key[Array, ""]) -> tuple[Array, dict[str, Array]]:
        def of_one(model: AbstractWorldModel, key: Key[Array, ""]) -> tuple[Array, dict[str, Array]]:
            return loss(model, batch, share, key)

        losses, parts = eqx.filter_vmap(of_one)(ensemble.members, jax.random.split(key, ensemble.count))
        return jnp.sum(losses), jax.tree.map(jnp.mean, parts)

    return of_all


def _first(model: AbstractWorldModel) -> AbstractWorldModel:
    if not isinstance(model, Ensemble):
        raise TypeError(f"`Nominal` perceives through the first member of an `Ensemble`, and {type(model).__name__} is none. Leave it out.")
    return model.member(0)
