import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from problems import problem
from worlds import actions, assert_close, now

import ebm

LIMITED = problem(rate_limit=[1.0, 4.0])  # 0.1 and 0.4 for each step of 0.1 s
NARROW = problem(limits=ebm.Box([-0.5, 0.1], [2.0, 0.2]))
SCHEDULED = problem(limits=ebm.Box([[-1.0, -1.0], [0.2, -0.1], [-0.3, 0.0]], [[1.0, 1.0], [0.4, 0.1], [0.3, 0.0]]))


project = eqx.filter_jit(lambda case, planned, moment: case.project(planned, moment))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("previous", [(0.0, 0.0), (3.0, -9.0), (jnp.nan, jnp.inf)])
@pytest.mark.parametrize("case", [LIMITED, NARROW, SCHEDULED, problem()], ids=["limited", "narrow", "scheduled", "free"])
def test_a_projection_is_executable_and_changes_nothing_twice(case, previous, seed):
    moment = now(0, previous)
    wild = 3.0 * jax.random.normal(jax.random.key(seed), (12, 2))
    wild = wild.at[3].set(jnp.nan).at[5, 0].set(jnp.inf).at[7, 1].set(-jnp.inf)
    done = project(case, wild, moment)
    assert case.action_space.contains(done)
    assert (project(case, done, moment) == done).all()
    start = case.action_space.clip(moment.previous_action)
    if case.rate_limit is not None:
        assert (jnp.abs(jnp.diff(jnp.concatenate([start[None], done]), axis=0)) <= jnp.array([0.1, 0.4]) + 1e-6).all()
    assert jnp.allclose(project(case, done[1:], ebm.Now(1, done[0])), done[1:])
    assert done.dtype == jnp.float32


def test_what_is_executable_is_left_alone_and_limits_bind_step_by_step():
    gentle = jnp.cumsum(jnp.full((5, 2), 0.05), axis=0)
    assert jnp.allclose(project(LIMITED, gentle, now()), gentle)
    ramp = project(LIMITED, jnp.ones((4, 2)), now())
    assert jnp.allclose(ramp, jnp.array([[0.1, 0.4], [0.2, 0.8], [0.3, 1.0], [0.4, 1.0]]))
    assert (problem(rate_limit=0.0).project(jnp.ones((4, 2)), now(0, (0.3, 0.2))) == jnp.array([0.3, 0.2])).all()
    assert_close(problem(rate_limit=jnp.inf).project(actions(), now()), actions())


def test_limits_hold_at_their_time_and_the_last_ones_stay():
    ones = jnp.ones((4, 2))
    both = problem(limits=SCHEDULED.limits, rate_limit=[1.0, 4.0])
    for found, expected in (
        (project(SCHEDULED, ones, now()), [[1.0, 1.0], [0.4, 0.1], [0.3, 0.0], [0.3, 0.0]]),
        (project(SCHEDULED, -ones, now(1)), [[0.2, -0.1], [-0.3, 0.0], [-0.3, 0.0], [-0.3, 0.0]]),
        (SCHEDULED.bounds(now(7), 2).high, [[0.3, 0.0], [0.3, 0.0]]),
        (NARROW.action_space.high, [1.0, 0.2]),  # the model allows no more than 1
        (NARROW.bounds(now(), 1).low, [[-0.5, 0.1]]),
        (project(both, ones, now()), [[0.1, 0.4], [0.2, 0.1], [0.3, 0.0], [0.3, 0.0]]),
        (both.relaxed(both.energy).limits.low, SCHEDULED.limits.low),
    ):
        assert_close(found, jnp.asarray(expected))
    assert SCHEDULED.action_space.low.shape == (2,)


def test_projections_batch():
    batch = jnp.stack([3 * actions(seed=seed) for seed in range(3)])
    loop = jnp.stack([project(LIMITED, planned, now()) for planned in batch])
    assert_close(jax.vmap(LIMITED.project, in_axes=(0, None))(batch, now()), loop)


def test_bounds_are_the_box_at_every_step():
    box = problem().bounds(now(), 7)
    assert box.low.shape == box.high.shape == (7, 2)
    assert (box.low == -1).all()
    assert box.contains(box.clip(10 * jnp.ones((3, 7, 2))))
    assert eqx.filter_jit(lambda case: case.bounds(now(), 3).high)(problem()).shape == (3, 2)
