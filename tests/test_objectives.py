"""Objectives: what lowers each, what each is blind to, and how they add up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from ebm import nets, objectives
from ebm.objectives._sigreg import epps_pulley

KEY = jax.random.key(0)
FILMS, FRAMES, SIZE = 64, 5, 4


def outcome(features=None, context=None, predicted=None):
    keys = jax.random.split(KEY, 3)
    features = jax.random.normal(keys[0], (FILMS, FRAMES, SIZE)) if features is None else features
    context = jnp.broadcast_to(jax.random.normal(keys[1], (FILMS, 1, SIZE)), (FILMS, FRAMES, SIZE)) if context is None else context
    actions = jax.random.uniform(keys[2], (len(features), FRAMES - 1, 2), minval=-1.0)
    encoded = ebm.Representation(features, context)
    return objectives.Outcome(encoded, features[:, 1:] if predicted is None else predicted, actions, KEY, encoded, encoded)


def collapsed(block):
    return jnp.zeros_like(block)


ALL = {
    "variance": objectives.Variance(),
    "covariance": objectives.Covariance(),
    "coding rate": objectives.CodingRate(),
    "constancy": objectives.Constancy(),
    "film variance": objectives.FilmVariance(),
    "cross covariance": objectives.CrossCovariance(),
    "time similarity": objectives.TimeSimilarity(),
    "inverse dynamics": objectives.InverseDynamics(SIZE, 2, key=KEY),
    "prediction": objectives.Prediction(),
    "straightening": objectives.Straightening(),
    "expander": objectives.Expander(objectives.Variance(), SIZE, 8, key=KEY),
}
# What keeps representations apart, each of either block: "features" and "context".
APART = {
    "Barlow Twins": objectives.BarlowTwins,
    "whitening": objectives.Whitening,
    "InfoNCE": objectives.InfoNCE,
    "SIGReg": objectives.SIGReg,
    "SIGReg in subspaces": lambda of: objectives.SIGReg(of, subspaces=objectives.draw_subspaces(3, SIZE, 2, key=KEY)),
    "sliced Wasserstein": objectives.SlicedWasserstein,
}
# What distils: nothing in the loss forbids collapse.
DISTILLING = {
    "distillation": lambda of: objectives.Distillation(SIZE, of, key=KEY),
    "SimSiam": lambda of: objectives.SimSiam(SIZE, of, key=KEY),
    "masked distillation": lambda of: objectives.MaskedDistillation(SIZE, of, key=KEY),
}
ALL |= {f"{name}, {of}": make(of) for name, make in (APART | DISTILLING).items() for of in ("features", "context")}


@pytest.mark.parametrize("name", ALL)
def test_values_and_slopes_are_finite_also_where_all_has_collapsed(name):
    measure = jax.jit(jax.value_and_grad(lambda x: ALL[name](outcome(x))))
    for features in (outcome().encoded.features, jnp.zeros((FILMS, FRAMES, SIZE))):
        value, slope = measure(features)
        assert jnp.isfinite(value)
        assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.parametrize("name", ["variance", "coding rate", "film variance"])
def test_collapse_costs(name):
    healthy = outcome()
    assert ALL[name](healthy) < ALL[name](outcome(collapsed(healthy.encoded.features)))


@pytest.mark.parametrize("of", ["features", "context"])
@pytest.mark.parametrize("name", [name for name in APART if name != "whitening"])
def test_what_keeps_apart_makes_a_point_cost_more_than_a_cloud(name, of):
    healthy = outcome()
    point = outcome(**{of: collapsed(healthy.encoded.read(of))})
    assert APART[name](of)(healthy) < APART[name](of)(point) - 0.1


def test_whitening_blows_up_what_is_missing():
    """It does not see how large a block is, but a direction in which there is only noise counts as much as any other."""
    noise = 0.01 * jax.random.normal(jax.random.key(3), (2, FILMS, FRAMES - 1, SIZE))
    cloud = outcome().encoded.features
    line = jnp.broadcast_to(cloud[..., :1], cloud.shape)
    costs = []
    for features in (cloud, line):
        came = features[:, 1:] + noise[0]
        x = outcome(jnp.concatenate([features[:, :1], came], axis=1), predicted=features[:, 1:] + noise[1])
        costs.append(objectives.Whitening(noise=1e-8)(x))
    assert costs[0] < 0.01
    assert costs[1] > 0.5


@pytest.mark.parametrize("name", ["Barlow Twins", "whitening", "InfoNCE"])
def test_views_that_disagree_cost(name):
    healthy = outcome()
    other = outcome(predicted=jax.random.normal(jax.random.key(7), healthy.predicted.shape))
    objective = APART[name]("features")
    assert objective(healthy) < objective(other) - 0.1


def test_normal_samples_are_what_normality_asks_for():
    """Both are 0 for the distribution itself, and see a shifted, a wider and a two-sided one of the same variance."""
    normal = jax.random.normal(KEY, (4000, FRAMES, SIZE))
    odd = [normal + 0.5, 2 * normal, jnp.where(normal[..., :1] > 0, 1.0, -1.0) + 0.1 * normal]
    for objective in (objectives.SIGReg(), objectives.SlicedWasserstein()):
        values = [objective(outcome(x, context=normal)) for x in (normal, *odd)]
        assert values[0] < 1e-3
        assert min(values[1:]) > 20 * values[0]


def test_epps_and_pulley_agrees_with_a_finer_integral():
    x = np.asarray(jax.random.normal(KEY, (200, 1))) * 1.3 + 0.2
    t = np.linspace(-3, 3, 4001)
    gap = np.abs(np.mean(np.exp(1j * t * x), axis=0) - np.exp(-(t**2) / 2)) ** 2
    exact = np.trapezoid(gap * np.exp(-(t**2) / 2), t)
    np.testing.assert_allclose(epps_pulley(jnp.asarray(x))[0], exact, rtol=5e-3)


def test_barlow_twins_is_the_published_one_divided_by_the_size():
    healthy = outcome(predicted=outcome().encoded.features[:, 1:] + 0.3)
    one, other = (np.asarray(x).reshape(-1, SIZE) for x in (healthy.predicted, healthy.encoded.features[:, 1:]))
    one, other = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (one, other))
    k = one.T @ other / len(one)
    published = np.sum((1 - np.diag(k)) ** 2) + 5e-3 * (np.sum(k**2) - np.sum(np.diag(k) ** 2))
    np.testing.assert_allclose(objectives.BarlowTwins()(healthy), published / SIZE, rtol=1e-2, atol=1e-6)


def test_infonce_needs_times_apart_too():
    """Features that know only the film cannot tell its times apart; the context need not."""
    layout = outcome(features=outcome().encoded.context)
    assert objectives.InfoNCE()(layout) > np.log(FRAMES - 1) - 1e-3
    assert objectives.InfoNCE("context")(layout) < 1.0


def test_straight_paths_are_straight():
    line = jnp.cumsum(jnp.ones((FILMS, FRAMES, SIZE)), axis=1)
    assert objectives.Straightening()(outcome(line)) == pytest.approx(0, abs=1e-5)
    zigzag = line * jnp.where(jnp.arange(FRAMES) % 2, 1.0, -1.0)[:, None]
    assert objectives.Straightening()(outcome(zigzag)) > 1.9


@pytest.mark.parametrize("name", DISTILLING)
def test_nothing_is_learned_through_a_target(name):
    """The slope by what is guessed is zero where only the target depends on it."""
    healthy = outcome()
    objective = DISTILLING[name]("features")

    def loss(targets):
        x = eqx.tree_at(lambda o: (o.targets, o.encoded), healthy, (targets, targets))
        return objective(x)

    slope = jax.grad(loss)(healthy.encoded)
    assert not jnp.any(slope.features != 0)


def test_what_is_missing_is_named():
    bare = objectives.Outcome(outcome().encoded, outcome().predicted, outcome().actions)
    for objective, remedy in (
        (objectives.SIGReg(), "joint_loss"),
        (DISTILLING["distillation"]("features"), "target=ebm.Average"),
        (DISTILLING["masked distillation"]("features"), "hidden"),
    ):
        with pytest.raises(ValueError, match=remedy):
            objective(bare)
    with pytest.raises(ValueError, match="`basis` must be in"):
        objectives.draw_subspaces(2, 4, 5, key=KEY)


@pytest.mark.parametrize("name", ["covariance", "coding rate"])
def test_saying_one_thing_twice_costs(name):
    healthy = outcome()
    twice = healthy.encoded.features.at[..., 1].set(healthy.encoded.features[..., 0])
    assert ALL[name](healthy) < ALL[name](outcome(twice)) - 0.01


def test_a_layout_has_variance_but_none_within_a_film():
    layout = outcome(features=outcome().encoded.context)
    assert objectives.Variance()(layout) < 0.2
    assert objectives.FilmVariance()(layout) > 0.5
    assert objectives.CodingRate(within=True)(layout) > objectives.CodingRate()(layout) + 2.0
    assert objectives.Constancy("features")(layout) == pytest.approx(0, abs=1e-6)
    assert objectives.TimeSimilarity()(layout) == 0


def test_what_both_blocks_say_costs():
    healthy = outcome()
    assert objectives.CrossCovariance()(outcome(context=healthy.encoded.features)) > 5 * objectives.CrossCovariance()(healthy)


def test_covariance_is_that_of_vicreg_but_for_its_normalisation():
    healthy = outcome()
    c = np.cov(np.asarray(healthy.encoded.features).reshape(-1, SIZE), rowvar=False)
    published = (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / SIZE
    np.testing.assert_allclose(objectives.Covariance()(healthy) * (SIZE - 1), published, rtol=1e-4)


def test_a_coding_rate_is_a_volume():
    healthy = outcome()
    rotation = jnp.linalg.qr(jax.random.normal(KEY, (SIZE, SIZE)))[0]
    turned = outcome(healthy.encoded.features @ rotation)
    np.testing.assert_allclose(objectives.CodingRate()(turned), objectives.CodingRate()(healthy), rtol=1e-4)
    double = outcome(2 * healthy.encoded.features)
    np.testing.assert_allclose(objectives.CodingRate(noise=0.0)(double), objectives.CodingRate(noise=0.0)(healthy) - np.log(4), rtol=1e-3)


def test_a_target_that_is_stopped_does_not_learn():
    def loss(features, stopped):
        return objectives.Prediction(stopped)(outcome(features, predicted=jnp.zeros((FILMS, FRAMES - 1, SIZE))))

    features = outcome().encoded.features
    assert jnp.any(jax.grad(loss)(features, False) != 0)
    assert not jnp.any(jax.grad(loss)(features, True) != 0)


def test_inverse_dynamics_can_be_learned():
    """Where features add up to actions, a few steps of descent already help."""
    base = outcome()
    moved = jnp.concatenate([jnp.zeros((FILMS, 1, 2)), jnp.cumsum(base.actions, axis=1)], axis=1)
    told = objectives.Outcome(
        ebm.Representation(jnp.concatenate([moved, moved], axis=-1), base.encoded.context), base.predicted, base.actions
    )
    objective = objectives.InverseDynamics(SIZE, 2, key=KEY)
    first = objective(told)
    for _ in range(100):
        slope = eqx.filter_grad(lambda o: o(told))(objective)
        objective = eqx.apply_updates(objective, jax.tree.map(lambda g: -0.1 * g, slope))
    assert objective(told) < 0.2 * first


def test_a_composition_weighs_names_and_ramps():
    weigh = objectives.Weighted
    both = objectives.Composition({"a": weigh(objectives.Variance(), 2.0), "b": weigh(objectives.Covariance(), 4.0, 8.0)})
    total, parts = both(outcome(), 0.5)
    np.testing.assert_allclose(total, 2 * parts["a"] + 6 * parts["b"], rtol=1e-6)
    alone, parts = both.without("a")(outcome(), 0.0)
    np.testing.assert_allclose(alone, 4 * parts["b"], rtol=1e-6)
    with pytest.raises(ValueError, match="'c': a, b"):
        both.without("c")


def test_pulls_are_shares_and_grow_with_the_weight():
    weigh = objectives.Weighted
    terms = {"a": weigh(objectives.Covariance(), 2.0), "b": weigh(objectives.CodingRate(), 1.0), "c": weigh(objectives.Constancy(), 0.0)}
    pull = objectives.Composition(terms).pull(outcome())
    np.testing.assert_allclose(sum(pull.values()), 1.0, rtol=1e-5)
    assert pull["c"] == 0
    more = objectives.Composition(terms | {"a": weigh(objectives.Covariance(), 20.0)}).pull(outcome())
    np.testing.assert_allclose(more["a"] / more["b"], 10 * pull["a"] / pull["b"], rtol=1e-4)


def test_published_weights_add_up_to_published_losses():
    """VICReg on two views, as its code computes it; and Barlow Twins."""
    x = np.asarray(jax.random.normal(KEY, (4000, 2, SIZE))) @ np.array([[0.5, 0.2, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.3, 0.3], [0, 0, 0, 2.0]])
    one, other = x[:, 0], x[:, 1]
    variance = np.mean([np.maximum(0, 1 - np.sqrt(v.var(axis=0, ddof=1) + 1e-4)).mean() for v in (one, other)])
    spreads = [np.cov(v, rowvar=False) for v in (one, other)]
    covariance = sum((np.sum(c**2) - np.sum(np.diag(c) ** 2)) / SIZE for c in spreads)
    loss = 25 * np.mean((one - other) ** 2) + 25 * variance + covariance
    seen = jnp.asarray(x, jnp.float32)
    context = jnp.zeros((4000, 2, SIZE))
    films = objectives.Outcome(ebm.Representation(seen, context), seen[:, :1], jnp.zeros((4000, 1, 1)))
    np.testing.assert_allclose(objectives.Composition(objectives.vicreg(SIZE))(films)[0], loss, rtol=0.02)
    keyed = eqx.tree_at(lambda o: o.key, films, KEY, is_leaf=lambda x: x is None)
    for terms in (objectives.eb_jepa(), objectives.pldm(), objectives.lejepa(4000)):
        assert jnp.isfinite(objectives.Composition(terms)(keyed)[0])
    normalised = [(v - v.mean(axis=0)) / v.std(axis=0) for v in (one, other)]
    k = normalised[0].T @ normalised[1] / len(x)
    barlow = 0.024 * (np.sum((1 - np.diag(k)) ** 2) + 5e-3 * (np.sum(k**2) - np.sum(np.diag(k) ** 2)))
    context = objectives.Outcome(ebm.Representation(context, seen), context[:, :1], jnp.zeros((4000, 1, 1)))
    np.testing.assert_allclose(objectives.Composition(objectives.barlow_twins(SIZE, "context"))(context)[0], barlow, rtol=5e-3)


def test_looking_ahead_pays_when_what_comes_was_in_sight_before():
    """What is shown for one frame comes back three frames later."""

    class Echo(nets.AbstractPredictor):
        def __call__(self, features, action, condensed):
            return features

    shown = jax.random.normal(KEY, (FILMS, 3, SIZE))
    echoed = jnp.concatenate([shown, shown[:, : FRAMES - 3]], axis=1)
    standard = (echoed - echoed.mean(-1, keepdims=True)) / echoed.std(-1, keepdims=True)
    at = {steps: float(objectives.Ahead(Echo(), steps)(outcome(standard, predicted=standard[:, 1:]))) for steps in (1, 2, 3)}
    assert at[3] < 1e-6
    assert min(at[1], at[2]) > 1.0
    moved = jax.grad(lambda features: objectives.Ahead(Echo(), 3)(outcome(features, predicted=features[:, 1:])))(standard + 0.1)
    assert not moved[:, 3:].any()  # what came is a target only
    with pytest.raises(ValueError, match="Lower `steps`"):
        objectives.Ahead(Echo(), FRAMES)(outcome())
