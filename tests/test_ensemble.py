"""An ensemble is one world with an unknown: what there is for uncertain worlds holds for its members."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scenes
from worlds import PointMass, actions, assert_close, counted, now, point, slope, trajectory

import ebm
import planners
from ebm import nets

KEY = jax.random.key(0)
MASSES = (0.5, 1.0, 3.0)
MODELS = [PointMass(mass) for mass in MASSES]
ENSEMBLE = ebm.Ensemble(MODELS)
REACH = ebm.Reach("site:tip", [1.0, 0.5], tolerance=0.5)


def true(index):
    return ebm.Latents(ebm.Member(jnp.int32(index)))


@pytest.mark.parametrize("index", range(len(MODELS)))
def test_the_latent_says_which_member_is_true(index):
    rolled = ENSEMBLE.rollout(point(), actions(), true(index))
    assert_close(rolled, MODELS[index].rollout(point(), actions()), rtol=1e-6)
    assert_close(ENSEMBLE.step(point(), actions()[0], true(index)), MODELS[index].step(point(), actions()[0]), rtol=1e-6)
    assert_close(ENSEMBLE.member(index), MODELS[index])


def test_nominal_is_the_first_member():
    assert_close(ENSEMBLE.rollout(point(), actions()), MODELS[0].rollout(point(), actions()), rtol=1e-6)
    assert_close(ENSEMBLE.linearize(trajectory(MODELS[0])), MODELS[0].linearize(trajectory(MODELS[0])), rtol=1e-5)
    assert_close(ENSEMBLE.example_state(), MODELS[0].example_state())


def test_the_engine_can_be_a_member():
    arm = scenes.build(scenes.ARM, 2, parameters={"mass": 1.0})
    arms = [arm.with_parameters({"mass": mass}) for mass in (0.5, 2.0)]
    forces = arm.action_space.sample((3,), key=KEY)

    @eqx.filter_jit
    def rolled(model, latents):
        return model.rollout(model.example_state(), forces, latents)

    for index, alone in enumerate(arms):
        assert_close(rolled(ebm.Ensemble(arms), true(index)), rolled(alone, None), rtol=1e-5)


def test_worlds_are_spread_evenly_over_members():
    @jax.jit
    def draw(key):
        return [ENSEMBLE.sample_worlds(4, count, key=key).episode.index for count in (1, 2, 3, 7)]

    drawn = [[np.asarray(indices) for indices in draw(key)] for key in jax.random.split(KEY, 20)]
    for _, two, three, seven in drawn:
        assert len(set(two.tolist())) == 2
        assert sorted(three) == [0, 1, 2]
        assert sorted(np.bincount(seven, minlength=3)) == [2, 2, 3]
    assert {int(one[0]) for one, *_ in drawn} == {0, 1, 2}


@pytest.mark.parametrize(
    ("risk", "summary"), [(ebm.Mean(), np.mean), (ebm.WorstCase(), np.max), (ebm.BestCase(), np.min), (ebm.CVaR(1 / 3), np.max)]
)
def test_a_risk_is_over_members(risk, summary):
    @eqx.filter_jit
    def judge(problem):
        return problem.evaluate(point(), actions(), now(), key=KEY).energy

    alone = [judge(ebm.Problem(model, REACH)) for model in MODELS]
    together = judge(ebm.Problem(ENSEMBLE, REACH, risk=risk, num_latents=3))
    np.testing.assert_allclose(together, summary(alone), rtol=1e-4)


def test_a_guardrail_holds_in_every_member():
    rail = ebm.KeepBelow("site:tip", 0.36, axis="x", name="wall")
    push = jnp.ones((5, 2)) * 0.8

    @eqx.filter_jit
    def judge(problem):
        return problem.evaluate(point(), push, now(), key=KEY).violations["wall"]

    alone = [judge(ebm.Problem(model, REACH, rail)) for model in MODELS]
    assert min(v.max() for v in alone) < 0 < max(v.max() for v in alone)
    together = judge(ebm.Problem(ENSEMBLE, REACH, rail, num_latents=3))
    np.testing.assert_allclose(together, np.max(alone, axis=0), rtol=1e-4, atol=1e-6)


def test_what_members_do_not_know_either_is_drawn_too():
    uncertain = [PointMass(mass, uncertain=True) for mass in MASSES]
    latents = ebm.Ensemble(uncertain).sample_latents(5, key=KEY)
    own = ebm.Latents(latents.episode.episode, latents.step)
    expected = uncertain[int(latents.episode.index)].rollout(point(), actions(), own)
    assert_close(ebm.Ensemble(uncertain).rollout(point(), actions(), latents), expected, rtol=1e-5)


def test_disagreement_is_how_far_members_are_apart():
    doubt = ebm.Disagreement(ENSEMBLE, "velocity:site:tip", scale=0.5)
    state, action = point(velocity=(0.0, 0.0)), jnp.array([0.6, 0.0])
    speeds = 0.1 * 0.6 / np.array(MASSES)
    expected = np.std(speeds) / np.sqrt(2) / 0.5  # one of two components differs
    np.testing.assert_allclose(doubt.stage(state, action, action, jnp.float32(0.0)), expected, rtol=1e-5)
    same = ebm.Disagreement(ebm.Ensemble([PointMass(), PointMass()]), "velocity:site:tip")
    assert same.stage(state, action, action, jnp.float32(0.0)) == 0


def test_disagreement_has_slopes_also_where_there_is_none():
    energy = ebm.Disagreement(ENSEMBLE, "velocity:site:tip")
    problem = ebm.Problem(ENSEMBLE, energy)

    @jax.jit
    def judge(planned):
        return problem.evaluate(point(velocity=(0.0, 0.0)), planned, now(), key=KEY).energy

    np.testing.assert_allclose(jax.grad(judge)(actions()), slope(judge, actions(), 1e-3), atol=2e-3)
    assert bool(jnp.all(jnp.isfinite(jax.grad(judge)(jnp.zeros((5, 2))))))


def test_doubt_and_curiosity_are_opposite():
    doubt = ebm.Disagreement(ENSEMBLE, "velocity:site:tip")
    planner = planners.planner("cem", horizon=3, num_samples=32)

    @eqx.filter_jit
    def effort(energy):
        problem = ebm.Problem(ENSEMBLE, energy)
        state = point(velocity=(0.0, 0.0))
        plan, _ = planner.plan(problem, state, planner.init(problem, state, key=KEY), now())
        return jnp.mean(jnp.abs(plan.actions))

    assert effort(1.0 * doubt) < 0.2 < 0.8 < effort(-1.0 * doubt)


def test_it_compiles_once_and_batches():
    def judge(ensemble, planned):
        problem = ebm.Problem(ensemble, REACH, risk=ebm.CVaR(), num_latents=3)
        return problem.evaluate(point(), planned, now(), key=KEY).energy

    compiled, traces = counted(judge)
    plans = jnp.stack([actions(seed=seed) for seed in range(3)])
    alone = jnp.stack([compiled(ENSEMBLE, planned) for planned in plans])
    compiled(ebm.Ensemble(MODELS[::-1]), plans[0])
    assert len(traces) == 1
    together = eqx.filter_jit(eqx.filter_vmap(judge, in_axes=(None, 0)))(ENSEMBLE, plans)
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def learned(count=3):
    encoder = nets.MLPEncoder((3,), 4, 8, 1, key=KEY)
    box = ebm.Box([-1.0, -1.0], [1.0, 1.0])
    predictors = [nets.ResidualPredictor(4, 2, 8, 1, key=key) for key in jax.random.split(KEY, count)]
    return [ebm.JEPA(encoder, predictor, box) for predictor in predictors]


def recurrent(count=3):
    """With one encoder and one memory, and predictors of their own."""
    models, memory = learned(count), nets.GRUMemory(6, 5, key=KEY)
    predictors = [nets.ResidualPredictor(4, 2, 8, 1, context_size=5, key=key) for key in jax.random.split(KEY, count)]
    return [ebm.RecurrentJEPA(models[0].encoder, memory, predictor, models[0].action_space) for predictor in predictors]


@pytest.mark.parametrize(
    ("name", "build", "perceiver"),
    [("cem", learned, ebm.Encoded()), pytest.param("mppi", recurrent, ebm.Filtering(), marks=pytest.mark.slow)],
)
def test_planners_work_on_learned_members_unchanged(name, build, perceiver):
    models = build()
    ensemble, perceiver = ebm.Ensemble(models), ebm.Nominal(perceiver)
    energy = ebm.Approach("features", jnp.zeros(4), tolerance=0.3) + 0.5 * ebm.Disagreement(ensemble)
    problem = ebm.Problem(ensemble, energy, risk=ebm.CVaR(0.5), num_latents=3)
    agent = planners.Agent(problem, planners.planner(name, horizon=3, num_samples=16), perceiver)
    action, plan, state = agent.decide(jnp.array([0.1, 0.2, 0.3]), agent.init(key=KEY))
    assert bool(problem.action_space.contains(action))
    assert {"approach", "disagreement", "risk"} == set(plan.terms)
    alone, _ = perceiver.perceiver.observe(models[0], perceiver.perceiver.init(models[0]), action, jnp.array([0.1, 0.2, 0.3]))
    assert_close(state.memory.state, alone)


def test_every_member_learns_and_nothing_else():
    models = learned(2)
    ensemble = ebm.Ensemble(models)
    learns = eqx.filter(ensemble, ebm.trainable(ensemble))
    assert not jax.tree.leaves((learns.action_space, learns.members.action_space))
    assert len(jax.tree.leaves(learns)) == len(jax.tree.leaves(eqx.filter(models[0], ebm.trainable(models[0]))))
    frames = jnp.arange(6.0).reshape(2, 3)
    codes = ensemble.each(lambda model: jax.vmap(model.encode)(frames).features)
    np.testing.assert_allclose(codes[1], jax.vmap(models[1].encode)(frames).features, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_members_learn_together_what_each_learns_alone():
    models = learned(2)
    frames, forces = jax.random.normal(KEY, (16, 4)), jax.random.uniform(KEY, (16, 2))

    def loss(model, batch, share, key):
        step = jax.vmap(lambda x, u: model.predictor(x, u, model.predictor.condense(jnp.zeros(0))))
        return jnp.mean((step(*batch) - jnp.roll(batch[0], 1, axis=1)) ** 2), {}

    def fit(loss, module):
        return ebm.fit(ebm.Trainer(loss, lambda key: (frames, forces), optax.adam(1e-2), 5, 5), module, key=KEY)

    together = fit(ebm.independently(loss), ebm.Ensemble(models))
    for i, model in enumerate(models):
        assert_close(together.member(i).predictor, fit(loss, model).predictor, rtol=1e-3, atol=1e-4)
        assert_close(together.member(i).encoder, model.encoder, rtol=0, atol=0)
        assert not np.allclose(together.member(i).predictor.network.last.weight, model.predictor.network.last.weight)


def test_bad_settings_say_so():
    with pytest.raises(ValueError, match="at least two"):
        ebm.Ensemble(MODELS[:1])
    with pytest.raises(ValueError, match="same settings"):
        ebm.Ensemble([PointMass(), PointMass(dt=0.2)])
    with pytest.raises(ValueError, match="same settings"):
        ebm.Ensemble([learned(2)[0], ebm.JEPA(learned(2)[0].encoder, nets.ResidualPredictor(4, 2, 9, 1, key=KEY), MODELS[0].action_space)])
    with pytest.raises(TypeError, match="Leave it out"):
        ebm.Nominal(ebm.Direct()).init(MODELS[0])
