"""The arm around the disc: what a seed decides, when it ends, and soft limits beside hard ones."""

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from envs import _disc_reach as reach


def made(seed=0):
    env = gymnasium.make("DiscReach-v0")
    env.reset(seed=seed)
    return env


def test_tip_and_target_lie_on_either_side_of_the_disc():
    env = made()
    inner = env.unwrapped
    for seed in range(20):
        env.reset(seed=seed)
        tip, target = inner.data.site("tip").xpos[:2], inner.data.mocap_pos[0, :2]
        assert tip[1] * target[1] < 0
        for place in (tip, target):
            angle, radius = np.arctan2(abs(place[1]), place[0]), np.linalg.norm(place)
            assert reach.ASIDE[0] - 1e-6 <= angle <= reach.ASIDE[1] + 1e-6
            assert reach.REACH[0] - 1e-6 <= radius <= reach.REACH[1] + 1e-6
            assert np.linalg.norm(place - reach.DISC) > reach.RADIUS
        assert not inner.terminated()


def test_entering_the_disc_ends_the_episode():
    env = made()
    shoulder, elbow = reach._angles(np.array([0.5, 0.0]), 1.0)
    env.reset(seed=0, options={"qpos": [shoulder, elbow]})
    *_, terminated, truncated, info = env.step(np.zeros(2, np.float32))
    assert terminated
    assert not truncated
    assert info["entered"]
    assert not env.unwrapped.success([info])


def test_success_is_being_there_at_the_end():
    env = made()
    there, gone = {"there": True, "entered": False}, {"there": False, "entered": False}
    steps = round(8.0 / reach.PERIOD)
    assert env.unwrapped.success([gone] * (steps - 10) + [there] * 10)
    assert not env.unwrapped.success([gone] * (steps - 5) + [there] * 5)
    assert not env.unwrapped.success([there] * (steps - 1))


def test_a_penalty_is_half_the_squared_violation_in_scales():
    env = made()
    problem = env.unwrapped.problem()
    (guardrail,) = problem.guardrails
    penalty = ebm.Penalty(guardrail)
    assert penalty.name == guardrail.name
    nothing = jnp.zeros(2)
    for depth, expected in ((0.03, 0.5), (0.06, 2.0), (-0.1, 0.0)):
        shoulder, elbow = reach._angles(np.array([reach.DISC[0] - reach.RADIUS + depth, 0.0]), 1.0)
        state = problem.model.state(qpos=np.array([shoulder, elbow]))
        assert float(penalty.stage(state, nothing, nothing, jnp.zeros(()))) == pytest.approx(expected, abs=1e-4)


def test_a_filter_keeps_out_what_a_reckless_controller_sends():
    from benchmarks._poses import last_word

    env = made()
    problem = env.unwrapped.problem()
    last, push = eqx.filter_jit(last_word(problem)), jnp.array([-1.0, 0.0])
    ends = {}
    for filtered in (False, True):
        env.reset(seed=0, options={"qpos": reach._angles(0.5 * np.array([np.cos(0.5), np.sin(0.5)]), 1.0), "qvel": [0.0, 0.0]})
        terminated, held, changed = False, jnp.zeros(2), False
        for tick in range(60):
            action = push
            if filtered:
                state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), problem.model.state(env.unwrapped.data))
                action, was = last(problem.relaxed(problem.energy), state, push, ebm.Now(tick, held, problem.dt))
                changed |= bool(was)
            terminated, held = env.step(np.asarray(action))[2], action
            if terminated:
                break
        ends[filtered] = terminated
    assert ends == {False: True, True: False}
    assert changed
