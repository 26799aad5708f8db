import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import ENERGY, GOAL, KEY, MODELS, RAILS, UNSURE, evaluate, plainly, problem
from worlds import PointMass, actions, assert_close, counted, now, point, slope, trajectory, weak

import ebm


class LargestAction(ebm.AbstractEnergy[ebm.Trajectory]):
    def __call__(self, x):
        return jnp.max(jnp.abs(x.actions))


class Everywhere(ebm.AbstractStageEnergy):
    """The same value at every stage: for energies that are no numbers."""

    value: jax.Array = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32))

    def stage(self, state, action, previous_action, time):
        return self.value

    def final(self, state, time):
        return jnp.float32(0.0)


class Command(ebm.AbstractGuardrail):
    """Which action, from which one, at which time: to see what a guardrail is given."""

    name: str = eqx.field(static=True)
    index: int = eqx.field(static=True)
    scale: jax.Array = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=1.0)

    def stage(self, state, action, previous_action, time):
        return (state.position[0], action[0], previous_action[0], time)[self.index]


PROBLEMS = {
    "certain": problem(MODELS["certain"]),
    "drift": problem(MODELS["drift"]),
    "one draw": problem(),
    "mean": problem(num_latents=3, guardrails=()),
    "worst": problem(num_latents=3, risk=ebm.WorstCase(), energy=ENERGY + LargestAction()),
    "cvar": problem(num_latents=4, risk=ebm.CVaR(0.6)),
    "entropic": problem(num_latents=3, risk=ebm.Entropic(0.5)),
}
every = pytest.mark.parametrize("case", PROBLEMS.values(), ids=PROBLEMS.keys())


@eqx.filter_jit
def evaluate_batch(case, batch):
    return jax.vmap(lambda planned: plainly(case, planned))(batch)


@eqx.filter_jit
def gradients(case):
    def outcome(planned):
        judged = plainly(case, planned)
        return judged.energy, judged.mean_violation

    return jax.jacrev(outcome)(actions())


@every
def test_terms_sum_to_the_energy(case):
    judged = evaluate(case)
    assert jnp.allclose(sum(judged.terms.values()), judged.energy, rtol=1e-5)
    assert {"reach", "effort", "smoothness", "terminal_velocity"} <= judged.terms.keys()
    assert ("risk" in judged.terms) == (case.num_latents > 1)


@every
def test_a_summary_of_several_worlds_is_the_risk_of_each(case):
    if case.num_latents == 1:
        latents = [case.model.sample_latents(5, key=KEY)]
    else:
        latents = [case.model.sample_latents(5, key=key) for key in jax.random.split(KEY, case.num_latents)]
    xs = [ebm.Trajectory(case.model.rollout(point(), actions(), z), actions(), now(2, (0.1, 0.1)), case.dt) for z in latents]
    judged = evaluate(case)
    assert jnp.allclose(judged.energy, case.risk(jnp.stack([eqx.filter_jit(case.energy)(x) for x in xs])), rtol=1e-4)
    assert_close(judged.trajectory, xs[0])
    assert_close(judged.latents, latents[0])
    for rail in case.guardrails:
        worst = jnp.full(5, -jnp.inf)
        for x in xs:
            after = jax.tree.map(lambda leaf: leaf[1:], x.states)
            worst = jnp.maximum(worst, jax.vmap(rail.stage)(after, x.actions, x.previous_actions, x.times[1:]) / rail.scale)
        assert jnp.allclose(judged.violations[rail.name], worst, rtol=1e-4, atol=1e-5)


@every
def test_violations_have_a_name_and_a_step(case):
    judged = evaluate(case)
    assert judged.violations.keys() == {rail.name for rail in case.guardrails}
    assert all(value.shape == (5,) for value in judged.violations.values())
    if case.guardrails:
        assert judged.violation == max(value.max() for value in judged.violations.values())
        assert jnp.allclose(judged.mean_violation, sum(jnp.maximum(value, 0.0).mean() for value in judged.violations.values()))
    else:
        assert judged.violation == -jnp.inf
        assert judged.mean_violation == 0


def test_guardrails_see_the_state_an_action_leads_to():
    rails = [Command(name, i, scale=0.5) for i, name in enumerate(("x", "action", "previous", "time"))]
    judged = evaluate(problem(MODELS["certain"], guardrails=rails))
    states, x = judged.trajectory.states, judged.trajectory
    assert_close(judged.violations["x"], states.position[1:, 0] / 0.5)
    assert_close(judged.violations["action"], actions()[:, 0] / 0.5)
    assert_close(judged.violations["previous"], x.previous_actions[:, 0] / 0.5)
    assert_close(judged.violations["time"], x.times[1:] / 0.5)


@every
def test_all_types_are_float32_and_strong(case):
    judged = evaluate(case)
    outcome = judged, judged.violation, judged.mean_violation
    assert not weak(outcome)
    assert {leaf.dtype for leaf in jax.tree.leaves(outcome) if jnp.issubdtype(leaf.dtype, jnp.inexact)} == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["certain", "worst"])
def test_compiled_is_the_same(name):
    assert_close(evaluate(PROBLEMS[name]), plainly(PROBLEMS[name]), rtol=1e-4, atol=1e-5)


CHANGES = 1e-2 * jnp.eye(10).reshape(10, 5, 2)
BATCH = jnp.concatenate([actions() + CHANGES, actions() - CHANGES, jnp.stack([actions(seed=seed) for seed in range(1, 4)])])


@every
def test_a_batch_is_a_loop(case):
    judged = evaluate_batch(case, BATCH)
    loop = [evaluate(case, planned) for planned in BATCH[-3:]]
    assert_close(jax.tree.map(lambda leaf: leaf[-3:], judged), jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop), rtol=1e-4, atol=1e-5)
    assert judged.violation.shape == judged.mean_violation.shape == judged.energy.shape == (23,)
    assert_close(judged.violation[-3:], jnp.stack([one.violation for one in loop]), rtol=1e-4, atol=1e-5)
    assert_close(judged.mean_violation[-3:], jnp.stack([one.mean_violation for one in loop]), rtol=1e-4, atol=1e-5)


@every
def test_gradients_are_those_of_finite_differences(case):
    judged = evaluate_batch(case, BATCH)
    for analytic, values, tolerance in zip(gradients(case), (judged.energy, judged.mean_violation), (2e-3, 1e-2), strict=True):
        numeric = ((values[:10] - values[10:20]) / 2e-2).reshape(5, 2)
        assert jnp.allclose(analytic, numeric, rtol=2e-2, atol=tolerance)


def test_gradients_reach_goals_weights_limits_risk_and_physics():
    case = problem(num_latents=3, risk=ebm.CVaR(0.5))
    arrays, rest = eqx.partition(case, eqx.is_inexact_array)
    slopes = jax.jit(jax.grad(lambda arrays: evaluate(eqx.combine(arrays, rest)).energy))(arrays)
    reach = slopes.energy.parts[0]
    for leaf in (reach.goal, reach.tolerance, *slopes.energy.weights, slopes.model.mass, slopes.risk.alpha):
        assert jnp.isfinite(leaf).all()
        assert (leaf != 0).all()

    def of_goal(goal):
        return evaluate(case.with_goal(goal, "reach")).energy

    assert jnp.allclose(reach.goal, slope(of_goal, jnp.array(GOAL)), rtol=1e-2)


def test_all_candidates_meet_the_same_worlds():
    case = PROBLEMS["cvar"]
    judged = evaluate_batch(case, jnp.stack([actions(), actions(), actions(seed=1)]))
    assert judged.energy[0] == judged.energy[1]
    for leaf in jax.tree.leaves(judged.latents):
        assert (leaf == leaf[0]).all()
    assert evaluate(case, key=jax.random.key(9)).energy != evaluate(case).energy


def test_many_draws_of_a_certain_world_are_one():
    one, many = evaluate(problem(PointMass())), evaluate(problem(PointMass(), num_latents=4, risk=ebm.Entropic(0.1)))
    assert many.latents is None
    assert jnp.allclose(many.terms.pop("risk"), 0.0, atol=1e-4)
    assert_close(many.terms, one.terms, rtol=1e-4)
    assert_close(many.violations, one.violations)
    assert jnp.allclose(many.energy, one.energy, rtol=1e-4)
    assert_close(many.trajectory, one.trajectory)


BROKEN = PointMass(limit=0.7, uncertain=True)
CALM, WILD = jnp.full((4, 2), 0.5), jnp.full((4, 2), 0.5).at[2, 1].set(0.9)


@pytest.mark.parametrize("options", [{}, {"num_latents": 3, "risk": ebm.BestCase()}, {"num_latents": 3, "risk": ebm.Entropic()}])
def test_a_world_that_breaks_is_infinitely_bad(options):
    case = problem(BROKEN, **options)
    judged = evaluate(case, WILD)
    assert not judged.finite
    assert judged.energy == jnp.inf
    assert judged.violation == judged.mean_violation == jnp.inf
    assert all((value == jnp.inf).all() for value in judged.violations.values())
    calm = evaluate(case, CALM)
    assert calm.finite
    assert jnp.isfinite(calm.energy)
    batch = evaluate_batch(case, jnp.stack([CALM, WILD]))
    assert (batch.finite == jnp.array([True, False])).all()
    assert_close(jax.tree.map(lambda leaf: leaf[0], batch), calm, rtol=1e-4, atol=1e-5)


def test_a_broken_candidate_does_not_spoil_the_gradients_of_others():
    case = problem(BROKEN, num_latents=2)
    slopes = jax.jit(jax.vmap(jax.grad(lambda planned: evaluate(case, planned).energy)))(jnp.stack([CALM, WILD]))
    assert jnp.isfinite(slopes[0]).all()


def test_one_broken_draw_of_several_is_enough():
    class Fragile(ebm.AbstractWorldModel):
        """Breaks for heavy bodies only."""

        inner: PointMass
        action_space: ebm.Box = ebm.Box([-1.0, -1.0], [1.0, 1.0])
        dt: float = eqx.field(static=True, default=0.1)

        def example_state(self):
            return point()

        def step(self, state, action, latents=None):
            after = self.inner.step(state, action, latents)
            return eqx.tree_at(lambda s: s.velocity, after, jnp.where(latents.episode > 0.5, jnp.nan, after.velocity))

        def sample_latents(self, horizon, *, key):
            return self.inner.sample_latents(horizon, key=key)

    for risk in (ebm.BestCase(), ebm.CVaR(0.5)):
        judged = evaluate(problem(Fragile(UNSURE), num_latents=8, risk=risk), CALM)
        assert not judged.finite
        assert judged.energy == judged.violation == jnp.inf


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf])
def test_an_energy_that_is_no_number_is_not_finite(value):
    judged = evaluate(problem(energy=Everywhere(value)))
    assert not judged.finite
    assert judged.energy == jnp.inf


def test_a_guardrail_that_is_no_number_is_not_finite():
    nowhere = ebm.KeepBelow(lambda state: state.position * jnp.nan, 0.0, name="nowhere")
    for options in ({}, {"num_latents": 2}):
        judged = evaluate(problem(guardrails=(*RAILS, nowhere), **options))
        assert not judged.finite
        assert judged.energy == judged.violation == jnp.inf


def test_terms_and_violations_must_be_scalars():
    class Vector(ebm.AbstractEnergy[ebm.Trajectory]):
        def __call__(self, x):
            return x.actions[0]

        def terms(self, x):
            return {"vector": self(x)}

    with pytest.raises(ValueError, match="'vector' has shape"):
        evaluate(problem(energy=Vector()))

    class Both(ebm.AbstractGuardrail):
        name: str = eqx.field(static=True)
        scale: jax.Array

        def stage(self, state, action, previous_action, time):
            return state.position

    with pytest.raises(ValueError, match="'both' has shape"):
        evaluate(problem(guardrails=Both("both", jnp.float32(1.0))))


def test_new_values_do_not_retrace():
    compiled, traces = counted(lambda case, planned, moment, key: case.evaluate(point(), planned, moment, key=key))

    def make(weight, goal, limit, tolerance, rate):
        energy = weight * ebm.Reach("site:tip", goal, tolerance=tolerance) + ebm.Effort()
        return ebm.Problem(PointMass(weight), energy, ebm.KeepBelow("site:tip", limit), rate_limit=rate, num_latents=2, risk=ebm.CVaR(0.5))

    for i, case in enumerate(
        (make(1, [0, 0], 1, 1, 1), make(2.5, jnp.ones(2), 0.5, np.float64(0.1), [1.0, 2.0]), make(3, 1.0 * np.ones(2), 1, 1, 2))
    ):
        compiled(case, actions(), ebm.Now(i, np.zeros(2)), jax.random.key(i))
        compiled(case.with_goal([float(i), 2]), actions(), now(i), KEY)
    assert len(traces) == 1


def test_evaluations_can_be_carried_through_a_scan():
    case = problem(num_latents=2)

    def better(best, planned):
        judged = evaluate(case, planned)
        keep = best.energy < judged.energy
        return jax.tree.map(lambda a, b: jnp.where(keep, a, b), best, judged), judged.energy

    batch = jnp.stack([actions(seed=seed) for seed in range(4)])
    weakly = jnp.full((5, 2), 0.5)
    assert weakly.weak_type
    best, energies = jax.lax.scan(better, evaluate(case, weakly), batch)
    assert jnp.allclose(best.energy, jnp.minimum(energies.min(), evaluate(case, weakly).energy), rtol=1e-5)
    assert not weak(evaluate(case, weakly))


def test_problems_batch_over_their_leaves():
    masses = jnp.array([0.5, 1.0, 2.0])
    batch = eqx.filter_vmap(lambda mass: problem(PointMass(mass), rate_limit=mass))(masses)
    loop = [problem(PointMass(mass), rate_limit=mass) for mass in masses]
    assert_close(
        eqx.filter_vmap(evaluate)(batch), jax.tree.map(lambda *leaves: jnp.stack(leaves), *[evaluate(case) for case in loop]), rtol=1e-4
    )
    assert_close(jax.vmap(evaluate)(batch), eqx.filter_vmap(evaluate)(batch))


def test_a_batch_can_share_the_clock():
    moment = ebm.Now(4, jnp.array([[0.0, 0.0], [0.5, -0.5]]))
    axes = eqx.tree_at(lambda m: m.previous_action, jax.tree.map(lambda _: None, moment), 0, is_leaf=lambda leaf: leaf is None)
    judged = jax.vmap(lambda moment: evaluate(problem(), moment=moment).energy, in_axes=(axes,))(moment)
    loop = [evaluate(problem(), moment=ebm.Now(4, previous)).energy for previous in moment.previous_action]
    assert_close(judged, jnp.stack(loop))


def test_what_a_problem_provides():
    assert {"gradient", "linearize", "step", "stages"} <= problem().provides
    assert "stages" not in problem(energy=ENERGY + LargestAction()).provides
    assert "stages" not in problem(energy=LargestAction()).provides
    assert problem().dt == 0.1
    assert isinstance(hash(problem().dt), int)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: problem(guardrails=(ebm.KeepBelow("site:tip", 1.0), ebm.KeepBelow("site:tip", 2.0))), "share a name.*Pass `name=`"),
        (lambda: problem(num_latents=0), "`num_latents` must be a positive integer"),
        (lambda: problem(rate_limit=[1.0, 1.0, 1.0]), "one entry for each of 2 actuators"),
        (lambda: problem(rate_limit=-1.0), "must not be negative"),
        (lambda: problem(limits=ebm.Box([0.0], [1.0])), r"shape \(2,\) or \(periods, 2\)"),
        (lambda: problem(limits=ebm.Box([2.0, 0.0], [3.0, 1.0])), "leave no action"),
        (lambda: problem(rate_limit=jnp.nan), "must not be negative"),
    ],
)
def test_a_bad_problem_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_guardrails_may_be_one_a_list_or_none():
    rail = ebm.KeepBelow("site:tip", 1.0)
    assert problem(guardrails=rail).guardrails == problem(guardrails=[rail]).guardrails == (rail,)
    assert problem(guardrails=()).guardrails == ()


def test_trajectories_of_a_problem_are_those_of_its_model():
    judged = evaluate(problem(MODELS["certain"]), moment=now())
    assert_close(judged.trajectory, trajectory(MODELS["certain"]))
