import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import PointMass, assert_close, counted, now, slope, trajectory

import ebm

X = trajectory(moment=now(3, (0.1, 0.2)))
REACH = ebm.Reach("site:tip", [1.0, 0.5])
EFFORT = ebm.Effort(0.5)
SMOOTH = ebm.Smoothness([0.5, 2.0])


class Whole(ebm.AbstractEnergy[ebm.Trajectory]):
    """Not a sum over time: the largest action."""

    def __call__(self, x):
        return jnp.max(jnp.abs(x.actions))


class Cubic(ebm.AbstractStageEnergy):
    """Over time, but no sum of squares."""

    def stage(self, state, action, previous_action, time):
        return jnp.sum(state.read("site:tip") ** 3)

    def final(self, state, time):
        return time * jnp.sum(state.read("site:tip"))


class Match(ebm.AbstractConditionalEnergy):
    """How far y is from a multiple of x."""

    factor: jax.Array

    def __call__(self, x, y):
        return jnp.sum((y - self.factor * x) ** 2)


PARTS = [REACH, EFFORT, SMOOTH, Whole(), Cubic(), ebm.Terminal(REACH)]


def total(energy, x=X):
    return sum(energy.terms(x).values())


@pytest.mark.parametrize("a", PARTS)
@pytest.mark.parametrize("b", PARTS[:4])
def test_the_algebra_is_that_of_numbers(a, b):
    x, y = a(X), b(X)
    for energy, value in (
        (a + b, x + y),
        (a - b, x - y),
        (2 * a, 2 * x),
        (a * 0.5, 0.5 * x),
        (a / 4, x / 4),
        (-a, -x),
        (3 * (a - 2 * b) / 4 + a, 3 * (x - 2 * y) / 4 + x),
        (sum([a, b, a]), 2 * x + y),
    ):
        assert jnp.allclose(energy(X), value, rtol=1e-4)
        assert jnp.allclose(total(energy), value, rtol=1e-4)


@pytest.mark.parametrize("weight", [2, 2.0, np.float64(2.0), np.float32(2.0), np.array(2.0), jnp.float32(2.0), jnp.asarray(2.0)])
def test_any_number_weighs(weight):
    for energy in (weight * REACH, REACH * weight, 4 * REACH / weight):
        assert isinstance(energy, ebm.AbstractStageEnergy)
        assert jnp.allclose(energy(X), 2 * REACH(X))
        assert [leaf.weak_type for leaf in energy.weights] == [False]


@pytest.mark.parametrize("weight", [np.ones(2), jnp.ones(2), jnp.ones((1, 1))])
def test_what_is_no_number_does_not_weigh(weight):
    with pytest.raises(ValueError, match="weighted by a scalar"):
        REACH * weight
    with pytest.raises(ValueError, match="weighted by a scalar"):
        weight * REACH


@pytest.mark.parametrize(
    "operation", [lambda: REACH + 1, lambda: 1 + REACH, lambda: REACH - 1, lambda: REACH * REACH, lambda: REACH / REACH]
)
def test_only_energies_add_and_only_numbers_multiply(operation):
    with pytest.raises(TypeError, match="unsupported operand"):
        operation()


def test_equal_names_add_up():
    near, far = ebm.Reach("site:tip", [0.0, 0.0]), ebm.Reach("site:tip", [5.0, 5.0])
    energy = near + 2 * far + EFFORT
    assert energy.terms(X).keys() == {"reach", "effort"}
    assert jnp.allclose(energy.terms(X)["reach"], near(X) + 2 * far(X))


def test_sums_are_flat():
    energy = sum([REACH, 2 * (EFFORT + SMOOTH), -(REACH - EFFORT)])
    assert len(energy.parts) == 5
    assert [float(weight) for weight in energy.weights] == [1.0, 2.0, 2.0, -1.0, 1.0]


def test_stages_are_closed_under_sums_and_weights():
    assert isinstance(2 * (REACH + Cubic()) - EFFORT / 3 + ebm.Terminal(REACH), ebm.AbstractStageEnergy)
    mixed = REACH + Whole()
    assert not isinstance(mixed, ebm.AbstractStageEnergy)
    assert not isinstance(mixed + EFFORT, ebm.AbstractStageEnergy)


def stages(energy, x):
    """The energy, by the definition: a loop over the stages and then the final cost."""
    value = 0.0
    for t in range(x.horizon):
        state = jax.tree.map(lambda leaf, t=t: leaf[t], x.states)
        value += energy.stage(state, x.actions[t], x.previous_actions[t], x.times[t]) * x.dt
    return value + energy.final(jax.tree.map(lambda leaf: leaf[-1], x.states), x.times[-1])


@pytest.mark.parametrize("energy", [p for p in PARTS if isinstance(p, ebm.AbstractStageEnergy)] + [REACH - 0.3 * SMOOTH + 2 * Cubic()])
def test_an_energy_is_the_sum_of_its_stages(energy):
    assert jnp.allclose(energy(X), stages(energy, X), rtol=1e-5)


def test_weights_are_leaves_and_changing_them_does_not_retrace():
    evaluate, traces = counted(lambda energy, x: energy(x))
    for a, b in ((1.0, 2.0), (np.float64(0.5), 3), (jnp.asarray(7.0), jnp.float32(1.0))):
        assert jnp.allclose(evaluate(a * REACH + b * EFFORT, X), a * REACH(X) + b * EFFORT(X), rtol=1e-5)
    assert len(traces) == 1
    for tick in range(3):
        evaluate(REACH + EFFORT, trajectory(moment=now(tick)))
    assert len(traces) == 1


def test_energies_are_differentiable_in_their_weights():
    slopes = jax.grad(lambda w: (w[0] * REACH + w[1] * Whole())(X))(jnp.array([1.0, 2.0]))
    assert jnp.allclose(slopes, jnp.array([REACH(X), Whole()(X)]))


def test_energies_are_differentiable_in_their_goals():
    def value(goal):
        return (2 * ebm.Reach("site:tip", goal, tolerance=1.0) + EFFORT)(X)

    assert jnp.allclose(jax.grad(value)(jnp.array([0.3, 0.2])), slope(value, jnp.array([0.3, 0.2])), rtol=1e-2)


def test_energies_batch_over_weights_and_trajectories():
    weights = jnp.array([0.0, 1.0, -2.0])
    batch = jax.vmap(lambda weight: (weight * REACH + EFFORT).terms(X))(weights)
    loop = [(weight * REACH + EFFORT).terms(X) for weight in weights]
    assert_close(batch, jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop))
    model = PointMass()
    xs = [trajectory(model, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *xs)
    assert jnp.allclose(jax.vmap(REACH + Whole())(stacked), jnp.stack([(REACH + Whole())(x) for x in xs]))


QUADRATIC = [
    REACH,
    ebm.Reach("site:tip", 1.0, axis="y"),
    EFFORT,
    SMOOTH,
    ebm.Posture("slider", 0.3),
    ebm.Velocity("site:tip"),
    ebm.Track("site:tip", [[0.0, 0.0], [1.0, 1.0]]),
    ebm.Terminal(REACH),
    REACH + 0.0 * EFFORT - 3 * ebm.Terminal(ebm.Velocity("site:tip", 0.1) + 2 * REACH),
]


@pytest.mark.parametrize("energy", QUADRATIC)
def test_residuals_are_the_energy_they_come_from(energy):
    state = jax.tree.map(lambda leaf: leaf[2], X.states)
    arguments = state, X.actions[2], X.previous_actions[2], X.times[2]
    r, weights = energy.stage_residual(*arguments)
    assert r.shape == weights.shape
    assert jnp.allclose(0.5 * jnp.sum(weights * r**2), energy.stage(*arguments), rtol=1e-4)
    r, weights = energy.final_residual(state, X.times[2])
    assert r.shape == weights.shape
    assert jnp.allclose(0.5 * jnp.sum(weights * r**2), energy.final(state, X.times[2]), rtol=1e-4)


@pytest.mark.parametrize(
    "energy", [Cubic(), REACH + Cubic(), 2 * (REACH - Cubic()), ebm.Terminal(Cubic()), REACH + ebm.Terminal(Cubic() + REACH)]
)
def test_one_term_that_is_no_square_leaves_no_residual(energy):
    state = jax.tree.map(lambda leaf: leaf[2], X.states)
    assert energy.stage_residual(state, X.actions[2], X.previous_actions[2], X.times[2]) is None
    assert energy.final_residual(state, X.times[2]) is None


def test_residuals_have_finite_derivatives_at_weight_zero():
    state = jax.tree.map(lambda leaf: leaf[2], X.states)

    def energy(weight):
        r, weights = (weight * REACH).stage_residual(state, X.actions[2], X.previous_actions[2], X.times[2])
        return 0.5 * jnp.sum(weights * r**2)

    assert jnp.allclose(jax.grad(energy)(0.0), energy(1.0))


def test_conditional_energies_have_the_same_algebra():
    once, twice = Match(jnp.float32(1.0)), Match(jnp.float32(2.0))
    x, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 3.0])
    energy = once + 0.5 * twice - sum([once, twice]) / 4
    expected = 0.75 * once(x, y) + 0.25 * twice(x, y)
    assert jnp.allclose(energy(x, y), expected)
    assert jnp.allclose(sum(energy.terms(x, y).values()), expected)
    assert jnp.allclose(energy.given(x)(y), expected)
    assert jnp.allclose(sum(energy.given(x).terms(y).values()), expected)


def test_a_conditional_energy_joins_plain_ones_once_x_is_given():
    once = Match(jnp.float32(1.0))
    x, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 3.0])
    assert jnp.allclose((once.given(x) + once.given(2 * x))(y), once(x, y) + once(2 * x, y))
    with pytest.raises(TypeError, match=r"call `given\(x\)`"):
        once + REACH
    with pytest.raises(TypeError, match=r"call `given\(x\)`"):
        REACH - once
