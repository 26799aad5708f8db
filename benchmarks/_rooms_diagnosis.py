"""What a model of Two Rooms is worth before anybody plans in it: measures, lights, and the knob to turn."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ebm
import envs

from ._rooms import HELD

FILMS, FRAMES, SEED = 2000, 9, 424242  # not what anything is trained on
LEAK = 2.0  # px beyond a wall that blocked


class Light(NamedTuple):
    """From where on a measure is amber and red (the first is larger if more is better), and what to do about it."""

    amber: float
    red: float
    knob: str

    def color(self, value: float) -> str:
        """Red also for what is not a number."""
        worse = (lambda limit: value < limit) if self.amber > self.red else (lambda limit: value > limit)
        return "red" if value != value or worse(self.red) else "amber" if worse(self.amber) else "green"


# Set on one training that plans well, seed 1; those that judge others will be set on runs that fail.
LIGHTS = {
    "position R²": Light(0.98, 0.9, "the place of the dot is not in the features: more inverse dynamics, less time similarity"),
    "wall R²": Light(0.98, 0.9, "the wall is not in the context: a coding rate of the context"),
    "door R²": Light(0.9, 0.7, "the door is not in the context: a coding rate of the context, and longer"),
    "within share": Light(0.1, 0.05, "features hardly change within films: film variance, inverse dynamics"),
    "action sensitivity": Light(0.1, 0.03, "actions hardly matter to the predictor: inverse dynamics"),
    "error after 1 step": Light(0.25, 0.5, "the predictor is little better than standing still: train it longer"),
    "error after 8 steps": Light(0.3, 0.6, "errors add up: train the predictor longer, and on longer films"),
    "leak rate": Light(0.05, 0.15, "the predictor goes through walls: more films of play, near walls, and longer"),
    "smallest deviation of features": Light(0.1, 0.01, "a feature says nothing: more variance, or fewer features"),
    "rank correlation": Light(0.8, 0.5, "distance says little of the way that is left: straightening, or coordinates"),
    "search gap": Light(0.05, 0.2, "the model knows better plans than the search finds: more samples and iterations, or subgoals"),
    "model gap": Light(0.2, 0.4, "what is imagined of plans is not what comes of them: films of play, and a longer training"),
    "energy gap": Light(0.1, 0.3, "what is asked for is not to be at the goal: another distance, or a shorter tolerance"),
}


def worst(diagnosis: dict[str, float | None]) -> str:
    """The worst of all lights."""
    colors = {light.color(float("nan") if diagnosis[name] is None else diagnosis[name]) for name, light in LIGHTS.items()}  # pyright: ignore[reportArgumentType]
    return next(color for color in ("red", "amber", "green") if color in colors)


def diagnose(model: ebm.JEPA, world: envs.TwoRooms) -> dict[str, float]:
    """Every measure by name; those in `LIGHTS` have a light. Of a wall that is always in the same place nothing can be measured."""
    return {name: float(value) for name, value in _measure(model, world, jax.random.key(SEED)).items()}


@eqx.filter_jit
def _measure(model: ebm.JEPA, world: envs.TwoRooms, key: Any) -> dict[str, Any]:
    film_key, probe_key = jax.random.split(key)
    films = envs.draw_films(film_key, FILMS, FRAMES, through_door=0.3, near_wall=0.4, held=HELD, world=world)
    seen = jax.lax.map(jax.vmap(model.encode), films.pictures())
    place, wall, door = films.states.position, films.states.wall[:, 0], films.states.door[:, 0]
    features, context = seen.features, seen.context[:, 0]
    first, before = (jax.tree.map(lambda leaf, at=at: leaf[:, at], seen) for at in (0, slice(0, -1)))
    step = jax.vmap(jax.vmap(model.step))
    after = step(before, films.actions).features
    far = jax.vmap(model.rollout)(first, films.actions).features[:, -1]
    flat = features.reshape(-1, features.shape[-1])
    to_go = jnp.linalg.norm(features[:, -1] - features[:, 0], axis=-1)
    known = ebm.probe(features[:, 0], place[:, 0], key=probe_key)
    layout = ebm.probe(context, jnp.stack([wall, door], axis=-1), key=probe_key)
    return {
        **spectrum("features", flat),
        **spectrum("context", context),
        "LiDAR of context": ebm.lidar(seen.context),
        "position R²": jnp.min(known),
        **({"wall R²": layout[0], "door R²": layout[1]} if world.layout is None else {}),
        "within share": ebm.within_share(features),
        "action sensitivity": ebm.action_sensitivity(after[:, 0], step(before, -films.actions).features[:, 0]),
        "error after 1 step": ebm.relative_error(after, features[:, 1:], features[:, :-1]),
        "error after 8 steps": ebm.relative_error(far, features[:, -1], features[:, 0]),
        "leak rate": _leak(after, flat, place, films.actions, wall),
        "rank correlation": ebm.rank_correlation(to_go, _way(place[:, 0], place[:, -1], wall, door)),
    }


def spectrum(name: str, x: Any) -> dict[str, Any]:
    """In how many directions there is something, how it falls off, and the deviation of the number that varies least."""
    return {
        f"effective rank of {name}": ebm.effective_rank(x),
        f"participation ratio of {name}": ebm.participation_ratio(x),
        f"spectrum decay of {name}": ebm.spectrum_decay(x),
        f"smallest deviation of {name}": jnp.min(jnp.std(x, axis=0)),
    }


def _way(start: Any, end: Any, wall: Any, door: Any) -> Any:
    """How far it is from one place to another, px: straight, or through the door."""
    through = jnp.stack([wall, door], axis=-1)
    beyond = (start[:, 0] < wall) != (end[:, 0] < wall)
    length = lambda x: jnp.linalg.norm(x, axis=-1)  # noqa: E731
    return jnp.where(beyond, length(through - start) + length(end - through), length(end - start))


@eqx.filter_jit
def _readout(model: ebm.JEPA, world: envs.TwoRooms, key: Any) -> Any:
    films = envs.draw_films(key, FILMS // 4, FRAMES, through_door=0.3, near_wall=0.4, held=HELD, world=world)
    seen = jax.lax.map(jax.vmap(model.encode), films.pictures()).features
    return _places(seen.reshape(-1, seen.shape[-1]), films.states.position)


def readout(model: ebm.JEPA, world: envs.TwoRooms) -> Any:
    """What draws features into a picture: offset and matrix by which they are read as places, px, shape (1 + feature, 2)."""
    return np.asarray(_readout(model, world, jax.random.key(SEED)))


def _places(flat: Any, place: Any) -> Any:
    inputs = jnp.concatenate([jnp.ones((len(flat), 1)), flat], axis=-1)
    return jnp.linalg.lstsq(inputs, place.reshape(-1, 2))[0]


def _leak(after: Any, flat: Any, place: Any, actions: Any, wall: Any) -> Any:
    """Of the steps that the wall blocked, the share that the model takes clearly beyond it; places are read off by a linear probe."""
    weights = _places(flat, place)
    guessed = (weights[0] + after @ weights[1:])[..., 0]
    start, end, line = place[:, :-1, 0], place[:, 1:, 0], wall[:, None]
    side = jnp.sign(start - line)
    blocked = (jnp.sign(end - line) == side) & (jnp.sign(start + HELD * actions[..., 0] - line) != side)
    beyond = side * (guessed - line) < -LEAK
    return jnp.sum(blocked & beyond) / jnp.maximum(jnp.sum(blocked), 1)
