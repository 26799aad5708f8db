"""`ebm bench rooms-chance`: Two Rooms where dots slip and the door is shut now and then, foreseen with a latent and without.

All stand on the encoder and the coordinates of one frozen model, learn from the same films, and are judged in px, on films and in episodes
that none has seen. A predictor without a latent foresees one future; the deviation of its errors is fitted on development films.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import ebm
import envs
import planners
from ebm import nets

from . import _rooms, _rooms_eval, _rooms_tasks
from ._eval import MODELS
from ._record import Record
from ._stages import optimiser
from ._statistics import mean, say_mean

SLIP, SHUT = 0.04, 0.5  # a step
SEEDS, FILMS, FRAMES = 5, 12000, 13
STEPS, BATCH, WIDTH = 3000, 512, 128
HORIZONS = (1, 4)  # actions ahead, each held for five steps
DRAWS, CASES = 200, 2000  # futures drawn for every case; cases judged
DEVIATIONS = np.geomspace(0.1, 20.0, 60)  # px
SHARE = 0.9  # of what comes is to lie where so much of what is foreseen does
EPISODES, WORLDS, TAIL, WEIGHT = 40, 8, 0.25, 1.0  # played; futures of a plan, and how bad they are that count; the disc beside the way

KINDS: dict[str, Callable[[int, int, Key[Array, ""]], nets.AbstractPredictor]] = {
    "no latent": lambda size, context, key: nets.ResidualPredictor(size, 2, WIDTH, context_size=context, key=key),
    "no latent, squares": lambda size, context, key: nets.ResidualPredictor(size, 2, WIDTH, context_size=context, key=key),
    "Gaussian": lambda size, context, key: nets.LatentPredictor(size, 2, nets.Gaussian(4), WIDTH, context_size=context, key=key),
    "categorical": lambda size, context, key: nets.LatentPredictor(size, 2, nets.Categorical(4, 4), WIDTH, context_size=context, key=key),
    "searched": lambda size, context, key: nets.SearchedPredictor(size, 2, nets.Ball(3), WIDTH, context_size=context, key=key),
}


class Seen(eqx.Module):
    """Films as the frozen model sees them, and where the dot was, px, which is for judging only."""

    films: _rooms.EncodedFilms
    positions: Float[Array, "film frame 2"]


class Judged(NamedTuple):
    """One training: for each horizon what came was so unlikely (nats) and so often within 90 % of what was foreseen; episodes won, and
    episodes in which the dot was in the disc, when the nominal future counts and when the worst quarter of futures does; s of training."""

    seed: int
    nats: list[float]
    covered: list[float]
    won: list[float]
    fell: list[float]
    seconds: float


def run_chance(path: Path, *, only: tuple[str, ...] = (), seeds: int = SEEDS, episodes: int = EPISODES) -> dict[str, Any]:
    """Train and judge what `path` lacks."""
    model, region = _rooms.load(MODELS / "two-rooms")
    record = Record(path, "rooms-chance").data
    chosen = [kind for kind in KINDS if not only or any(part in kind for part in only)]
    if all(str(seed) in record["rows"].get(kind, {}) for kind in chosen for seed in range(seeds)):
        return record
    counts, keys = (FILMS, CASES, CASES), jax.random.split(jax.random.key(0), 3)
    learn, dev, test = (look(model, count, key) for count, key in zip(counts, keys, strict=True))
    rows = {kind: partial(_one, kind, model, region, learn, dev, test, episodes) for kind in chosen}
    return _rooms_eval.fill(path, record, rows, range(seeds))


def table(record: dict[str, Any]) -> Any:
    """Means over seeds, with intervals."""
    from rich.table import Table

    shown = Table(title="Two Rooms with slips and a door that is shut now and then", title_justify="left")
    columns = ("", "seeds", *(f"nats, {ahead} ahead" for ahead in HORIZONS), *(f"within 90 %, {ahead} ahead" for ahead in HORIZONS))
    for column in (*columns, "won, nominal", "won, CVaR", "in the disc, nominal", "in the disc, CVaR", "s"):
        shown.add_column(column, justify="right" if column else "left")
    for kind, known in record["rows"].items():
        runs = list(known.values())
        cells = [[run[name][which] for run in runs] for name in ("nats", "covered", "won", "fell") for which in (0, 1)]
        shown.add_row(kind, str(len(runs)), *(say_mean(mean(each)) for each in cells), f"{np.median([run['seconds'] for run in runs]):.0f}")
    return shown


def look(model: ebm.JEPA, count: int, key: Key[Array, ""]) -> Seen:
    """Films of a slippery world: half of them wander, half go for places that were seen in the others."""
    world = envs.TwoRooms(slip=jnp.float32(SLIP), shut=jnp.float32(SHUT))
    pursue, size = ebm.Pursuit(model.action_space), min(_rooms.CHUNK, count // 2)
    wander, play, choose = jax.random.split(key, 3)

    @eqx.filter_jit
    def see(model: ebm.JEPA, films: envs.Films) -> Seen:
        return Seen(_rooms.encode(model, films), films.states.position)

    @eqx.filter_jit
    def wandering(key: Key[Array, ""]) -> envs.Films:
        return envs.draw_films(key, size, FRAMES, through_door=0.4, near_wall=0.35, held=_rooms.HELD, world=world)

    @eqx.filter_jit
    def playing(model: ebm.JEPA, targets: Array, key: Key[Array, ""]) -> envs.Films:
        act = lambda seen, target: pursue(model.encode(seen), target)  # noqa: E731
        return envs.play_films(key, act, targets, FRAMES, held=_rooms.HELD, world=world)

    chunks = -(-count // (2 * size))
    parts = [see(model, wandering(k)) for k in jax.random.split(wander, chunks)]
    places = jnp.concatenate([part.films.features[:, 0] for part in parts])
    targets = places[jax.random.randint(choose, (chunks, size, 3), 0, len(places))]
    parts += [see(model, playing(model, goals, k)) for goals, k in zip(targets, jax.random.split(play, chunks), strict=True)]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def train(kind: str, model: ebm.JEPA, seen: Seen, seed: int) -> nets.AbstractPredictor:
    """A predictor of this kind, which learns from films that the model has encoded."""
    key, fitting = jax.random.split(jax.random.key(seed))
    films = seen.films
    predictor = KINDS[kind](films.features.shape[-1], films.context.shape[-1], key)
    loss = {"no latent": ebm.prediction_loss, "no latent, squares": squares}.get(kind, ebm.latent_loss)
    draw = eqx.Partial(_rooms.draw_steps, (films,), steps=BATCH, films=BATCH // 16)
    return ebm.fit(ebm.Trainer(loss, draw, optimiser(STEPS, 2e-3), STEPS), predictor, key=fitting)


def squares(predictor: nets.AbstractPredictor, batch: ebm.Steps, share: Array, key: Array) -> tuple[Array, dict[str, Array]]:
    """The mean squared error of single steps, which is smallest for the mean of what may come."""
    del share, key

    def step(before: ebm.Representation, action: Array) -> Array:
        return predictor(before.features, action, predictor.condense(before.context))

    return jnp.mean((jax.vmap(step)(batch.before, batch.actions) - batch.after) ** 2), {}


def _one(kind: str, model: ebm.JEPA, region: ebm.Box, learn: Seen, dev: Seen, test: Seen, episodes: int, seed: int) -> Judged:
    start = time.perf_counter()
    predictor = train(kind, model, learn, seed)
    seconds = time.perf_counter() - start
    model = eqx.tree_at(lambda m: m.predictor, model, predictor)
    position = probe(dev)
    nats, covered = zip(*(judge(model, position, dev, test, ahead, jax.random.key(seed)) for ahead in HORIZONS), strict=True)
    if predictor.sample_noise(key=jax.random.key(0)) is None:
        model = eqx.tree_at(lambda m: m.predictor, model, nets.Spread(predictor, errors(model, dev)))
    risks = {"nominal": {}, "averse": {"risk": ebm.CVaR(TAIL), "num_latents": WORLDS}}
    played = [[play(model, region, options, 1000 * seed + episode) for episode in range(episodes)] for options in risks.values()]
    won, fell = ([float(np.mean([each[which] for each in row])) for row in played] for which in (0, 1))
    return Judged(seed, list(nats), list(covered), won, fell, seconds)


def probe(seen: Seen) -> Callable[[Array], Array]:
    """Where the dot is, px, read linearly from the coordinates."""
    inputs = seen.films.features.reshape(-1, seen.films.features.shape[-1])
    weights = jnp.linalg.lstsq(jnp.pad(inputs, ((0, 0), (0, 1)), constant_values=1.0), seen.positions.reshape(-1, 2))[0]
    return lambda features: features @ weights[:-1] + weights[-1]


@eqx.filter_jit
def foresee(model: ebm.JEPA, position: Callable[[Array], Array], seen: Seen, ahead: int, key: Key[Array, ""]) -> tuple[Array, Array]:
    """Where the dot may be, drawn often, shape (case, draw, 2), and where it came to, shape (case, 2); px."""

    def case(features: Array, context: Array, actions: Array, key: Key[Array, ""]) -> Array:
        state = ebm.Representation(features, context)
        worlds = model.sample_worlds(ahead, DRAWS, key=key)
        if worlds is None:
            return position(model.rollout(state, actions).features[-1])[None]
        return jax.vmap(lambda latents: position(model.rollout(state, actions, latents).features[-1]))(worlds)

    films = seen.films
    keys = jax.random.split(key, len(films.context))
    drawn = jax.lax.map(lambda each: case(*each), (films.features[:, 0], films.context, films.actions[:, :ahead], keys), batch_size=100)
    return drawn, seen.positions[:, ahead]


def errors(model: ebm.JEPA, seen: Seen) -> Float[Array, " feature"]:
    """The deviation of a step's errors, in coordinates."""
    films = seen.films

    def step(before: Array, context: Array, action: Array) -> Array:
        return model.predictor(before, action, model.predictor.condense(context))

    came = jax.vmap(step)(films.features[:, 0], films.context, films.actions[:, 0])
    return jnp.sqrt(jnp.mean((came - films.features[:, 1]) ** 2, axis=0))


def judge(
    model: ebm.JEPA, position: Callable[[Array], Array], dev: Seen, test: Seen, ahead: int, key: Key[Array, ""]
) -> tuple[float, float]:
    """How unlikely what came was on test films, nats, and how often it was within the likeliest 90 % of what had been foreseen.

    The density is a mixture of normal ones around what was drawn, whose one deviation is fitted on development films.
    """
    first, second, third = jax.random.split(key, 3)
    drawn, came = foresee(model, position, dev, ahead, first)
    losses = [float(jnp.mean(_nats(drawn, came, deviation))) for deviation in DEVIATIONS]
    deviation = float(DEVIATIONS[int(np.argmin(losses))])
    drawn, came = foresee(model, position, test, ahead, second)
    return float(jnp.mean(_nats(drawn, came, deviation))), float(jnp.mean(_within(drawn, came, deviation, third)))


@jax.jit
def _nats(drawn: Array, came: Array, deviation: Array | float) -> Array:
    far = jnp.sum((drawn - came[:, None]) ** 2, axis=-1) / (2 * deviation**2)
    return -jax.scipy.special.logsumexp(-far, axis=1) + jnp.log(drawn.shape[1]) + jnp.log(2 * jnp.pi * deviation**2)


@jax.jit
def _within(drawn: Array, came: Array, deviation: Array | float, key: Array) -> Array:
    """For each case, whether what came is likelier than the least likely tenth of what is foreseen."""

    def case(each: tuple[Array, Array, Array]) -> Array:
        centers, truth, key = each
        choose, spread = jax.random.split(key)
        picked = centers[jax.random.randint(choose, (DRAWS,), 0, len(centers))] + deviation * jax.random.normal(spread, (DRAWS, 2))
        unlikely = _nats(jnp.broadcast_to(centers, (DRAWS, *centers.shape)), picked, deviation)
        return _nats(centers[None], truth[None], deviation)[0] <= jnp.quantile(unlikely, SHARE)

    return jax.lax.map(case, (drawn, came, jax.random.split(key, len(came))), batch_size=50)


def play(model: ebm.JEPA, region: ebm.Box, options: dict[str, Any], seed: int) -> tuple[bool, bool]:
    """Reach the goal past a disc, in a slippery world: whether that was done without being in the disc, and whether the dot was in it."""
    scene = _rooms_tasks.disc_scene(seed)
    env: Any = gymnasium.make("TwoRooms-v0", slip=SLIP, shut=SHUT).unwrapped
    layout = {key: scene.info[key] for key in ("wall", "door", "position", "goal")}
    observation, info = env.reset(seed=seed, options=layout)
    unit = _rooms_tasks.UNIT
    goal, place = (_rooms_tasks.encoded(model, picture) for picture in (info["goal_picture"], scene.picture))
    disc = ebm.KeepApart("features", place, (_rooms_tasks.RADIUS + _rooms_tasks.MARGIN) * unit, scale=unit, name="disc")
    energy: Any = ebm.Approach("features", goal, tolerance=_rooms_eval.TOLERANCE, name="goal") + WEIGHT * ebm.Penalty(disc)
    planner = planners.Subgoals(policy=ebm.Pursuit(model.action_space), region=region, num_subgoals=2)
    scene = scene._replace(env=env, observation=observation, info=info)
    path, infos, _ = _rooms_tasks.act(scene, ebm.Problem(model, energy, **options), planner, seed)
    fell = bool(np.min(np.linalg.norm(_rooms_tasks.between(path) - scene.place, axis=-1)) < _rooms_tasks.RADIUS)
    return env.success(infos) and not fell, fell
