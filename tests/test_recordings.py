"""Recordings: played, kept in files, read from strangers, brought to Minari and back, and learned from."""

import equinox as eqx
import gymnasium
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm
import envs


def random_actions(env):
    env.action_space.seed(0)
    return lambda observation: env.action_space.sample()


@pytest.fixture(scope="module")
def played():
    env = gymnasium.make("InvertedPendulum-v5")
    return envs.record(env, random_actions(env), episodes=6, seed=3, max_steps=8)


def equal(first, second):
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def test_what_was_played_is_kept(played):
    env = gymnasium.make("InvertedPendulum-v5")
    act = random_actions(env)
    for number in range(len(played)):
        episode = played[number]
        observation, _ = env.reset(seed=3 + number)
        for step, action in enumerate(episode.actions[:-1]):
            assert np.array_equal(episode.observations[step], observation)
            assert np.array_equal(action, act(observation))
            observation, reward, terminated, _, _ = env.step(action)
            assert episode.rewards[step + 1] == np.float32(reward)
        assert np.array_equal(episode.observations[-1], observation)
        assert np.isnan(episode.actions[-1]).all()
        assert np.isnan(episode.rewards[0])
        assert episode.terminated[-1] == terminated
        assert episode.truncated[-1] == (len(episode.actions) == 9)
        assert not (episode.terminated[:-1] | episode.truncated[:-1]).any()
    with pytest.raises(IndexError, match="6 episodes"):
        played[6]


def test_a_file_gives_back_what_was_written(played, tmp_path):
    path = tmp_path / "played.h5"
    ebm.write_hdf5(path, played)
    assert equal(ebm.read_hdf5(path), played)
    assert equal(ebm.read_hdf5(path, episodes=slice(2, 3)), played[2])
    with pytest.raises(FileExistsError, match="name another"):
        ebm.write_hdf5(path, played)
    assert [each.name for each in tmp_path.iterdir()] == ["played.h5"]
    with h5py.File(path, "r", swmr=True) as file:  # as stable-worldmodel opens it
        assert file["ep_len"].dtype == np.int32
        assert file["ep_offset"][1] == len(played[0].actions)
        assert file["step_idx"][()].tolist()[:3] == [0, 1, 2]


def stranger(path, shuffle=False, **changes):
    """A file such as stable-worldmodel writes, in which the last action of an episode is NaN, with a column of text."""
    lengths, offsets = np.array([4, 3, 5]), np.array([0, 4, 7])
    if shuffle:
        lengths, offsets = lengths[::-1], offsets[::-1]
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3), np.uint8)
    action = np.arange(24.0, dtype=np.float32).reshape(12, 2)
    action[[3, 6, 11]] = np.nan
    columns = {"pixels": pixels, "proprio": np.arange(12.0)[:, None], "action": action, "reward": np.arange(12.0)}
    columns |= {"terminated": np.zeros(12, bool), "truncated": np.isin(np.arange(12), [3, 6, 11]), "ep_len": lengths, "ep_offset": offsets}
    with h5py.File(path, "w", libver="latest") as file:
        for name, column in (columns | changes).items():
            if column is not None:
                file.create_dataset(name, data=column, maxshape=(None, *column.shape[1:]), chunks=(1, *column.shape[1:]))
        file.create_dataset("task", data=np.array(["walk"] * 12, object), dtype=h5py.string_dtype())
    return path


def test_a_strangers_file_is_read(tmp_path):
    path = stranger(tmp_path / "tworoom.h5")
    found = ebm.read_hdf5(path, observations=("pixels", "proprio"))
    assert found.observations["pixels"].dtype == np.uint8
    assert found.lengths.tolist() == [4, 3, 5]
    assert found[1].observations["proprio"].ravel().tolist() == [4, 5, 6]
    assert found[2].actions[0].tolist() == [14, 15]
    backwards = ebm.read_hdf5(stranger(tmp_path / "backwards.h5", shuffle=True), observations="pixels")
    assert equal(backwards[0].observations, found[2].observations["pixels"])
    again = tmp_path / "again.h5"
    ebm.write_hdf5(again, found)
    assert equal(ebm.read_hdf5(again, observations=("pixels", "proprio")), found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": None}, "no column 'action'.*Columns are ep_len, ep_offset, pixels"),
        ({"ep_offset": np.array([0, 4, 8])}, "do not lie within its 12 rows"),
        ({"ep_len": np.array([4, 3])}, "damaged"),
        ({"ep_len": np.array([4.0, 3.5, 3.0])}, "no whole numbers"),
        ({"reward": np.zeros((12, 2))}, "'reward' has 24 numbers for 12 rows"),
        ({"pixels": np.zeros((11, 6, 6, 3), np.uint8)}, "'pixels' has 11 rows"),
        ({"ep_len": np.zeros(0, int), "ep_offset": np.zeros(0, int)}, "there is none"),
    ],
)
def test_what_does_not_fit_is_named(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ebm.read_hdf5(stranger(tmp_path / "bad.h5", **changes), observations="pixels")


def test_damaged_and_foreign_files_are_one_clear_error(played, tmp_path):
    path = tmp_path / "file.h5"
    with pytest.raises(FileNotFoundError, match=r"file\.h5"):
        ebm.read_hdf5(path)
    path.write_bytes(b"not at all what it says")
    with pytest.raises(ValueError, match="no HDF5 file, or is damaged"):
        ebm.read_hdf5(path)
    path.unlink()
    ebm.write_hdf5(path, played)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="damaged"):
            ebm.read_hdf5(path)
    secret = stranger(tmp_path / "secret.h5")
    path.unlink()
    with h5py.File(path, "w") as file:
        file["observation"] = h5py.ExternalLink(str(secret), "pixels")
    with pytest.raises(ValueError, match="no column 'observation'"):
        ebm.read_hdf5(path)
    for name in ("action", "robot/arm"):
        odd = eqx.tree_at(lambda r: r.observations, played, {name: played.observations})
        with pytest.raises(ValueError, match="Rename it"):
            ebm.write_hdf5(tmp_path / "odd.h5", odd)


def test_pieces_lie_within_episodes_and_all_are_as_likely():
    counts = np.array([3, 5, 2])  # of rows: 1, 3 and 0 pieces of three
    rows = np.concatenate([100 * episode + np.arange(count) for episode, count in enumerate(counts)]).astype(np.float32)
    nothing = np.zeros(10, bool)
    recordings = ebm.Recordings({"number": rows}, rows[:, None], rows, nothing, nothing, counts)
    seen, done = eqx.filter_jit(recordings.draw)(jax.random.key(0), films=4000, frames=3)
    assert np.array_equal(seen["number"][:, :1] + np.arange(3), seen["number"])
    assert np.array_equal(done[:, :, 0], seen["number"][:, :2])
    first, often = np.unique(seen["number"][:, 0], return_counts=True)
    assert first.tolist() == [0, 100, 101, 102]
    assert np.abs(often - 1000).max() < 150
    with pytest.raises(Exception, match="No episode has 6 rows"):
        jax.block_until_ready(recordings.draw(jax.random.key(0), films=2, frames=6))
    with pytest.raises(ValueError, match="add up to 10, but there are 9 rows"):
        ebm.Recordings(rows[1:], rows[1:, None], rows[1:], nothing[1:], nothing[1:], counts)
    with pytest.raises(ValueError, match="differ in the shapes"):
        ebm.Recordings.join([recordings, eqx.tree_at(lambda r: r.actions, recordings, rows)])
    with pytest.raises(ValueError, match="differ in the shapes or types"):  # bytes and fractions would become one column
        ebm.Recordings.join([recordings, eqx.tree_at(lambda r: r.observations, recordings, {"number": rows.astype(np.uint8)})])
    with pytest.raises(ValueError, match=r"not finite in row 4, leaf .*number"):
        ebm.Recordings({"number": np.where(np.arange(10) == 4, np.nan, rows)}, rows[:, None], rows, nothing, nothing, counts)


def test_minari_takes_and_gives_back(played, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = gymnasium.make("InvertedPendulum-v5")
    about = {"author": "nobody", "author_email": "no", "code_permalink": "no", "description": "test", "algorithm_name": "random"}
    made = envs.to_minari(played, "pendulum/random-v0", env, eval_env=env, **about)
    assert made.total_episodes == 6
    assert equal(envs.from_minari("pendulum/random-v0"), played)
    assert equal(envs.from_minari(made), played)
    with pytest.raises(ValueError, match="already exists"):
        envs.to_minari(played, "pendulum/random-v0", env, eval_env=env, **about)
    with pytest.raises(ValueError, match=r"no local Minari dataset 'pendulum/expert-v0'; local ones are pendulum/random-v0"):
        envs.from_minari("pendulum/expert-v0")


def test_a_jepa_learns_from_recordings():
    """It predicts other episodes than it has learned from, better than that nothing changes."""
    env = gymnasium.make("InvertedPendulum-v5")
    recordings = envs.record(env, random_actions(env), episodes=60, max_steps=30)
    other = envs.record(env, random_actions(env), episodes=10, seed=1000, max_steps=30)
    predictor = ebm.nets.ResidualPredictor(4, 1, width=32, key=jax.random.key(0))
    model = ebm.JEPA(ebm.nets.Identity((4,)), predictor, ebm.Box(jnp.full(1, -3.0), jnp.full(1, 3.0)), dt=0.04)
    objective = ebm.objectives.Composition({"prediction": ebm.objectives.Weighted(ebm.objectives.Prediction(), 1.0)})
    draw = eqx.Partial(recordings.draw, films=64, frames=4)
    trainer = ebm.Trainer(ebm.joint_loss, draw, optax.adam(3e-3), steps=400, epoch=100)
    learned = ebm.fit(trainer, ebm.Joint(model, objective), key=jax.random.key(1)).model
    seen, done = other.draw(jax.random.key(2), films=200, frames=4)
    encoded = jax.vmap(jax.vmap(learned.encode))(seen)
    predicted = jax.vmap(learned.rollout)(jax.tree.map(lambda leaf: leaf[:, 0], encoded), done).features
    came = encoded.features
    assert jnp.mean((predicted - came) ** 2) < 0.4 * jnp.mean((came[:, :1] - came) ** 2)
