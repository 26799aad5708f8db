"""The recipe for ReacherMatch: an arm seen as states or in pictures, and a memory of the last two sights, which is how speed is known."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

import ebm
import envs
from ebm import nets, objectives

from ._errors import UsageError
from ._runs import MODEL
from ._stages import Report, Run, Stage, check_counts, complete, optimiser, read_finished
from ._workers import pool

HELD = 5  # steps for which an action is held
SIGHTS = 3  # of every film, before the model shuts its eyes
CHUNK, PROCESSES = 500, 2  # films that are made at once; by how many
FILMS_OWN = 1  # of seeds: (s, 0) would be the stream of s alone, from which an environment draws its episode s


class Settings(NamedTuple):
    """What can be changed on the command line."""

    seed: int = 0
    sees: str = "state"
    features: int = 16
    remembered: int = 64
    width: int = 256
    films: int = 8000
    frames: int = 9
    batch: int = 32
    steps: int = 12000


def check(settings: Settings) -> None:
    """Whether something can be seen so, in films that are long enough.

    **Raises:**

    `UsageError` if not.
    """
    if settings.sees not in ("state", "picture"):
        raise UsageError(f"sees={settings.sees}: there are state and picture.")
    if settings.frames <= SIGHTS:
        raise UsageError(f"frames={settings.frames}: must be more than {SIGHTS}, after which it shuts its eyes.")
    check_counts(settings, features=3)


def build(settings: Settings, *, key: Key[Array, ""]) -> ebm.RecurrentJEPA:
    """The model, untrained."""
    keys = jax.random.split(key, 3)
    env = envs.ReacherMatchEnv(sees=settings.sees)
    box = env.actions
    size, seen = settings.features, env.observation_space.shape or ()
    encoder = nets.MLPEncoder if settings.sees == "state" else nets.PatchEncoder
    return ebm.RecurrentJEPA(
        encoder=encoder(seen, size, width=settings.width, key=keys[0]),
        memory=nets.WindowMemory(size + box.size, settings.remembered, 2, settings.width, key=keys[1]),
        predictor=nets.ResidualPredictor(size, box.size, settings.width, context_size=settings.remembered, key=keys[2]),
        action_space=box,
        dt=HELD * env.dt,
        held=HELD,
    )


def load(folder: Path) -> ebm.RecurrentJEPA:
    """The model that a training left.

    **Raises:**

    `ebm.CheckpointError` if there is none.
    """
    about = read_finished(folder)
    try:
        model = build(Settings(**about["settings"]), key=jax.random.key(0))
    except (KeyError, TypeError, ValueError) as error:
        raise ebm.CheckpointError(f"{str(folder / MODEL)!r} is no model of a reacher: its settings do not fit ({error}).") from error
    return ebm.load(folder / MODEL, model)


def train(settings: Sequence[Settings], folders: Sequence[Path], report: Report) -> None:
    """From films of random torques to a model, in `MODEL` at the end; as `_rooms.train`."""
    complete(stages, settings, folders, MODEL, report)


def stages(settings: Settings) -> Run:
    """One stage: encoder, memory and predictor together. Returns the model."""
    keys = jax.random.split(jax.random.key(settings.seed), 3)
    model = build(settings, key=keys[0])
    terms = {
        "prediction": objectives.Weighted(objectives.Prediction(), 8.0),
        "rate": objectives.Weighted(objectives.CodingRate()),  # with variance and covariance instead, pictures lose the elbow
    }
    joint = ebm.JointRecurrent(model, objectives.Composition(terms), seen=SIGHTS)
    films = record(settings.sees, settings.seed, settings.films, settings.frames)
    draw = eqx.Partial(films.draw, films=settings.batch, frames=settings.frames)
    trainer = ebm.Trainer(ebm.joint_loss, draw, optimiser(settings.steps, 2e-3), settings.steps)
    learned = yield Stage("joint", trainer, joint, keys[1])
    return learned.model, {}


def record(sees: str, seed: int, films: int, frames: int) -> ebm.Recordings:
    """Films of random torques, every fifth step of which is a frame."""
    return record_with_angles(sees, seed, films, frames)[0]


def record_with_angles(sees: str, seed: int, films: int, frames: int) -> tuple[ebm.Recordings, Float[np.ndarray, "film frame 2"]]:
    """The same, and where the joints were, rad: for judging only."""
    counts = [min(CHUNK, films - first) for first in range(0, films, CHUNK)]
    make = partial(_record, sees, frames)
    with pool(PROCESSES) as workers:
        recordings, angles = zip(*workers.map(make, [(seed, part) for part in range(len(counts))], counts), strict=True)
    return ebm.Recordings.join(recordings), np.concatenate(angles)


def _record(sees: str, frames: int, which: tuple[int, int], films: int) -> tuple[ebm.Recordings, np.ndarray]:
    rng, env = np.random.default_rng((*which, FILMS_OWN)), envs.ReacherMatchEnv(sees=sees)
    recordings, angles = zip(*(_film(env, rng, frames) for _ in range(films)), strict=True)
    return ebm.Recordings.join(recordings), np.array(angles)


def _film(env: envs.ReacherMatchEnv, rng: np.random.Generator, frames: int) -> tuple[ebm.Recordings, np.ndarray]:
    mujoco.mj_resetData(env.model, env.data)
    env.data.qpos[:], env.data.qvel[:] = env.begin(rng)
    seen, angles = [env.observation()], [env.data.qpos.copy()]
    torques = env.wander(rng, HELD * (frames - 1))[::HELD].astype(np.float32)
    for torque in torques:
        env.data.ctrl[:] = torque
        mujoco.mj_step(env.model, env.data, HELD * env.frame_skip)
        seen.append(env.observation())
        angles.append(env.data.qpos.copy())
    observations = np.stack(seen) if env.sees == "picture" else np.stack(seen).astype(np.float32)
    return ebm.Recordings.of_episode(observations, torques, np.zeros(frames - 1)), np.stack(angles)
