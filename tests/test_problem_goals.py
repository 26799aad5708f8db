import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from problems import ENERGY, GOAL, evaluate, problem
from worlds import actions, assert_close, now, point, weak

import ebm


def test_goal_axes_make_the_batch_they_describe():
    case = problem(energy=ebm.Reach("site:tip", GOAL) + ebm.Effort())
    batch = eqx.filter_vmap(case.with_goal, out_axes=ebm.goal_axes(case))(jnp.zeros((4, 2)))
    assert batch.energy.parts[0].goal.shape == (4, 2)
    assert batch.energy.weights[0].shape == batch.model.mass.shape == ()


TWO = problem(energy=ENERGY + 2 * ebm.Posture("slider", 0.1))


def test_with_goal_changes_one_goal_and_nothing_else():
    case = TWO.with_goal([0.0, 0.0], "reach")
    assert (case.energy.parts[0].goal == 0).all()
    back = case.with_goal(GOAL, name="reach")
    assert eqx.tree_equal(back, TWO)
    assert jax.tree.structure(case) == jax.tree.structure(TWO)
    assert not weak(case)
    reaching = problem(energy=2 * ebm.Reach("site:tip", GOAL) + ebm.Effort())
    assert jnp.allclose(
        evaluate(reaching.with_goal([0, 1])).energy, evaluate(problem(energy=2 * ebm.Reach("site:tip", [0, 1]) + ebm.Effort())).energy
    )


def test_goals_of_one_name_change_together():
    twice = problem(energy=ebm.Reach("site:tip", GOAL) + 3 * ebm.Terminal(ebm.Reach("site:tip", GOAL)))
    moved = twice.with_goal([1.0, 2.0])
    assert (moved.energy.parts[0].goal == jnp.array([1.0, 2.0])).all()
    assert (moved.energy.parts[1].term.goal == jnp.array([1.0, 2.0])).all()
    mixed = problem(energy=ebm.Reach("site:tip", GOAL) + ebm.Reach("site:tip", 0.0, axis="x"))
    with pytest.raises(ValueError, match="has shape"):
        mixed.with_goal([1.0, 2.0])


@pytest.mark.parametrize(
    ("case", "goal", "name", "message"),
    [
        (TWO, [0.0, 0.0], None, r"`name` is needed.*'posture', 'reach', 'velocity'"),
        (TWO, [0.0, 0.0], "grasp", r"no goal named 'grasp'.*'posture', 'reach', 'velocity'"),
        (TWO, [0.0, 0.0, 0.0], "reach", r"shape \(2,\), got \(3,\)"),
        (TWO, 0.0, "reach", r"shape \(2,\), got \(1,\)"),
        (problem(energy=ebm.Effort()), 0.0, None, "none"),
        (problem(energy=ebm.Effort()), 0.0, "reach", "none"),
        (problem(energy=ebm.Reach("site:tip", "joint:slider")), 0.0, None, "none"),
    ],
)
def test_a_goal_that_does_not_fit_is_refused(case, goal, name, message):
    with pytest.raises(ValueError, match=message):
        case.with_goal(goal, name)


def test_a_goal_that_follows_a_reading_is_replaced_by_its_name():
    following = problem(energy=ebm.Reach("site:tip", "site:tip", name="follow"))
    assert float(following.evaluate(point(), actions(), now(), key=jax.random.key(0)).energy) == 0.0
    fixed = following.with_goal([1.0, 2.0], "follow")
    plain = problem(energy=ebm.Reach("site:tip", [1.0, 2.0], name="follow"))
    energies = [float(p.evaluate(point(), actions(), now(), key=jax.random.key(0)).energy) for p in (fixed, plain)]
    assert energies[0] == pytest.approx(energies[1])


def test_goals_batch_and_nothing_else_does():
    goals = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
    following = ebm.Reach("joint:slider", lambda state: state.read("site:tip")[:1], name="follow")
    for energy in (ebm.Reach("site:tip", GOAL) + following, 2 * ebm.Terminal(ebm.Reach("site:tip", GOAL)) + ebm.Posture("slider", 0.1)):
        case = problem(energy=energy)
        axes = ebm.goal_axes(case)
        batch = eqx.filter_vmap(lambda goal, case=case: case.with_goal(goal, "reach"), out_axes=axes)(goals)
        assert batch.model.mass.shape == ()
        judged = eqx.filter_vmap(evaluate, in_axes=(axes,))(batch)
        loop = [evaluate(case.with_goal(goal, "reach")) for goal in goals]
        assert_close(judged, jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop), rtol=1e-4, atol=1e-5)
