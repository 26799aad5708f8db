import warnings

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from worlds import counted

import ebm
import envs

NOTHING = np.zeros(1)
STILL = {"friction_spread": 0.0, "shove_rate": 0.0}


def made(**options):
    return gymnasium.make("CartTable-v0", **options).unwrapped


def episode(env, policy=lambda _: NOTHING, seed=0, options=None):
    observation, _ = env.reset(seed=seed, options=options)
    observations, rewards, history = [observation], [], []
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation))
        observations.append(observation)
        rewards.append(reward)
        history.append(info)
        if terminated or truncated:
            return np.stack(observations), np.array(rewards), history


def start(position=0.0, speed=0.0):
    return {"qpos": [position, 0.0, 0.0, 0.0, 0.0], "qvel": [speed, 0.0, 0.0, 0.0, 0.0]}


def drive(goal):
    """A servo with the force of the motor: towards the goal, with damping."""
    return lambda x: np.clip([40.0 * (goal - x[0]) - 14.0 * x[1]], -5.0, 5.0)


def test_gymnasium_accepts_it():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(made(view={"width": 32, "height": 18}))
    messages = [str(warning.message) for warning in caught]
    assert not [message for message in messages if "recommend using a symmetric and normalized space" not in message]  # ours is in newtons


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_copies_run_side_by_side(mode):
    # Processes that are not forked: JAX has threads.
    settings = {"vectorization_mode": mode, "vector_kwargs": {"context": "spawn"} if mode == "async" else {}}
    many = gymnasium.make_vec("envs:CartTable-v0", 2, mass=1.3, **settings)
    observations, _ = many.reset(seed=[3, 4])
    for _ in range(20):
        after = many.step(np.ones((2, 1), np.float32))[0]
    many.close()
    for row, seed in enumerate([3, 4]):
        env = made(mass=1.3)
        assert (env.reset(seed=seed)[0] == observations[row]).all()
        for _ in range(20):
            single = env.step(np.ones(1))[0]
        assert (single == after[row]).all()


def test_a_seed_decides_an_episode_whatever_was_before():
    first, second = made(), made()
    second.reset(seed=9)
    for ours, theirs in zip(episode(first, seed=5)[:2], episode(second, seed=5)[:2], strict=True):
        assert (ours == theirs).all()
    assert (episode(first, seed=6)[0][0] != episode(first, seed=5)[0][0]).any()


def test_doing_nothing_lets_it_fall_in_most_episodes():
    env = made(mass=1.3)
    assert sum(episode(env, seed=seed)[2][-1]["fallen"] for seed in range(50)) >= 25


def test_it_stands_still_where_it_is_put():
    for mass in (0.5, 1.0, 2.0):
        observations, _, history = episode(made(mass=mass, seconds=3, **STILL), options=start(0.3))
        assert np.abs(observations - observations[0]).max() < 1e-4
        assert not any(info["fallen"] for info in history)


def test_it_tips_over_the_edge_and_falls():
    for side in (1, -1):
        observations, rewards, history = episode(made(**STILL), options=start(0.8 * side, 0.5 * side))
        assert history[-1]["fallen"]
        assert observations[-1, 4] * side > 0.1
        assert rewards[-1] == 0.0
    env = made(**STILL)
    env.reset(options=start(0.9, 0.5))
    for _ in range(100):
        env.step(NOTHING)
    assert env.data.qpos[1] < -0.9 * env.data.body("goal").xpos[2]


def test_newtons_law_holds():
    for mass in (1.0, 1.3):
        env = made(mass=mass, **STILL)
        env.reset(options=start())
        for _ in range(25):
            observation, *_ = env.step([2.0])
        assert np.isclose(observation[1], 2.0 * 0.5 / mass, rtol=0.06)  # wheels and drag take some


def test_shoves_change_the_speed_and_leave_the_end_alone():
    env = made(seconds=20, shove_rate=2.0)
    shoves = np.array([info["shove"] for info in episode(env, drive(0.0), seed=1)[2]])
    assert 10 < (shoves != 0).sum() < 80
    assert np.abs(shoves).max() <= 0.3
    assert (shoves[-100:] == 0).all()
    other = np.array([info["shove"] for info in episode(env, drive(0.2), seed=1)[2]])
    assert (shoves == other).all()
    env.reset(seed=1)
    first = int(np.flatnonzero(shoves)[0])
    speeds = [env.step(NOTHING)[0][1] for _ in range(first + 1)]
    assert np.isclose(speeds[-1] - speeds[-2] if first else speeds[-1], shoves[first], atol=0.03)


def test_success_is_a_second_at_the_goal():
    env = made(seconds=5, **STILL)
    _, rewards, history = episode(env, drive(env.goal))
    assert env.success(history)
    assert np.isclose(rewards[-1], 1.0)
    assert not env.success(history[-100:])  # an episode that is not over
    spoilt = [*history[:-1], history[-1] | {"at_goal": False}]
    assert not env.success(spoilt)
    assert not env.success(episode(env)[2])


def test_the_goal_can_be_elsewhere():
    env = made(seconds=5, goal=-0.2, **STILL)
    _, _, history = episode(env, drive(-0.2))
    assert env.success(history)
    env.reset()
    assert env.data.body("goal").xpos[0] == -0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": 0.0}, "`mass` must be positive"),
        ({"friction_spread": 1.0}, "`friction_spread` must be"),
        ({"shove_rate": -1.0}, "must not be negative"),
        ({"goal": 1.0}, "`goal` must be within"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        envs.CartTableEnv(**options)


def test_the_plan_model_foresees_the_plant():
    problem, env = envs.cart_table(num_latents=1), made(**STILL)
    env.reset(options=start(0.2, 0.1))
    actions = np.random.default_rng(0).uniform(-3, 3, (25, 1)).astype(np.float32)
    imagined = problem.model.rollout(problem.model.state(env.data), jnp.asarray(actions))
    for t, action in enumerate(actions, start=1):
        env.step(action)
        assert np.allclose(env.data.qpos, imagined.qpos[t], atol=1e-4)


@eqx.filter_jit
def judged(problem, state, actions, key):
    return problem.evaluate(state, actions, ebm.Now(0, [0.0]), key=key)


def evaluation(problem, position, speed, force=0.0, horizon=30, seed=0):
    data = mujoco.MjData(problem.model.mj_model)
    data.qpos[0], data.qvel[0] = position, speed
    state = problem.model.state(data)
    return judged(problem, state, jnp.full((horizon, 1), force), jax.random.key(seed))


def test_the_guardrail_is_violated_when_a_wheel_leaves_the_table():
    problem = envs.cart_table()
    assert evaluation(problem, 0.95, 0.0).violation < 0
    assert evaluation(problem, 0.9, 0.5).violation > 0
    assert evaluation(problem, -0.9, -0.5).violation > 0
    assert evaluation(envs.cart_table(guarded=False), 0.9, 0.5).violation == -jnp.inf


def test_the_guardrail_expects_a_heavier_cart():
    # braking with all force just suffices for 1 kg, and not for 1.3 kg
    speed = 1.2
    position = 1.0 - 0.02 - speed**2 / (2 * 5.0) - 0.01
    certain = envs.cart_table(num_latents=1)
    certain = ebm.Problem(certain.model.randomise({"mass": (1.0, 1.0)}), certain.energy, certain.guardrails[:1])
    assert evaluation(certain, position, speed, force=-5.0, horizon=15).violation < 0
    uncertain = evaluation(envs.cart_table(num_latents=8), position, speed, force=-5.0, horizon=15)
    assert uncertain.violations["wheels stay on the table"].max() > 0


@pytest.mark.parametrize("latency", [0.0, 0.05])
def test_room_to_brake_suffices_for_the_worst_shove(latency):
    # at the border of the guardrail: a shove of the largest size, the time until brakes take effect, and full braking of the heaviest cart
    problem = envs.cart_table(latency=latency)
    room = problem.guardrails[1]
    for position in (0.5, 0.8, 0.94):
        speeds = jnp.linspace(-0.3, 3.0, 2000)
        states = [problem.model.state(qpos=np.r_[position, np.zeros(4)], qvel=np.r_[float(v), np.zeros(4)]) for v in speeds[::100]]
        allowed = [s.qvel[0] for s in states if float(room.stage(s, jnp.zeros(1), jnp.zeros(1), jnp.zeros(()))) <= 0]
        fastest = max(allowed) + 0.3
        travelled = fastest * (0.02 + latency) + fastest**2 / (2 * 5.0 / 1.6)
        assert position + 0.02 + travelled <= 1.0 + 1e-5
        assert len(allowed) < len(states)


def test_the_goal_is_the_best_place():
    problem = envs.cart_table()
    energies = [evaluation(problem, position, 0.0).energy for position in (0.95, 0.9, 0.0)]
    assert energies[0] < energies[1] < energies[2]
    assert evaluation(problem.with_goal(0.0, name="goal"), 0.0, 0.0).energy < 0.1


def test_new_goals_and_masses_do_not_retrace():
    def energy(problem):
        state = problem.model.example_state()
        return problem.evaluate(state, jnp.zeros((5, 1)), ebm.Now(0, [0.0]), key=jax.random.key(0)).energy

    evaluate, traces = counted(energy)
    for problem in (envs.cart_table(), envs.cart_table(goal=0.5, mass=1.2), envs.cart_table().with_goal(0.1, name="goal")):
        evaluate(problem)
    assert len(traces) == 1
