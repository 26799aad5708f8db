"""Models of films: a recurrent JEPA, and beside it one that predicts pictures with the same encoder, memory and predictor; and both once
more for who sees things instead of pictures.

Pictures are seen four frames at a time, and completed: of the next four a part is hidden, and foreseen from the rest and from what is
remembered. What came is a target through which nothing is learned: else the encoder comes to leave out whatever is hard to foresee. Means
over squares of pixels are seen and foreseen beside what is learned, for a representation that is all volume has no weak directions.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, UInt8

import ebm
from ebm import nets, objectives
from envs import cradle

from .._errors import UsageError, check_known
from .._runs import MODEL
from .._stages import EPOCH, check_counts, read_finished
from . import _objects

SCALE = 2  # pixels of a film along each side of one that a model sees
FRAME = (3, cradle.SIZE // SCALE, cradle.SIZE // SCALE)  # of what it sees of every frame: channel, height, width
TUBELET = 4  # frames
SHAPE = (TUBELET * FRAME[0], *FRAME[1:])  # of what it sees at once
CHUNK = 50  # films that are watched at once
NOBODY = ebm.Box([], [])  # acts in a film

Films = UInt8[np.ndarray, "film frame height width 3"] | Float[np.ndarray, "film frame slot number"]
Report = Callable[[str, int, int, dict[str, float]], None]  # stage, step, steps, means over an epoch


class Settings(NamedTuple):
    """What can be changed on the command line."""

    seed: int = 0
    predicts: str = "features"
    memory: str = "transformer"
    window: int = 1
    features: int = 24
    remembered: int = 96
    width: int = 96
    films: int = 8000
    batch: int = 32
    steps: int = 0  # as many as take a core some twenty minutes
    gravity: str = "down"
    track: str = "freeform"
    sees: str = "pictures"


PATCH = 8  # px
PLACES = (SHAPE[1] // PATCH, SHAPE[2] // PATCH)
COUNT = PLACES[0] * PLACES[1]
SQUARES = 2  # along each side of a patch, whose means are kept beside what is learned
MEANS = SHAPE[0] * SQUARES**2  # of a place
EXPANSION = 2  # of the layers between in transformers
HIDDEN = 0.5  # of a picture, about, while one learns to complete it
FORESIGHT = 4.0  # of predicting things: at 1 their encoder hears of it a third as loudly as of spreading out, and solidity suffers
RATE, DECAY = 1e-2, 1e-4  # of learning, and of weights
PREDICTS = {"pictures": ("features", "pictures"), "objects": ("features", "states")}  # by what is seen
TRACKS = ("freeform", "family")  # everyday films; or possible films of the experiments themselves, which is easier and another question
IN_PLACES: dict[str, Callable[..., nets.AbstractMemory]] = {  # memories of one place, told `size` numbers: of what is there and beside it
    "gru": lambda size, settings, key: nets.GRUMemory(size, settings.remembered, key=key),
    "lstm": lambda size, settings, key: nets.LSTMMemory(size, settings.remembered, key=key),
    "state-space": lambda size, settings, key: nets.StateSpaceMemory(size, settings.remembered, key=key),
    "window": lambda size, settings, key: nets.WindowMemory(size, settings.remembered, settings.window, settings.width, key=key),
}
OF_PICTURES, OF_THINGS = "transformer", "slots"  # the memories that are usual
STEPS = {"pictures": 3000, "objects": 3800}  # that are usual
WORDS = {"sees": PREDICTS, "memory": (OF_PICTURES, OF_THINGS, "grid", *IN_PLACES), "gravity": cradle.GRAVITIES, "track": TRACKS}


def check(settings: Settings) -> Settings:
    """The settings, if every word is a known one, with the memory and the steps that go with what is seen.

    **Raises:**

    `UsageError` if not.
    """
    for key, known in WORDS.items():
        check_known(key, getattr(settings, key), known)
    check_known("predicts", settings.predicts, PREDICTS[settings.sees])
    settings = settings._replace(steps=settings.steps or STEPS[settings.sees])
    if settings.sees == "objects" and settings.memory == OF_PICTURES:
        settings = settings._replace(memory=OF_THINGS)
    if (settings.sees == "objects") != (settings.memory == OF_THINGS):
        raise UsageError(f"memory={settings.memory}: objects have memory={OF_THINGS}, and pictures have the others. Leave it out.")
    return settings


def check_sizes(settings: Settings) -> None:
    """Whether steps make whole epochs, and networks of such sizes can be built.

    **Raises:**

    `UsageError` if not.
    """
    if settings.steps > EPOCH:
        check_counts(settings)
    try:
        eqx.filter_eval_shape(build, settings, key=jax.random.key(0))
    except ValueError as error:
        raise UsageError(f"width={settings.width}, features={settings.features}, remembered={settings.remembered}: {error}") from error


def build(settings: Settings, *, key: Key[Array, ""]) -> ebm.JointRecurrent:
    """A model and what it is trained for, untrained."""
    keys = jax.random.split(key, 4)
    features, kept, width = settings.features, settings.remembered, settings.width
    objects = settings.sees == "objects"
    channels = features if objects else features + MEANS
    if objects:
        slots = _objects.SHAPE[0]
        memory: nets.AbstractMemory = nets.SlotMemory(slots, features, kept, width, key=keys[1])
        encoder: nets.AbstractEncoder = nets.SlotEncoder(_objects.SHAPE, features, width, key=keys[0])
        predictor: nets.AbstractPredictor = nets.SlotPredictor(slots, features, kept, width, key=keys[2])
    else:
        memory = remembering(settings, channels, keys[1])
        encoder = nets.GridGlance(nets.GridEncoder(SHAPE, features, PATCH, width, key=keys[0]), SQUARES)
        predictor = nets.GridCompleter(COUNT, channels, kept, width, expansion=EXPANSION, key=keys[2])
    model = ebm.RecurrentJEPA(encoder=encoder, memory=memory, predictor=predictor, action_space=NOBODY)
    masks = None if objects else ebm.Blocks(PLACES, channels)
    of_hidden = 1.0 if objects else 1.0 / HIDDEN  # errors are 0 where nothing was
    if settings.predicts == "features":
        rate = objectives.Everywhere(objectives.CodingRate(within=not objects), channels, features)  # how a thing looks stays, but matters
        name = "rate" if objects else "rate within"
        prediction = objectives.Weighted(objectives.Prediction(stopped=not objects), FORESIGHT if objects else of_hidden)
        terms = {"prediction": prediction, name: objectives.Weighted(rate)}
    else:
        kind = partial(nets.SlotDecoder, _objects.SHAPE) if objects else partial(nets.GridDecoder, SHAPE, patch=PATCH)
        decoder = kind(channels=channels, width=width, key=keys[3])
        terms = {settings.predicts: objectives.Weighted(objectives.Reconstruction(decoder, "predicted"), 100.0 * of_hidden)}
    return ebm.JointRecurrent(model, objectives.Composition(terms), masks=masks)


def remembering(settings: Settings, channels: int, key: Key[Array, ""]) -> nets.AbstractMemory:
    """The memory of pictures, of which every place has so many channels."""
    kept = settings.remembered
    if settings.memory == OF_PICTURES:
        sizes = COUNT * channels, COUNT * kept, cradle.FRAMES // TUBELET, settings.width
        return nets.TransformerMemory(*sizes, places=COUNT, expansion=EXPANSION, key=key)
    if settings.memory == "grid":
        return nets.GridMemory(PLACES, channels, kept, key=key)
    return nets.PlaceMemory(PLACES, IN_PLACES[settings.memory](2 * channels, settings, key))


def untrained(seed: int) -> ebm.JointRecurrent:
    """The same networks as they are before anything is learned."""
    return build(Settings(), key=jax.random.key(seed))


def perceiver(learner: ebm.JointRecurrent) -> ebm.AbstractPerceiver:
    """Whose energy is how surprising a frame is: in what is seen itself for a model that predicts that."""
    terms = [term.objective for term in learner.objective.terms.values()]
    decoders = [term.decoder for term in terms if isinstance(term, objectives.Reconstruction)]
    sight = ebm.FilteringPictures(decoders[0], learner.masks) if decoders else ebm.Filtering(learner.masks)
    return sight if learner.masks is None else ebm.Tubelets(sight, jnp.zeros(FRAME, jnp.uint8), TUBELET)


def watch(learner: ebm.JointRecurrent, films: Films) -> Float[np.ndarray, "film frame"]:
    """The surprise at every frame."""
    parts = []
    for start in range(0, len(films), CHUNK):
        chunk = films[start : start + CHUNK]
        padded = np.concatenate([chunk, np.zeros((CHUNK - len(chunk), *chunk.shape[1:]), chunk.dtype)])  # one shape, one program
        parts.append(np.asarray(_watch(learner, jnp.asarray(padded)))[: len(chunk)])
    return np.concatenate(parts).astype(np.float64)


@eqx.filter_jit
def _watch(learner: ebm.JointRecurrent, films: Array) -> Float[Array, "film frame"]:
    sight = perceiver(learner)
    seen = shrunk(films) if films.dtype == jnp.uint8 else films
    return jax.vmap(lambda film: ebm.surprise(learner.model, sight, film))(seen)


def shrunk(films: UInt8[Array, "*film height width 3"]) -> UInt8[Array, "*film 3 rows columns"]:
    """As networks take pictures, at half the resolution: they learn as much from a quarter of the work."""
    *some, height, width, _ = films.shape
    squares = films.reshape(*some, height // SCALE, SCALE, width // SCALE, SCALE, 3)
    return jnp.moveaxis(jnp.round(jnp.mean(squares.astype(jnp.float32), (-4, -2))).astype(jnp.uint8), -1, -3)


def draw_films(films: UInt8[Array, "film frame 3 rows columns"], key: Key[Array, ""], *, batch: int) -> tuple[Array, Array]:
    """A batch of films in which nobody acts, half of them mirrored, cut into tubelets anywhere."""
    choose, flip, cut = jax.random.split(key, 3)
    chosen = films[jax.random.randint(choose, (batch,), 0, films.shape[0])]
    length = films.shape[1] - TUBELET
    chosen = jax.lax.dynamic_slice_in_dim(chosen, jax.random.randint(cut, (), 0, TUBELET), length, axis=1)
    mirrored = jax.random.bernoulli(flip, shape=(batch, 1, 1, 1, 1))
    chosen = jnp.where(mirrored, chosen[..., ::-1], chosen)
    return jax.vmap(lambda film: ebm.tubelets(film, TUBELET))(chosen), jnp.zeros((batch, length // TUBELET - 1, 0))


def read_films(folder: Path, settings: Settings) -> Films:
    """What is learned from: pictures, or what is seen of things.

    **Raises:**

    `FileNotFoundError` if it was not made, `OSError` if it is damaged, `UsageError` for experiments under gravity that points upwards.
    """
    objects = settings.sees == "objects"
    if settings.track == "freeform":
        if objects:
            return _objects.sights(*cradle.read_sights(folder, settings.films, gravity=settings.gravity))
        return cradle.read_freeform(folder, settings.films, gravity=settings.gravity)
    if settings.gravity != "down":
        raise UsageError("track=family has films under gravity that points down only. Leave one of the two out.")
    parts = [(concept, mode) for concept in cradle.CONCEPTS for mode in cradle.modes(concept)]
    each = -(-settings.films // len(parts))
    possible = (cradle.read(folder, *part, "train") for part in parts)
    seen = (_objects.sights(films.states, films.seen) if objects else films.frames for films in possible)
    return np.concatenate([films[:, :2].reshape(-1, *films.shape[2:])[:each] for films in seen])


def train(settings: Settings, films: Films, folder: Path, report: Report) -> None:
    """Goes on where it was stopped; the model is in `MODEL` at the end, and then there is nothing to do."""
    if (folder / MODEL).exists():
        return
    keys = jax.random.split(jax.random.key(settings.seed), 2)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, max(settings.steps // 20, 1), settings.steps)
    muon = optax.contrib.muon(schedule, weight_decay=DECAY, adam_weight_decay=DECAY)  # Jordan et al. 2024; AdamW takes thrice the steps
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), muon)
    objects = settings.sees == "objects"
    shrink = jax.jit(shrunk)  # once, and not in every step
    seen = films if objects else np.concatenate([shrink(films[start : start + CHUNK]) for start in range(0, len(films), CHUNK)])
    draw = eqx.Partial(_objects.draw if objects else draw_films, jnp.asarray(seen), batch=settings.batch)
    trainer = ebm.Trainer(ebm.joint_loss, draw, optimiser, settings.steps, epoch=min(EPOCH, settings.steps))
    learner = ebm.fit(
        trainer,
        build(settings, key=keys[0]),
        key=keys[1],
        checkpoint=folder / "checkpoint.safetensors",
        report=lambda step, parts: report("films", step, settings.steps, parts),
    )
    ebm.save(folder / MODEL, learner, {"settings": settings._asdict()})


def load(folder: Path) -> tuple[Settings, ebm.JointRecurrent]:
    """What a training left.

    **Raises:**

    `UsageError` if it has not ended yet; `ebm.CheckpointError` if there is nothing, or something else.
    """
    about = read_finished(folder)
    try:
        settings = Settings(**about["settings"])
    except (KeyError, TypeError) as error:
        raise ebm.CheckpointError(f"{str(folder / MODEL)!r} is no model of films: its settings do not fit ({error}).") from error
    return settings, ebm.load(folder / MODEL, build(settings, key=jax.random.key(0)))
