"""Networks: shapes, what they take, and that a context costs nothing twice."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebm import nets

KEY = jax.random.key(0)
ENCODERS = {
    "identity": lambda: nets.Identity((2, 9, 9)),
    "mlp": lambda: nets.MLPEncoder((2, 9, 9), 6, 16, key=KEY),
    "patch": lambda: nets.PatchEncoder((2, 9, 9), 6, patch=4, width=16, key=KEY),
    "grid": lambda: nets.GridEncoder((2, 9, 9), 3, patch=4, width=16, key=KEY),
    "conv": lambda: nets.ConvEncoder((2, 9, 9), 6, (4, 8), key=KEY),
    "vit": lambda: nets.ViTEncoder((2, 9, 9), 6, patch=4, width=16, key=KEY),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_make_a_vector_of_the_size_they_say(name):
    encoder = ENCODERS[name]()
    picture = jax.random.randint(KEY, (2, 9, 9), 0, 256).astype(jnp.uint8)
    encode = eqx.filter_jit(encoder)
    vector = encode(picture)
    assert vector.shape == (encoder.size,)
    np.testing.assert_allclose(vector, encode(picture.astype(jnp.float32) / 255), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        encoder(picture[:, :8])


@pytest.mark.parametrize("name", ["patch", "grid", "vit"])
def test_patches_see_every_pixel(name):
    encoder = ENCODERS[name]()
    slope = jax.jit(jax.grad(lambda picture: jnp.sum(encoder(picture))))(jax.random.uniform(KEY, (2, 9, 9)))
    assert bool(jnp.all(slope != 0))


def test_a_vision_transformer_knows_where_a_patch_is():
    encoder = nets.ViTEncoder((1, 8, 8), 6, patch=4, width=16, key=KEY)
    picture = jax.random.uniform(KEY, (1, 8, 8))
    swapped = jnp.concatenate([picture[:, 4:], picture[:, :4]], axis=1)
    encode = eqx.filter_jit(lambda encoder, picture: encoder(picture))
    assert not np.allclose(encode(encoder, picture), encode(encoder, swapped), rtol=1e-3)
    blind = eqx.tree_at(lambda tree: tree.places.weight, encoder, jnp.zeros_like(encoder.places.weight))
    np.testing.assert_allclose(encode(blind, picture), encode(blind, swapped), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="heads"):
        nets.ViTEncoder((1, 8, 8), 6, width=10, heads=4, key=KEY)


@pytest.mark.parametrize("shape", [(2, 9, 7), (1, 8, 4)])
def test_a_decoder_makes_a_picture_of_the_encoders_patches(shape):
    decoder = nets.Decoder(6, shape, 4, 8, 16, key=KEY)
    picture = decoder(jax.random.normal(KEY, (6,)))
    assert picture.shape == shape
    assert bool(jnp.all((picture > 0) & (picture < 1)))
    vectors = jax.random.normal(KEY, (3, 6))
    np.testing.assert_allclose(jax.vmap(decoder)(vectors), jnp.stack([decoder(v) for v in vectors]), rtol=1e-5, atol=1e-6)


def test_a_decoder_learns_to_undo_an_encoder():
    picture = jax.random.uniform(KEY, (2, 9, 9))
    pictures = jnp.stack([picture, picture[:, ::-1], picture[:, :, ::-1]])
    vectors, decoder = jax.vmap(ENCODERS["patch"]())(pictures), nets.Decoder(6, (2, 9, 9), 4, 8, 16, key=KEY)
    optimiser = optax.adam(1e-2)

    @eqx.filter_jit
    def learn(decoder):
        def improve(carry, _):
            decoder, state = carry
            loss, slope = jax.value_and_grad(lambda decoder: jnp.mean((jax.vmap(decoder)(vectors) - pictures) ** 2))(decoder)
            updates, state = optimiser.update(slope, state)
            return (optax.apply_updates(decoder, updates), state), loss

        return jax.lax.scan(improve, (decoder, optimiser.init(decoder)), length=300)[1]

    errors = learn(decoder)
    assert errors[-1] < 0.3 * errors[0]


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
