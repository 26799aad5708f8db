"""Training: it learns, it resumes bit for bit, and it stops before it saves nonsense."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm

KEY = jax.random.key(0)
TRUTH = jnp.array([[1.0, -2.0, 0.5]])


def draw(key):
    x = jax.random.normal(key, (16, 3))
    return x, x @ TRUTH.T


def loss(module, batch, share, key):
    x, y = batch
    error = jnp.mean((jax.vmap(module)(x) - y) ** 2)
    return error, {"share": share}


def broken(module, batch, share, key):
    return loss(module, batch, share, key)[0] / jnp.where(share > 0.5, 0.0, 1.0), {}


def trainer(loss=loss, steps=40, epoch=10):
    return ebm.Trainer(loss, draw, optax.adam(0.1), steps, epoch)


def module():
    return eqx.nn.Linear(3, 1, key=KEY)


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(eqx.filter(a, eqx.is_array)), jax.tree.leaves(eqx.filter(b, eqx.is_array)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_it_learns():
    told = []
    learned = ebm.fit(trainer(steps=200), module(), key=KEY, report=lambda step, parts: told.append((step, parts)))
    np.testing.assert_allclose(learned.weight, TRUTH, atol=0.05)
    assert [step for step, _ in told] == list(range(10, 201, 10))
    assert {"loss", "gradient", "share"} <= set(told[0][1])


def test_a_training_that_was_stopped_ends_in_the_same_weights(tmp_path):
    path = tmp_path / "fit.safetensors"
    whole = ebm.fit(trainer(), module(), key=KEY)

    class Killed(Exception):
        pass

    def kill(step, parts):
        if step == 20:
            raise Killed

    with pytest.raises(Killed):
        ebm.fit(trainer(), module(), key=KEY, checkpoint=path, report=kill)
    assert ebm.read_about(path)["step"] == 20
    resumed = ebm.fit(trainer(), module(), key=KEY, checkpoint=path)
    assert_equal(whole, resumed)
    assert_equal(ebm.fit(trainer(), module(), key=KEY, checkpoint=path), whole)  # done: nothing happens


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "fit.safetensors"
    with pytest.raises(FloatingPointError, match="learning rate"):
        ebm.fit(trainer(broken), module(), key=KEY, checkpoint=path)
    good = ebm.load(path, trainer().init(module()))
    assert int(good.step) == 20
    assert bool(ebm.all_finite(good))


@pytest.mark.parametrize("when", [0.25, 0.975])
def test_a_slope_that_is_not_finite_is_noticed_where_the_loss_is(when, tmp_path):
    """Weights are lost in the last step of an epoch; the loss of that step was measured before."""
    path = tmp_path / "fit.safetensors"

    def steep(module, batch, share, key):
        return loss(module, batch, share, key)[0] + jnp.sqrt(jnp.sum((jnp.where(share == when, 0.0, 1.0) * module.weight) ** 2)), {}

    with pytest.raises(FloatingPointError, match="what learns"):
        ebm.fit(trainer(steep, epoch=1 if when < 0.9 else 10), module(), key=KEY, checkpoint=path)
    assert bool(ebm.all_finite(ebm.load(path, trainer().init(module()))))


def test_what_learns_nothing_says_so():
    class Raw(eqx.Module):
        weight: jax.Array

        def __call__(self, x):
            return self.weight @ x

    class Own(ebm.nets.AbstractPredictor):
        weight: jax.Array

        def __call__(self, features, action=None, condensed=None):
            return self.weight @ features

    with pytest.raises(ValueError, match="Nothing in Raw learns"):
        ebm.fit(trainer(), Raw(jnp.ones((1, 3))), key=KEY)
    np.testing.assert_allclose(ebm.fit(trainer(steps=200), Own(jnp.ones((1, 3))), key=KEY).weight, TRUTH, atol=0.3)


def test_a_checkpoint_that_cannot_be_kept_or_gone_on_from_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="no folder for the checkpoint"):
        ebm.fit(trainer(), module(), key=KEY, checkpoint=tmp_path / "no" / "fit.safetensors")
    path = tmp_path / "fit.safetensors"
    ebm.fit(trainer(steps=10), module(), key=KEY, checkpoint=path)
    with pytest.raises(ValueError, match=r"10 steps on.*epochs of 15 do not end at 30"):
        ebm.fit(trainer(steps=30, epoch=15), module(), key=KEY, checkpoint=path)
    ebm.fit(trainer(steps=30, epoch=5), module(), key=KEY, checkpoint=path)


def test_goals_and_scales_do_not_learn():
    class Scaled(eqx.Module):
        network: eqx.nn.Linear
        scale: jax.Array

        def __call__(self, x):
            return self.scale * self.network(x)

    learned = ebm.fit(trainer(), Scaled(module(), jnp.ones(1)), key=KEY)
    np.testing.assert_array_equal(learned.scale, 1.0)


def test_steps_are_whole_epochs():
    with pytest.raises(ValueError, match="multiple of `epoch`"):
        trainer(steps=45)
