"""A training is killed, at any moment, again and again; it goes on, and ends in the same bytes as one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

import ebm

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["features=8", "context=8", "width=16", "joint_steps=400", "joint_films=4", "joint_frames=3", "head_steps=400"]
SMALL += ["films=500", "frames=5", "play=500", "predictor_steps=400"]


def draw(key):
    return jax.random.normal(key, (8, 3))


def loss(module, batch, share, key):
    noise = jax.random.normal(key, (8, 1))
    return jnp.mean((jax.vmap(module)(batch) - batch.sum(axis=1, keepdims=True) - noise) ** 2), {}


def train(path, report=None):
    trainer = ebm.Trainer(loss, draw, optax.adam(0.1), 300, 10)
    ebm.fit(trainer, eqx.nn.Linear(3, 1, key=jax.random.key(0)), key=jax.random.key(1), checkpoint=path, report=report)


def train_and_die(path, count):
    """What the process does that is killed: it waits a little after every epoch, and dies by itself while it writes a checkpoint."""
    left, sync = [count], os.fsync

    def sync_or_die(file):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    os.fsync = sync_or_die
    print("begins", flush=True)
    train(path, lambda step, parts: time.sleep(0.1))


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def kill(process: subprocess.Popen, seconds: float) -> bool:
    """Whether it was still running after so long; then it is no more."""
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def test_a_training_killed_while_it_writes_and_at_a_random_moment_ends_in_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    train(whole)
    writing = start(__file__, str(broken), "3")
    writing.communicate(timeout=300)
    assert writing.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".*"))  # what it was writing
    anywhere = start(__file__, str(broken), "0")
    assert anywhere.stdout
    anywhere.stdout.readline()
    assert kill(anywhere, random.Random().uniform(0.5, 2.5))
    assert 20 <= ebm.read_about(broken)["step"] < 300
    train(broken)
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_training_killed_at_ten_random_moments_ends_in_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    train(whole)
    for _ in range(10):
        process = start(__file__, str(broken), "0")
        assert process.stdout
        process.stdout.readline()
        kill(process, random.Random().uniform(0.0, 1.0))
    train(broken)
    assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_the_command_killed_in_every_stage_ends_in_the_same_bytes(tmp_path):
    command = ["-m", "benchmarks._cli", "train", "two-rooms", *SMALL, "--out"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(start(*command, str(whole)))
    for stage in ("joint", "coordinates", "predictor"):
        process = start(*command, str(broken))
        while not (broken / f"{stage}.safetensors").exists() and process.poll() is None:
            time.sleep(0.01)
        assert kill(process, random.Random().uniform(0.0, 0.2))
    finish(start(*command, str(broken)))
    assert {path.name for path in broken.iterdir()} == {path.name for path in whole.iterdir()}
    for path in whole.glob("*.safetensors"):
        assert (broken / path.name).read_bytes() == path.read_bytes(), path.name


def test_films_and_what_learns_from_them_survive_a_kill(tmp_path):
    """Ends in the same hash, and in the same weights."""

    def generate(name):
        return start(
            "-m", "benchmarks._cli", "surprise", "generate", "--concepts", "permanence", "--freeform", "50", "--out", str(tmp_path / name)
        )

    def learn(name):
        settings = ["films=50", "features=4", "remembered=4", "width=8", "batch=2", "steps=400"]
        films = ["--films", str(tmp_path / "whole films")]
        return start("-m", "benchmarks._cli", "surprise", "train", *settings, *films, "--out", str(tmp_path / name))

    hashes = {}
    process = generate("broken films")
    while len(list(tmp_path.glob("broken films/*/*/*.npz"))) < 2 and process.poll() is None:
        time.sleep(0.01)
    assert kill(process, 0.0)
    for name in ("broken films", "whole films"):
        out, errors = (process := generate(name)).communicate(timeout=300)
        assert process.returncode == 0, errors
        hashes[name] = out.split()[0]
    assert hashes["broken films"] == hashes["whole films"]
    finish(learn("whole"))
    process = learn("broken")
    while not (tmp_path / "broken" / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    assert kill(process, 0.0)
    finish(learn("broken"))
    assert (tmp_path / "broken" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


if __name__ == "__main__":
    train_and_die(sys.argv[1], int(sys.argv[2]))
