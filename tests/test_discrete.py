"""Planning with finitely many actions."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Cart

import ebm
import envs
import planners

PUSHES = ebm.Discrete([[-5.0], [0.0], [5.0]])


def problem(goal=0.05):
    energy = ebm.Reach("joint:slider", goal, tolerance=0.05, name="goal") + 0.1 * ebm.Velocity("joint:slider", tolerance=0.5)
    return ebm.Problem(Cart(dt=0.1), energy, ebm.KeepBelow("joint:slider", 0.2, name="wall"))


def plan(planner, task, state=None):
    state = task.model.example_state() if state is None else state
    plan_state = planner.init(task, state, key=jax.random.key(0))
    return eqx.filter_jit(planner.plan)(task, state, plan_state, ebm.Now(0, jnp.zeros(1), 0.0))[0]


def best_of_all(task, depth, hold):
    sequences = np.array(list(itertools.product([-5.0, 0.0, 5.0], repeat=depth)), np.float32)
    actions = jnp.repeat(jnp.asarray(sequences)[..., None], hold, axis=1)
    values = jax.vmap(lambda a: task.evaluate(task.model.example_state(), a, ebm.Now(0, jnp.zeros(1)), key=jax.random.key(0)))(actions)
    return float(values.energy[planners.rank(values).best])


DISCRETE = [
    planners.CategoricalCEM(horizon=10, hold=2, num_samples=128, num_iterations=4, choices=PUSHES),
    planners.BeamSearch(horizon=10, hold=2, width=243, choices=PUSHES),
    planners.TreeSearch(horizon=10, hold=2, num_simulations=400, choices=PUSHES),
]


@pytest.mark.parametrize("planner", DISCRETE, ids=lambda p: type(p).__name__)
def test_the_best_of_all_sequences_is_found(planner):
    best = best_of_all(problem(), 5, 2)
    found = plan(planner, problem())
    assert set(np.unique(found.actions)) <= {-5.0, 0.0, 5.0}
    assert float(found.energy) <= 1.02 * best + 1e-4
    assert float(found.energy) >= best - 1e-4


def test_what_was_settled_before_can_be_found_wrong():
    task = problem(goal=-1.0)
    energies, begin = {}, task.model.example_state()
    improve = eqx.filter_jit(lambda planner, last: planner.plan(task, begin, last, ebm.Now(0, jnp.zeros(1), 0.0))[0])
    for renewed in (0.0, 0.5):
        planner = planners.CategoricalCEM(horizon=20, hold=1, num_samples=64, num_iterations=2, choices=PUSHES, renewed=renewed)
        # sure of something that is neither a choice held nor good: back and forth
        settled = jnp.array([[0.98, 0.01, 0.01], [0.01, 0.01, 0.98]])[jnp.arange(20) % 2]
        plan_state = planner.init(task, begin, key=jax.random.key(0))
        plan_state = eqx.tree_at(lambda s: s.probabilities, plan_state, settled)
        energies[renewed] = float(improve(planner, plan_state).energy)
    assert energies[0.5] < energies[0.0]


@pytest.mark.parametrize("planner", DISCRETE, ids=lambda p: type(p).__name__)
def test_guardrails_are_not_traded_for_a_goal_beyond(planner):
    found = plan(planner, problem(goal=1.0))
    assert float(jnp.max(found.violations["wall"])) <= 0.0
    assert found.result == planners.RESULTS.successful


def test_a_grid_spans_the_box_and_says_when_it_is_too_large():
    from planners._discrete import choices_of

    box = ebm.Box([-1.0, 0.0], [1.0, 4.0])
    task = eqx.tree_at(lambda p: p.model.action_space, envs.pendulum(), box)
    grid = choices_of(task, None, 3)
    assert grid.shape == (9, 2)
    np.testing.assert_allclose(grid.min(0), box.low)
    np.testing.assert_allclose(grid.max(0), box.high)
    with pytest.raises(ValueError, match="more than 1024"):
        choices_of(task, None, 40)
    with pytest.raises(ValueError, match="one column per actuator"):
        choices_of(task, PUSHES, 3)


@pytest.mark.parametrize("kind", [planners.BeamSearch, planners.TreeSearch])
def test_what_is_not_a_sum_over_time_is_refused(kind):
    class Whole(ebm.AbstractEnergy[ebm.Trajectory]):
        def __call__(self, x):
            return jnp.sum(x.actions**2)

    task = ebm.Problem(Cart(), Whole())
    with pytest.raises(ValueError, match="requires 'stages'"):
        kind().init(task, task.model.example_state(), key=jax.random.key(0))
