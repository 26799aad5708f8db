"""Checkpoints: a round trip is exact, and whatever is wrong with a file is said in one sentence."""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm

KEY = jax.random.key(0)


def tree():
    return {
        "net": eqx.nn.Linear(3, 2, key=KEY),
        "key": jax.random.key(7),
        "count": jnp.int32(5),
        "name": "words stay",
        "scale": np.float32(2),
    }


def blank():
    return {
        "net": eqx.nn.Linear(3, 2, key=jax.random.key(1)),
        "key": KEY,
        "count": jnp.int32(0),
        "name": "words stay",
        "scale": np.float32(0),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    ebm.save(path, tree(), {"held": 5, "low": [-1.0]})
    return path


def test_a_round_trip_is_exact(saved):
    back = ebm.load(saved, blank())
    for a, b in zip(jax.tree.leaves(tree()), jax.tree.leaves(back), strict=True):
        if eqx.is_array(a) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
    assert ebm.read_about(saved) == {"held": 5, "low": [-1.0]}
    assert not list(saved.parent.glob(".*"))


def test_equal_checkpoints_are_equal_bytes(tmp_path):
    written = set()
    for _ in range(16):
        ebm.save(tmp_path / "model.safetensors", tree(), {"held": 5, "low": [-1.0]})
        written.add((tmp_path / "model.safetensors").read_bytes())
    assert len(written) == 1


def test_another_structure_is_refused_by_name(saved):
    with pytest.raises(ebm.CheckpointError, match=r"net.*\(4, 3\)"):
        ebm.load(saved, blank() | {"net": eqx.nn.Linear(3, 4, key=KEY)})
    with pytest.raises(ebm.CheckpointError, match=r"no array.*more"):
        ebm.load(saved, blank() | {"more": jnp.zeros(1)})
    with pytest.raises(ebm.CheckpointError, match=r"also has.*count"):
        ebm.load(saved, {name: leaf for name, leaf in blank().items() if name != "count"})


def test_what_is_static_must_be_the_same(tmp_path):
    """Which step of time a model takes, and for how long it holds an action, are no arrays."""
    path = tmp_path / "model.safetensors"
    encoder = ebm.nets.MLPEncoder((3,), 4, 8, 1, key=KEY)
    predictor = ebm.nets.ResidualPredictor(4, 1, 8, 1, key=KEY)
    ebm.save(path, {"a": [ebm.JEPA(encoder, predictor, ebm.Box([-1.0], [1.0]), dt=0.5, held=5)]})
    ebm.load(path, {"a": [ebm.JEPA(encoder, predictor, ebm.Box([-2.0], [1.0]), dt=0.5, held=5)]})
    with pytest.raises(ebm.CheckpointError, match=r"\.dt.* is 0\.5, where 0\.1 was built"):
        ebm.load(path, {"a": [ebm.JEPA(encoder, predictor, ebm.Box([-1.0], [1.0]), dt=0.1, held=5)]})
    with pytest.raises(ebm.CheckpointError, match=r"held.* is 5, where 1 was built"):
        ebm.load(path, {"a": [ebm.JEPA(encoder, predictor, ebm.Box([-1.0], [1.0]), dt=0.5)]})


@pytest.mark.parametrize("about", ["[" * 100_000, "{" + '"a": ' + "1" * 5000 + "}"])
def test_words_that_are_no_words_are_damage(about, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, path, {"format": "energy-planning 1", "about": about})
    with pytest.raises(ebm.CheckpointError, match="damaged"):
        ebm.read_about(path)


@pytest.mark.parametrize("size", [0, 4, 8, 40, 200, -1])
def test_a_truncated_file_is_refused(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ebm.CheckpointError, match="damaged"):
        ebm.load(saved, blank())


def test_a_bit_that_flipped_is_noticed(saved):
    whole = saved.read_bytes()
    for place in (whole.index(b"held"), whole.index(b"in_features"), len(whole) - 30, len(whole) - 1):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ebm.CheckpointError, match="damaged"):
            ebm.load(saved, blank())
    saved.write_bytes(whole)
    ebm.load(saved, blank())


def test_foreign_files_are_refused_and_never_run(tmp_path):
    from safetensors.numpy import save_file

    ran = []

    class Trap:
        def __reduce__(self):
            return ran.append, (1,)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ebm.CheckpointError, match="damaged, or no checkpoint"):
        ebm.load(path, blank())
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(ebm.CheckpointError):
        ebm.read_about(tmp_path / "a.npz")
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(ebm.CheckpointError, match="no checkpoint of ours"):
        ebm.read_about(path)
    with pytest.raises(ebm.CheckpointError, match="There is no checkpoint"):
        ebm.read_about(tmp_path / "none.safetensors")
    assert ran == []
