"""Trainings side by side: each ends as by itself, also after a kill that left some of them behind."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm

KEYS = [jax.random.key(seed) for seed in range(3)]
OPTIMISER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.1))  # clips each by itself


def draw(truth, key):
    x = jax.random.normal(key, (16, 3))
    return x, x @ truth


def loss(module, batch, share, key):
    x, y = batch
    return jnp.mean((jax.vmap(module)(x)[:, 0] - y) ** 2), {"share": share}


def trainer(seed, steps=40):
    return ebm.Trainer(loss, eqx.Partial(draw, jnp.arange(3.0) - seed), OPTIMISER, steps, 10)


def module(seed, width=8):
    return eqx.nn.MLP(3, 1, width, 1, key=jax.random.key(10 + seed))


def paths(folder):
    return [folder / f"{seed}.safetensors" for seed in range(3)]


def together(folder, report=None):
    seeds = range(3)
    return ebm.fit_together([*map(trainer, seeds)], [*map(module, seeds)], keys=KEYS, checkpoints=paths(folder), report=report)


def test_each_ends_as_by_itself(tmp_path):
    told = []
    learned = together(tmp_path, lambda which, step, parts: told.append((which, step, parts["loss"])))
    for seed in range(3):
        losses = []
        alone = ebm.fit(trainer(seed), module(seed), key=KEYS[seed], report=lambda step, parts, losses=losses: losses.append(parts["loss"]))
        np.testing.assert_allclose([value for which, _, value in told if which == seed], losses, rtol=1e-4)
        assert eqx.tree_equal(alone, learned[seed], rtol=1e-4, atol=1e-5)
    assert [(which, step) for which, step, _ in told] == [(which, step) for step in (10, 20, 30, 40) for which in range(3)]


def test_those_that_are_behind_catch_up(tmp_path):
    class Killed(Exception):
        pass

    def kill(which, step, parts):
        if (which, step) == (1, 20):
            raise Killed

    (tmp_path / "whole").mkdir()
    whole = together(tmp_path / "whole")
    with pytest.raises(Killed):
        together(tmp_path, kill)
    assert [ebm.read_about(path)["step"] for path in paths(tmp_path)] == [20, 20, 10]
    told = []
    resumed = together(tmp_path, lambda which, step, parts: told.append((which, step)))
    assert told[:4] == [(2, 20), (0, 30), (1, 30), (2, 30)]
    assert eqx.tree_equal(whole, resumed)


def test_only_numbers_may_differ(tmp_path):
    modules = [module(0), module(1, width=4)]
    with pytest.raises(ValueError, match="Modules that are trained together must be equal but for their numbers"):
        ebm.fit_together([trainer(0), trainer(1)], modules, keys=KEYS[:2], checkpoints=paths(tmp_path)[:2])
    with pytest.raises(ValueError, match="Trainers must be equal"):
        ebm.fit_together([trainer(0), trainer(1, steps=50)], [module(0), module(1)], keys=KEYS[:2], checkpoints=paths(tmp_path)[:2])


def test_a_loss_that_is_not_finite_stops_all(tmp_path):
    bad = eqx.tree_at(lambda t: t.draw.args[0], trainer(1), jnp.full(3, jnp.nan))
    with pytest.raises(FloatingPointError, match="after step 0"):
        ebm.fit_together([trainer(0), bad], [module(0), module(1)], keys=KEYS[:2], checkpoints=paths(tmp_path)[:2])
    assert not paths(tmp_path)[1].exists()
