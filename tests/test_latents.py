"""Latents say what cannot be predicted: draws, prices, what is learned of chance, and plans that reckon with it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm
import planners
from ebm import nets

KEY = jax.random.key(0)
FAMILIES = [nets.Gaussian(3), nets.Categorical(2, 5)]
LIMITS = [nets.Ball(3), nets.Sparse(6, 2)]
LEFT = 0.3  # how often the dot slides to the left, instead of to the right


@pytest.mark.parametrize("latent", FAMILIES)
def test_a_divergence_is_what_draws_say(latent):
    """KL is the mean of the logarithm of the two densities' ratio, which for draws of a histogram is seen in frequencies."""
    posterior, prior = jax.random.normal(KEY, (2, latent.parameters))
    assert latent.divergence(prior, prior) == pytest.approx(0.0, abs=1e-5)
    assert latent.divergence(posterior, prior) > 0
    noise = jax.vmap(lambda key: latent.noise(key=key))(jax.random.split(KEY, 40_000))
    z = jax.vmap(latent.draw, in_axes=(None, 0))(posterior, noise)
    if isinstance(latent, nets.Gaussian):
        mean, deviation = latent._split(posterior)
        usual, spread = latent._split(prior)
        ratio = jax.scipy.stats.norm.logpdf(z, mean, deviation) - jax.scipy.stats.norm.logpdf(z, usual, spread)
        np.testing.assert_allclose(jnp.mean(jnp.sum(ratio, axis=1)), latent.divergence(posterior, prior), rtol=0.03)
    else:
        often = jnp.mean(z, axis=0).reshape(latent.groups, latent.classes)
        np.testing.assert_allclose(often, jnp.exp(latent._logarithms(posterior)), atol=0.01)
        assert jnp.all(often > 0)
        np.testing.assert_allclose(jnp.unique(jnp.round(z, 5)), [0.0, 1.0])


@pytest.mark.parametrize("latent", FAMILIES)
def test_gradients_pass_through_draws(latent):
    noise = latent.noise(key=KEY)
    weights = jnp.arange(1.0, latent.size + 1)
    slope = jax.grad(lambda parameters: weights @ latent.draw(parameters, noise))(jnp.ones(latent.parameters))
    assert jnp.all(jnp.isfinite(slope))
    assert jnp.any(slope != 0)


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_hold(limit):
    drawn = jax.vmap(lambda key: limit.noise(key=key))(jax.random.split(KEY, 500))
    np.testing.assert_allclose(jax.vmap(limit.project)(drawn), drawn, atol=1e-6)
    far = jax.vmap(limit.project)(10.0 * jax.random.normal(KEY, (500, limit.size)))
    for z in (drawn, far):
        if isinstance(limit, nets.Ball):
            assert jnp.max(jnp.linalg.norm(z, axis=1)) <= 1 + 1e-5
        else:
            assert jnp.max(jnp.sum(z != 0, axis=1)) <= limit.active
            assert jnp.max(jnp.abs(z)) <= 1


def slides(key, count=256):
    """One step of a dot that goes where it is told, and slides 1 to the left, or, more often, to the right."""
    where, go, side, small = jax.random.split(key, 4)
    before, action = jax.random.uniform(where, (count, 1), minval=-2, maxval=2), jax.random.uniform(go, (count, 1), minval=-1)
    left = jax.random.bernoulli(side, LEFT, (count, 1))
    after = before + action + jnp.where(left, -1.0, 1.0) + 0.05 * jax.random.normal(small, (count, 1))
    nowhere = ebm.Representation(before[:, None], jnp.zeros((count, 1, 0)))
    return ebm.Steps(ebm.Representation(before, jnp.zeros((count, 0))), after, action, nowhere, action[:, None])


PREDICTORS = {
    "gaussian": lambda key: nets.LatentPredictor(1, 1, nets.Gaussian(2), 32, 1, key=key),
    "categorical": lambda key: nets.LatentPredictor(1, 1, nets.Categorical(1, 4), 32, 1, key=key),
    "ball": lambda key: nets.SearchedPredictor(1, 1, nets.Ball(2), 32, 1, key=key),
    "sparse": lambda key: nets.SearchedPredictor(1, 1, nets.Sparse(4), 32, 1, key=key),
}


@pytest.mark.parametrize("name", ["categorical", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gaussian", "ball", "sparse"))])
def test_both_futures_are_foreseen(name):
    """A predictor without a latent says the mean, where nothing ever comes."""
    trainer = ebm.Trainer(eqx.Partial(ebm.latent_loss, free_nats=0.1), slides, optax.adam(3e-3), steps=1500, epoch=500)
    predictor = ebm.fit(trainer, PREDICTORS[name](KEY), key=KEY)
    condensed = predictor.condense(jnp.zeros(0))
    noise = jax.vmap(lambda key: predictor.sample_noise(key=key))(jax.random.split(KEY, 4000))
    came = jax.vmap(lambda noise: predictor.draw(jnp.array([0.5]), jnp.array([0.2]), condensed, noise))(noise)[:, 0] - 0.7
    left, right = jnp.abs(came + 1) < 0.3, jnp.abs(came - 1) < 0.3
    assert jnp.mean(left | right) > {"categorical": 0.98, "gaussian": 0.85, "ball": 0.75, "sparse": 0.65}[name]
    assert jnp.mean(left) == pytest.approx(LEFT, abs=0.03 if name == "categorical" else 0.12)
    if name in ("gaussian", "categorical"):
        assert predictor(jnp.array([0.5]), jnp.array([0.2]), condensed)[0] == pytest.approx(1.7, abs=0.3)  # what comes more often


def world(predictor, **options):
    """A dot on a line as a JEPA, whose coordinate is where it is."""
    box = ebm.Box(jnp.array([-1.0]), jnp.array([1.0]))
    return ebm.JEPA(nets.Identity((1,)), predictor, box, coordinates=lambda features: features, **options)


class Dice(nets.AbstractPredictor):
    """Goes where it is told, plus a risk that grows beyond 0.5: a slide back by 3, one time in five."""

    def sample_noise(self, *, key):
        return jax.random.uniform(key)

    def __call__(self, features, action, condensed):
        return features + action

    def draw(self, features, action, condensed, noise):
        return features + action - jnp.where((noise < 0.2) & (action > 0.5), 3.0, 0.0)


def test_noise_makes_the_rollout_and_no_noise_the_nominal_one():
    model, state = world(Dice()), ebm.Representation(jnp.zeros(1), jnp.zeros(0))
    actions = jnp.full((5, 1), 0.8)
    np.testing.assert_allclose(model.rollout(state, actions).features[:, 0], 0.8 * jnp.arange(6), rtol=1e-5)
    worlds = model.sample_worlds(5, 64, key=KEY)
    rolled = jax.jit(jax.vmap(lambda latents: model.rollout(state, actions, latents).features))(worlds)
    assert len(jnp.unique(jnp.round(rolled[:, -1, 0], 3))) > 2
    for number in range(3):
        one = jax.tree.map(lambda leaf, number=number: leaf[number], worlds)
        stepped = [state]
        for t in range(5):
            stepped.append(model.step(stepped[-1], actions[t], one.at(t)))
        np.testing.assert_allclose([s.features for s in stepped], rolled[number], rtol=1e-5)
    certain = world(nets.ResidualPredictor(1, 1, 8, 1, key=KEY))
    assert certain.sample_latents(3, key=KEY) is None
    assert certain.sample_worlds(3, 2, key=KEY) is None


@pytest.mark.parametrize(("risk", "bold"), [(ebm.BestCase(), True), (ebm.WorstCase(), False)])
def test_a_planner_weighs_what_may_come(risk, bold):
    problem = ebm.Problem(world(Dice()), ebm.Reach("features", jnp.array([6.0])), risk=risk, num_latents=8)
    agent = planners.Agent(problem, planners.MPPI(horizon=4, num_samples=128, num_iterations=3), ebm.Encoded())
    memory = agent.init(key=KEY)
    for where in (0.0, 0.5):
        action, memory = agent.act(jnp.array([where]), memory)
        assert (action[0] > 0.5) == bold


def test_a_spread_predictor_errs_as_told():
    predictor = nets.Spread(Dice(), jnp.array([0.25]))
    noise = jax.vmap(lambda key: predictor.sample_noise(key=key))(jax.random.split(KEY, 4000))
    came = jax.vmap(lambda noise: predictor.draw(jnp.zeros(1), jnp.array([0.3]), (), noise))(noise)
    assert jnp.mean(came) == pytest.approx(0.3, abs=0.02)
    assert jnp.std(came) == pytest.approx(0.25, rel=0.05)
    with pytest.raises(ValueError, match="tries"):
        nets.SearchedPredictor(1, 1, nets.Ball(2), tries=0, key=KEY)
