"""A world model with a memory: imagining is stepping, a film at once is its frames, and planners do not notice."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import assert_close, weak

import ebm
import planners
from ebm import nets, objectives

KEY = jax.random.key(0)
BOX = ebm.Box([-2.0, 0.0], [2.0, 4.0])
PERCEIVER = ebm.Filtering()
MEMORIES = {
    "gru": lambda size: nets.GRUMemory(size, 4, key=KEY),
    "lstm": lambda size: nets.LSTMMemory(size, 4, key=KEY),
    "state space": lambda size: nets.StateSpaceMemory(size, 4, 8, 4, 1, key=KEY),
    "transformer": lambda size: nets.TransformerMemory(size, 4, 3, 8, 1, heads=2, condition_size=2, key=KEY),
    "window": lambda size: nets.WindowMemory(size, 4, 2, 8, key=KEY),
}
QUICK = ("gru", "transformer")
every_memory = pytest.mark.parametrize("kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in MEMORIES])


@functools.cache
def small(kind="gru"):
    @eqx.filter_jit
    def build():
        encoder = nets.MLPEncoder((3,), 4, 8, 1, key=KEY)
        return ebm.RecurrentJEPA(encoder, MEMORIES[kind](4 + 2), nets.ResidualPredictor(4, 2, 8, 1, context_size=4, key=KEY), BOX)

    return build()


def film(frames=5):
    return jax.random.normal(jax.random.key(1), (frames, 3)), BOX.sample((frames - 1,), key=jax.random.key(2))


@eqx.filter_jit
def observe(model, memory, action, observation):
    return PERCEIVER.observe(model, memory, action, observation)


@eqx.filter_jit
def at_once(model, observations, actions):
    return model.watch(observations, actions)


@eqx.filter_jit
def watched(model, observations, actions):
    """The states frame by frame, and the features that were foreseen of each."""

    def watch(memory, frame):
        foreseen = model.foresee(memory.state, frame[0])
        state, memory = PERCEIVER.observe(model, memory, *frame)
        return memory, (state, foreseen)

    before = jnp.concatenate([BOX.high[None], actions])
    return jax.lax.scan(watch, PERCEIVER.init(model), (before, observations))[1]


@eqx.filter_jit
def imagined(model, frame, actions):
    state, _ = PERCEIVER.observe(model, PERCEIVER.init(model), BOX.rest, frame)

    def advance(state, action):
        after = model.step(state, action)
        return after, after

    return state, model.rollout(state, actions), jax.lax.scan(advance, state, actions)[1]


@every_memory
def test_a_rollout_is_its_steps_and_begins_where_it_was_told(kind):
    model = small(kind)
    observations, actions = film()
    state, rolled, stepped = jax.tree.map(np.asarray, imagined(model, observations[0], actions))
    for begun, first, rest, after in zip(*map(jax.tree.leaves, (state, rolled, rolled, stepped)), strict=True):
        np.testing.assert_array_equal(first[0], begun)
        np.testing.assert_allclose(rest[1:], after, rtol=1e-4, atol=1e-5)
    assert not weak(model.example_state())
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), model.example_state()) == shapes


@every_memory
def test_a_film_at_once_is_what_the_perceiver_sees_frame_by_frame(kind):
    model = small(kind)
    observations, actions = film()
    seen, foreseen = at_once(model, observations, actions)
    states, expected = watched(model, observations, actions)
    np.testing.assert_allclose(seen.features, states.features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.context, states.context, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(foreseen, expected[1:], rtol=1e-4, atol=1e-5)


def test_with_its_eyes_shut_it_foresees_what_it_imagines():
    model = small()
    observations, actions = film()
    states, foreseen = watched(model, observations, actions)
    state = jax.tree.map(lambda leaf: leaf[2], states)

    @eqx.filter_jit
    def blind(model, observations):
        return model.watch(observations, actions, 3)[1], model.rollout(state, actions[2:]).features[1:]

    expected, imagined = blind(model, observations)
    np.testing.assert_allclose(expected[:2], foreseen[1:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected[2:], imagined, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(blind(model, observations.at[3:].add(1.0))[0], expected)
    with pytest.raises(ValueError, match="seen"):
        model.watch(observations, actions, 0)


def test_what_it_imagines_enters_the_memory_like_a_frame():
    model = small()
    observations, actions = film()
    state, _ = observe(model, PERCEIVER.init(model), BOX.rest, observations[0])
    foreseen = model.foresee(state, actions[0])
    assert_close(model.step(state, actions[0]), model.take_in(state, actions[0], foreseen))


def test_the_first_frame_follows_no_action():
    model, frame = small(), film()[0][0]
    states = [observe(model, PERCEIVER.init(model), action, frame)[0] for action in (BOX.low, BOX.high)]
    assert_close(*states, rtol=0, atol=0)


def test_the_past_matters():
    model = small()
    observations, actions = film()
    (one, ahead), (other, elsewhere) = (watched(model, o, actions) for o in (observations, observations.at[0].add(1.0)))
    np.testing.assert_array_equal(one.features[-1], other.features[-1])
    assert not np.allclose(one.context[-1], other.context[-1], rtol=1e-4)
    assert not np.allclose(ahead[-1], elsewhere[-1], rtol=1e-4)


def test_its_readings():
    state = small().example_state()
    np.testing.assert_array_equal(state.read("features"), state.features)
    np.testing.assert_array_equal(state.read("context"), state.context)
    with pytest.raises(KeyError, match="features, context"):
        state.read("position")


@pytest.mark.parametrize(
    "name", ["cem", "mppi", pytest.param("gradient", marks=pytest.mark.slow), pytest.param("ilqr", marks=pytest.mark.slow)]
)
def test_planners_work_on_it_unchanged(name):
    model = small()
    problem = ebm.Problem(model, ebm.Approach("features", jnp.zeros(4), tolerance=0.3) + 0.01 * ebm.Effort())
    agent = planners.Agent(problem, planners.planner(name, horizon=3), PERCEIVER)
    memory = agent.init(key=KEY)
    frames, _ = film(3)
    for frame in frames[:2]:
        action, plan, memory = agent.decide(frame, memory)
        assert bool(BOX.contains(action))
        assert bool(jnp.isfinite(plan.energy))
        np.testing.assert_allclose(plan.trajectory.states.features[0], model.encode(frame), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@every_memory
def test_every_memory_can_be_planned_with(kind):
    problem = ebm.Problem(small(kind), ebm.Approach("features", jnp.zeros(4)))
    agent = planners.Agent(problem, planners.planner("mppi", horizon=3, num_samples=8), PERCEIVER)
    action, _ = agent.act(film()[0][0], agent.init(key=KEY))
    assert bool(BOX.contains(action))


def test_only_networks_learn():
    model = small("state space")
    learns = eqx.filter(model, ebm.trainable(model))
    assert not jax.tree.leaves(learns.action_space)
    for part in (model.encoder, model.memory, model.predictor):
        assert jax.tree.leaves(part)
    assert len(jax.tree.leaves(learns.memory)) == len(jax.tree.leaves(eqx.filter(model.memory, eqx.is_inexact_array)))


def test_it_learns_from_films_what_a_glance_does_not_tell():
    # a point moves evenly, and only its place is seen: without a memory nobody knows where to
    def draw(key):
        turn, speed = jax.random.uniform(key, (2, 8, 1), minval=0.3, maxval=1.0)
        angle = 6.0 * turn + jnp.sign(turn - 0.65) * speed * jnp.arange(6)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1), jnp.zeros((8, 5, 0))

    def error(memory):
        box = ebm.Box([], [])
        encoder = nets.MLPEncoder((2,), 4, 8, 1, key=KEY)
        predictor = nets.ResidualPredictor(4, 0, 16, 1, context_size=memory.size, key=KEY)
        objective = objectives.Composition(
            {"prediction": objectives.Weighted(objectives.Prediction()), "variance": objectives.Weighted(objectives.Variance())}
        )
        learner = ebm.JointRecurrent(ebm.RecurrentJEPA(encoder, memory, predictor, box), objective)
        means = []
        trainer = ebm.Trainer(ebm.joint_loss, draw, optax.adam(1e-2), 400, 200)
        ebm.fit(trainer, learner, key=KEY, report=lambda step, parts: means.append(parts["prediction"]))
        return means[-1]

    assert error(nets.GRUMemory(4, 8, key=KEY)) < 0.7 * error(nets.WindowMemory(4, 8, 1, 8, key=KEY))


def test_who_predicts_pictures_remembers_alike_and_is_surprised_in_pictures():
    model = ebm.RecurrentJEPA(nets.PatchEncoder((1, 4, 4), 4, 2, 4, 8, key=KEY), MEMORIES["gru"](6), small().predictor, BOX)
    decoder = nets.Decoder(4, (1, 4, 4), 2, 4, 8, key=KEY)
    pictures = jax.random.randint(KEY, (3, 1, 4, 4), 0, 256).astype(jnp.uint8)

    @eqx.filter_jit
    def watch(perceiver, model):
        _, memory = perceiver.observe(model, perceiver.init(model), BOX.rest, pictures[0])
        first = perceiver.energy(model, perceiver.init(model), BOX.rest, pictures[0])
        state, _ = perceiver.observe(model, memory, BOX.low, pictures[1])
        return first, memory, state, perceiver.energy(model, memory, BOX.low, pictures[1])

    first, memory, state, energy = watch(ebm.FilteringPictures(decoder), model)
    assert_close(watch(PERCEIVER, model)[2], state)
    assert first == 0.0
    np.testing.assert_allclose(energy, decoder.error(model.foresee(memory.state, BOX.low), pictures[1]), rtol=1e-5)


def test_bad_settings_say_so():
    model = small()
    with pytest.raises(ValueError, match="in_size=6"):
        ebm.RecurrentJEPA(model.encoder, nets.GRUMemory(4, 4, key=KEY), model.predictor, BOX)
    with pytest.raises(ValueError, match="held"):
        ebm.RecurrentJEPA(model.encoder, model.memory, model.predictor, BOX, held=0)
    with pytest.raises(TypeError, match="Encoded"):
        PERCEIVER.init(ebm.JEPA(model.encoder, nets.ResidualPredictor(4, 2, 8, key=KEY), BOX))
