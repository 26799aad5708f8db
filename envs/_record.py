"""Play episodes and keep them; and bring recordings to Minari and back."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

import ebm


def record(
    env: gymnasium.Env,
    act: Callable[[Any], Any],
    *,
    episodes: int,
    seed: int = 0,
    begin: Callable[[], Any] | None = None,
    max_steps: int | None = None,
) -> ebm.Recordings:
    """Play episodes with any controller, and keep what was seen and done.

    `envs.record(env, agent.predict, episodes=10, begin=agent.reset)` records an agent.

    **Arguments:**

    - `act`: given an observation, the action.
    - `seed`: of the first episode; the next one has the next.
    - `begin`: called before every episode.
    - `max_steps`: after which an episode is cut off, besides what the environment says.

    **Raises:**

    `ValueError` if there is not at least one episode of one step.
    """
    if episodes < 1 or (max_steps is not None and max_steps < 1):
        raise ValueError(f"episodes and max_steps must be at least 1, got {episodes} and {max_steps}.")
    played = []
    for number in range(episodes):
        if begin is not None:
            begin()
        observation, _ = env.reset(seed=seed + number)
        seen, done, rewards = [observation], [], []
        terminated = truncated = False
        while not (terminated or truncated):
            action = np.asarray(act(observation))
            observation, reward, terminated, truncated, _ = env.step(action)
            seen.append(observation)
            done.append(action)
            rewards.append(float(reward))
            truncated = truncated or len(done) == max_steps
        observations = jax.tree.map(lambda *frames: np.stack(frames), *seen)
        rewards = np.array(rewards, np.float32)
        played.append(ebm.Recordings.of_episode(observations, np.stack(done), rewards, terminated=terminated, truncated=truncated))
    return ebm.Recordings.join(played)


def to_minari(recordings: ebm.Recordings, dataset_id: str, env: gymnasium.Env, **about: Any) -> Any:
    """Make a local Minari dataset, such as `cart/pushed-v0`, for other libraries to learn from.

    **Arguments:**

    - `env`: where it was recorded: its spaces and its spec are kept.
    - `about`: author, algorithm_name, description and so on, as `minari.create_dataset_from_buffers` takes them.

    **Returns:**

    The dataset, a `minari.MinariDataset`. Pictures are kept as they are.

    **Raises:**

    `ValueError` if there is such a dataset; `ImportError` without Minari.
    """
    minari = _minari()
    buffers = []
    for number in range(len(recordings)):
        episode = recordings[number]
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=number,
                observations=jax.tree.map(np.asarray, episode.observations),
                actions=np.asarray(episode.actions[:-1]),
                rewards=np.asarray(episode.rewards[1:]),
                terminations=np.asarray(episode.terminated[1:]),
                truncations=np.asarray(episode.truncated[1:]),
                infos={},
            )
        )
    options = {"data_format": "hdf5", "jpeg_encoding": False} | about
    return minari.create_dataset_from_buffers(dataset_id, buffers, env=env, **options)


def from_minari(dataset: Any) -> ebm.Recordings:
    """Recordings of a Minari dataset.

    **Arguments:**

    - `dataset`: a `minari.MinariDataset`, or the id of a local one.

    **Raises:**

    `ValueError` for an id that is not here, or a dataset without episodes; `ImportError` without Minari.
    """
    if isinstance(dataset, str):
        minari = _minari()
        known = minari.list_local_datasets()
        if dataset not in known:
            here = ", ".join(known) or "none"
            raise ValueError(f"There is no local Minari dataset {dataset!r}; local ones are {here}. Download it first.")
        dataset = minari.load_dataset(dataset)
    played = [
        ebm.Recordings.of_episode(
            episode.observations,
            np.asarray(episode.actions),
            np.asarray(episode.rewards),
            terminated=episode.terminations[-1],
            truncated=episode.truncations[-1],
        )
        for episode in dataset.iterate_episodes()
    ]
    return ebm.Recordings.join(played)


def _minari() -> Any:
    try:
        import minari  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError('Minari is not installed. `pip install "energy-planning[recordings]"` brings it.') from error
    return minari
