"""A JEPA is a world model, and its perceiver an encoder."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import planners
from ebm import nets

KEY = jax.random.key(0)
BOX = ebm.Box([-2.0, 0.0], [2.0, 4.0])


def small(coordinates=None, features=4, **options):
    keys = jax.random.split(KEY, 2)
    encoder = nets.MLPEncoder((3,), 4 + 2, 16, 1, key=keys[0])
    predictor = nets.ResidualPredictor(features, 2, 16, 1, context_size=2, key=keys[1])
    return ebm.JEPA(encoder, predictor, BOX, coordinates, context_size=2, **options)


def abstract():
    return small(ebm.Displacement(4, 2, 8, key=KEY), features=2)


@pytest.mark.parametrize("build", [small, abstract])
def test_a_rollout_is_its_steps(build):
    model = build()
    state = model.encode(jnp.array([0.1, 0.2, 0.3]))
    actions = BOX.sample((5,), key=KEY)
    rolled = model.rollout(state, actions)
    for t, action in enumerate(actions):
        np.testing.assert_array_equal(rolled.features[0], model.encode(jnp.array([0.1, 0.2, 0.3])).features)
        np.testing.assert_allclose(rolled.features[t], state.features, rtol=1e-5, atol=1e-6)
        state = model.step(state, action)
    np.testing.assert_allclose(rolled.features[-1], state.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rolled.context, jnp.broadcast_to(state.context, (6, 2)))
    assert jax.tree.structure(model.example_state()) == jax.tree.structure(state)
    assert model.example_state().features.shape == state.features.shape


def test_blocks_are_standardised_each():
    state = small().encode(jnp.array([5.0, -3.0, 1.0]))
    for block in (state.features, state.context):
        np.testing.assert_allclose([jnp.mean(block), jnp.mean(block**2)], [0, 1], atol=1e-2)


def test_actions_are_seen_in_half_ranges():
    np.testing.assert_allclose(small().scale(jnp.array([2.0, 0.0])), [1.0, -1.0])
    with pytest.raises(ValueError, match="do not end in the 2 numbers"):  # one number would be taken for both
        small().scale(jnp.ones((5, 1)))
    terms = {"prediction": ebm.objectives.Weighted(ebm.objectives.Prediction())}
    with pytest.raises(ValueError, match="do not end in the 2 numbers"):
        ebm.Joint(small(), ebm.objectives.Composition(terms)).imagine(jnp.ones((4, 3, 3)), jnp.ones((4, 2, 1)))


def test_a_state_that_is_seen_as_it_is_stays_as_it_is():
    class Shift(nets.AbstractPredictor):
        def __call__(self, features, action, condensed):
            return features + action

    model = ebm.JEPA(nets.Identity((2,)), Shift(), ebm.Box([-1.0, -1.0], [1.0, 1.0]))
    state = model.encode(jnp.array([3.0, 50.0]))
    np.testing.assert_array_equal(state.features, [3.0, 50.0])
    np.testing.assert_array_equal(model.rollout(state, jnp.ones((2, 2))).features[-1], [5.0, 52.0])


def test_a_predictor_of_features_learns_what_the_model_will_do_with_it():
    model = small()
    films = jax.vmap(jax.vmap(model.encode))(jax.random.normal(KEY, (8, 4, 3)))
    actions = jax.random.uniform(KEY, (8, 3, 2), minval=-1.0)
    before, first = (jax.tree.map(lambda leaf: leaf[:, 0], films) for _ in range(2))
    steps = ebm.Steps(before, films.features[:, 1], actions[:, 0], films, actions, standardised=True)
    _, parts = ebm.prediction_loss(model.predictor, steps, jnp.float32(0.0), KEY)
    rolled = jax.vmap(model.rollout)(first, BOX.center + actions * BOX.half_range).features[:, 1:]
    apart = jnp.linalg.norm(rolled - films.features[:, 1:], axis=-1)
    np.testing.assert_allclose([parts["single"], parts["film"]], [jnp.mean(apart[:, 0]), jnp.mean(apart)], rtol=1e-3)


def test_reading_a_representation():
    state = small().encode(jnp.ones(3))
    np.testing.assert_array_equal(state.read("features"), state.features)
    np.testing.assert_array_equal(state.read("context"), state.context)
    with pytest.raises(KeyError, match="features, context"):
        state.read("position")


def test_what_was_foreseen_does_not_surprise():
    model, perceiver = small(), ebm.Encoded()
    memory = perceiver.init(model)
    action, observation = jnp.array([1.0, 1.0]), jnp.array([0.3, -0.2, 0.9])
    assert perceiver.energy(model, memory, action, observation) == 0
    state, memory = perceiver.observe(model, memory, action, observation)
    np.testing.assert_array_equal(state.features, model.encode(observation).features)
    expected = 0.5 * jnp.mean((model.step(state, action).features - state.features) ** 2)
    np.testing.assert_allclose(perceiver.energy(model, memory, action, observation), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["cem", "mppi", "gradient", "ilqr"])
def test_planners_work_on_it_unchanged(name):
    model = abstract()
    problem = ebm.Problem(model, ebm.Approach("features", [0.5, 0.5], tolerance=0.3) + 0.01 * ebm.Effort())
    agent = planners.Agent(problem, planners.planner(name, horizon=4), ebm.Encoded())
    action, _ = agent.act(jnp.array([0.1, 0.2, 0.3]), agent.init(key=KEY))
    assert bool(BOX.contains(action))


def test_only_networks_learn():
    model = abstract()
    problem = ebm.Problem(model, ebm.Approach("features", [0.5, 0.5]))
    learns = eqx.filter(problem, ebm.trainable(problem))
    assert not jax.tree.leaves(learns.energy)
    assert not jax.tree.leaves(learns.model.action_space)
    assert len(jax.tree.leaves(learns.model.encoder)) == len(jax.tree.leaves(eqx.filter(model.encoder, eqx.is_inexact_array)))


def test_bad_settings_say_so():
    with pytest.raises(ValueError, match="context_size"):
        ebm.JEPA(nets.Identity((3,)), nets.GRUPredictor(3, 2, key=KEY), BOX, context_size=3)
    with pytest.raises(ValueError, match="held"):
        small(held=0)
