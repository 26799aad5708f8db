"""The recipe for Two Rooms, in either geometry: features from films, coordinates, films of play, and a predictor of both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import ebm
import envs
from ebm import nets

from . import _rooms_objectives
from ._errors import UsageError
from ._runs import MODEL
from ._stages import Report, Run, Stage, check_counts, complete, optimiser, read_finished

SHAPE = (2, 65, 65)  # of an observation; its last row and column are empty
HELD = 5  # steps for which an action is held
CHUNK = 500  # films that are encoded at once


class Settings(NamedTuple):
    """What can be changed on the command line; without `coordinates`, features themselves are predicted, and nothing can be played."""

    seed: int = 0
    rooms: str = "random"
    features: int = 32
    context: int = 32
    width: int = 256
    joint_steps: int = 3000
    joint_films: int = 128
    joint_frames: int = 9
    head_steps: int = 1000
    films: int = 24000
    frames: int = 13
    play: int = 24000
    predictor_steps: int = 8000
    coordinates: int = 1
    objective: str = "recipe"
    without: str = ""


WORLDS = {"random": envs.TwoRooms, "match": envs.TwoRoomsMatch}  # by `rooms`


def build(settings: Settings, *, key: Key[Array, ""]) -> tuple[ebm.JEPA, ebm.JEPA]:
    """The model that features are learned with, and the one that plans are made with, which stands on the first."""
    keys = jax.random.split(key, 4)
    box = WORLDS[settings.rooms]().action_space
    shared: dict[str, Any] = {"action_space": box, "context_size": settings.context, "dt": float(HELD), "held": HELD}
    encoder = nets.PatchEncoder(SHAPE, settings.features + settings.context, width=settings.width, key=keys[0])
    predictor = nets.ResidualPredictor(settings.features, box.size, settings.width, context_size=settings.context, key=keys[1])
    lower = ebm.JEPA(encoder=encoder, predictor=predictor, **shared)
    head = ebm.Displacement(settings.features, box.size, key=keys[2]) if settings.coordinates else None
    size = box.size if settings.coordinates else settings.features
    over = nets.ResidualPredictor(size, box.size, settings.width, context_size=settings.context, key=keys[3])
    return lower, ebm.JEPA(encoder=encoder, predictor=over, coordinates=head, **shared)


def check(settings: Settings) -> None:
    """Whether there are such rooms, such an objective and such a term, and whether what is played can be.

    **Raises:**

    `UsageError` if not.
    """
    if settings.rooms not in WORLDS:
        raise UsageError(f"rooms={settings.rooms}: there are {', '.join(WORLDS)}.")
    check_counts(settings, joint_frames=3, frames=3, features=3)
    _rooms_objectives.compose(settings.objective, settings.without, settings.features, settings.context, key=jax.random.key(0))
    if settings.play and not settings.coordinates:
        raise UsageError("coordinates=0: going for a target needs coordinates. Say play=0, too.")


class EncodedFilms(eqx.Module):
    """Films, encoded: the context of each, the features of every frame, and the actions between, in half ranges."""

    context: Float[Array, "film context"]
    features: Float[Array, "film frame feature"]
    actions: Float[Array, "film step action"]


def load(folder: Path) -> tuple[ebm.JEPA, ebm.Box]:
    """The model that a training left, and where its coordinates lie.

    **Raises:**

    `ebm.CheckpointError` if there is none.
    """
    about = read_finished(folder)
    try:
        settings, region = Settings(**about["settings"]), ebm.Box(about["low"], about["high"])
        model = build(settings, key=jax.random.key(0))[1]
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ebm.CheckpointError(f"{str(folder / MODEL)!r} is no model of two rooms: its settings do not fit ({error}).") from error
    return ebm.load(folder / MODEL, model), region


def train(settings: Sequence[Settings], folders: Sequence[Path], report: Report) -> None:
    """All stages, each of which goes on where it was stopped; the model is in `MODEL` at the end, and then there is nothing to do.

    **Arguments:**

    - `settings`: of one training, or of several that differ in their seeds only, and are made side by side.
    - `folders`: of each.
    """
    complete(stages, settings, folders, MODEL, report)


def stages(settings: Settings) -> Run:
    """What is trained one after another: features, coordinates and the predictor. Returns the model, and where its coordinates lie."""
    keys, world = jax.random.split(jax.random.key(settings.seed), 10), WORLDS[settings.rooms]()
    lower, upper = build(settings, key=keys[0])
    objective = _rooms_objectives.compose(settings.objective, settings.without, settings.features, settings.context, key=keys[1])
    draw, steps = eqx.Partial(draw_batch, world, films=settings.joint_films, frames=settings.joint_frames), settings.joint_steps
    trainer = ebm.Trainer(ebm.joint_loss, draw, optimiser(steps, 1e-3), steps, settle=ebm.Joint.settle)
    joint = yield Stage("joint", trainer, _rooms_objectives.join(lower, objective), keys[2])
    films = encode_films(joint.model, world, settings.films, settings.frames, key=keys[3])
    upper = eqx.tree_at(lambda m: m.encoder, upper, joint.model.encoder)
    if upper.coordinates is not None:
        draw, steps = eqx.Partial(draw_displacements, films.features, films.actions), settings.head_steps
        trainer = ebm.Trainer(ebm.displacement_loss, draw, optimiser(steps, 2e-3), steps)
        head = yield Stage("coordinates", trainer, upper.coordinates, keys[4])
        films = eqx.tree_at(lambda f: f.features, films, jax.lax.map(jax.vmap(head), films.features))
        upper = eqx.tree_at(lambda m: m.coordinates, upper, head)
    play = (play_films(upper, world, films, settings.play, settings.frames, key=keys[5]),) if settings.play else ()
    draw, steps = eqx.Partial(draw_steps, (films, *play), standardised=upper.coordinates is None), settings.predictor_steps
    trainer = ebm.Trainer(ebm.prediction_loss, draw, optimiser(steps, 2e-3), steps)
    predictor = yield Stage("predictor", trainer, upper.predictor, keys[6])
    seen = films.features.reshape(-1, films.features.shape[-1])
    region = {"low": seen.min(axis=0).tolist(), "high": seen.max(axis=0).tolist()}
    return eqx.tree_at(lambda m: m.predictor, upper, predictor), region


def draw_batch(world: envs.TwoRooms, key: Key[Array, ""], *, films: int, frames: int) -> tuple[Array, Array]:
    """Pictures and actions of fresh films."""
    drawn = envs.draw_films(key, films, frames, through_door=0.35, near_wall=0.25, held=HELD, world=world)
    return drawn.pictures(), drawn.actions


def encode_films(model: ebm.JEPA, world: envs.TwoRooms, count: int, frames: int, *, key: Key[Array, ""]) -> EncodedFilms:
    """Films that are encoded once, for all that is learned after it."""

    @eqx.filter_jit
    def chunk(model, key):
        drawn = envs.draw_films(key, CHUNK, frames, through_door=0.40, near_wall=0.35, held=HELD, world=world)
        return encode(model, drawn)

    return gather([chunk(model, k) for k in jax.random.split(key, -(-count // CHUNK))])


def encode(model: ebm.JEPA, films: envs.Films) -> EncodedFilms:
    """What the model sees in films."""
    seen = jax.vmap(jax.vmap(model.encode))(films.pictures())
    return EncodedFilms(jnp.mean(seen.context, axis=1), seen.features, model.scale(films.actions))


def gather(parts: list[EncodedFilms]) -> EncodedFilms:
    """One after another."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def play_films(model: ebm.JEPA, world: envs.TwoRooms, films: EncodedFilms, count: int, frames: int, *, key: Key[Array, ""]) -> EncodedFilms:
    """Films of going for targets that were seen in other films, encoded."""
    pursue = ebm.Pursuit(model.action_space)

    @eqx.filter_jit
    def chunk(model, places, key):
        choose, luck = jax.random.split(key)
        targets = places[jax.random.randint(choose, (CHUNK, 3), 0, places.shape[0])]
        act = lambda seen, target: pursue(model.encode(seen), target)  # noqa: E731
        return encode(model, envs.play_films(luck, act, targets, frames, held=HELD, world=world))

    places = films.features[:, 0]
    return gather([chunk(model, places, k) for k in jax.random.split(key, -(-count // CHUNK))])


def draw_displacements(features: Array, actions: Array, key: Key[Array, ""], *, count: int = 2048) -> tuple[Array, Array, Array]:
    """Pairs of frames that follow each other, and the action between."""
    which, when = jax.random.split(key)
    film, step = (jax.random.randint(k, (count,), 0, size) for k, size in zip((which, when), actions.shape[:2], strict=True))
    return features[film, step], features[film, step + 1], actions[film, step]


def draw_steps(
    sources: tuple[EncodedFilms, ...], key: Key[Array, ""], *, steps: int = 2048, films: int = 128, standardised: bool = False
) -> ebm.Steps:
    """As many single steps and whole films from each source."""

    def draw(source: EncodedFilms, key: Key[Array, ""]) -> ebm.Steps:
        which, when, whole = jax.random.split(key, 3)
        share = len(sources)
        count, length = source.actions.shape[:2]
        film, step = jax.random.randint(which, (steps // share,), 0, count), jax.random.randint(when, (steps // share,), 0, length)
        before = ebm.Representation(source.features[film, step], source.context[film])
        chosen = jax.random.randint(whole, (films // share,), 0, count)
        context = jnp.broadcast_to(source.context[chosen][:, None], (len(chosen), length + 1, source.context.shape[-1]))
        through = ebm.Representation(source.features[chosen], context)
        after, acted = source.features[film, step + 1], source.actions[film, step]
        return ebm.Steps(before, after, acted, through, source.actions[chosen], standardised)

    parts = [draw(source, k) for source, k in zip(sources, jax.random.split(key, len(sources)), strict=True)]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
