"""A batch divided among devices, or among processes, gives the losses and the weights of the whole one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm
from ebm import objectives

ROOT = Path(__file__).resolve().parent.parent
FOUR = "--xla_force_host_platform_device_count=4"


def draw(key):
    return jax.random.normal(key, (8, 3, 5))


def loss(network, batch, share, key):
    """Statistics of the whole batch, and its distribution."""
    features = jax.vmap(jax.vmap(network))(batch)
    seen = ebm.Representation(features, jnp.zeros((8, 3, 0)))
    terms = {"variance": objectives.Variance(), "covariance": objectives.Covariance(), "sigreg": objectives.SIGReg(count=8)}
    composition = objectives.Composition({name: objectives.Weighted(term) for name, term in terms.items()})
    return composition(objectives.Outcome(seen, features[:, 1:], jnp.zeros((8, 2, 1)), key), share)


def train(devices=(), checkpoint=None):
    """Losses, and weights."""
    trainer, told = ebm.Trainer(loss, draw, optax.adam(1e-2), 20, 5), []

    def report(step, parts):
        told.append([parts[name] for name in sorted(parts)])

    network = eqx.nn.MLP(5, 8, 16, 1, key=jax.random.key(0))
    learned = ebm.fit(trainer, network, key=jax.random.key(1), checkpoint=checkpoint, report=report, devices=devices)
    return {
        "told": told,
        "weights": jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(eqx.filter(learned, eqx.is_array))]).tolist(),
    }


def start(*arguments, flags=""):
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def whole():
    return train()


def assert_same(found, whole):
    np.testing.assert_allclose(found["told"], whole["told"], rtol=1e-4)
    np.testing.assert_allclose(found["weights"], whole["weights"], atol=1e-4)


def test_four_devices_learn_what_one_does(whole):
    found = finish(start(flags=FOUR))
    assert found["devices"] == 4
    assert_same(found, whole)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path, whole):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    path = tmp_path / "fit.safetensors"
    processes = [start(str(path), address, str(index)) for index in range(2)]
    first, second = map(finish, processes)
    assert first["devices"] == second["devices"] == 2
    assert second["told"] == []
    assert second["weights"] == first["weights"]
    assert_same(first, whole)
    assert ebm.read_about(path)["step"] == 20
    assert train(checkpoint=path)["weights"] == first["weights"]


def test_a_batch_that_cannot_be_divided_says_so():

    with pytest.raises(ValueError, match=r"3.*must divide.*\(8, 3, 5\)"):
        train(devices=jax.devices() * 3)


if __name__ == "__main__":
    path, *process = sys.argv[1:] or (None,)
    if process:
        jax.distributed.initialize(process[0], 2, int(process[1]))
    print(json.dumps(train(jax.devices(), path) | {"devices": jax.device_count()}))
