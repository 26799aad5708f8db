"""Networks: shapes, what they take, and that a context costs nothing twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebm import nets

KEY = jax.random.key(0)
ENCODERS = {
    "identity": lambda: nets.Identity((2, 9, 9)),
    "mlp": lambda: nets.MLPEncoder((2, 9, 9), 6, 16, key=KEY),
    "patch": lambda: nets.PatchEncoder((2, 9, 9), 6, patch=4, width=16, key=KEY),
    "conv": lambda: nets.ConvEncoder((2, 9, 9), 6, (4, 8), key=KEY),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_make_a_vector_of_the_size_they_say(name):
    encoder = ENCODERS[name]()
    picture = jax.random.randint(KEY, (2, 9, 9), 0, 256).astype(jnp.uint8)
    vector = encoder(picture)
    assert vector.shape == (encoder.size,)
    np.testing.assert_allclose(vector, encoder(picture.astype(jnp.float32) / 255), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        encoder(picture[:, :8])


def test_patches_see_every_pixel():
    encoder = ENCODERS["patch"]()
    slope = jax.grad(lambda picture: jnp.sum(encoder(picture)))(jax.random.uniform(KEY, (2, 9, 9)))
    assert bool(jnp.all(slope != 0))


def test_a_residual_network_adds_what_it_was_told():
    network = nets.ResidualMLP(3, 2, 8, 1, condition_size=4, key=KEY)
    plain = nets.ResidualMLP(3, 2, 8, 1, key=KEY)
    x, context = jnp.ones(3), jnp.arange(4.0)
    assert not np.allclose(network(x, network.condition(context)), network(x, network.condition(-context)))
    np.testing.assert_array_equal(plain(x, plain.condition(context)), plain(x))


@pytest.mark.parametrize("kind", [nets.ResidualPredictor, nets.GRUPredictor])
def test_predictors_take_features_action_and_context(kind):
    predictor = kind(5, 2, context_size=3, key=KEY)
    features, action, context = jnp.ones(5), jnp.array([0.5, -0.5]), jnp.arange(3.0)
    after = predictor(features, action, predictor.condense(context))
    assert after.shape == (5,)
    assert not np.allclose(after, predictor(features, -action, predictor.condense(context)))
    assert not np.allclose(after, predictor(features, action, predictor.condense(-context)))
