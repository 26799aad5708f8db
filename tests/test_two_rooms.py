"""Two rooms: where one comes to, what is seen, what films there are, and how well it can be done."""

import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ebm
import envs
import planners

WALL, DOOR = 32.0, 20.0


def at(x, y, wall=WALL, door=DOOR):
    return envs.TwoRoomsState(jnp.array([x, y], jnp.float32), jnp.float32(wall), jnp.float32(door))


@pytest.mark.parametrize(
    ("start", "action", "end"),
    [
        ((10.0, 30.0), (1.0, -2.0), (11.0, 28.0)),  # nothing in the way
        ((30.0, 40.0), (2.0, 1.0), (30.7, 40.5)),  # the wall, 0.3 px from which it stops
        ((34.0, 40.0), (-2.0, 0.0), (33.3, 40.0)),  # from the other side
        ((30.5, 20.0), (2.0, 1.0), (32.5, 21.0)),  # the door
        ((32.5, 22.0), (2.0, 0.5), (34.5, 22.5)),  # and out of it
        ((32.0, 23.0), (0.0, 2.0), (32.0, 23.7)),  # its upper end, from within
        ((32.0, 17.0), (0.4, -2.0), (32.2, 16.3)),  # and its lower
        ((30.5, 23.0), (1.0, 4.0), (30.7, 25.0)),  # past the door: the wall beside it
        ((5.0, 30.0), (-2.0, 0.0), (4.3, 30.0)),  # the walls around
        ((59.0, 59.0), (1.0, 2.0), (59.5, 59.7)),  # the nearer of two
    ],
)
def test_a_step_ends_at_the_first_wall(start, action, end):
    after = envs.TwoRooms().step(at(*start), jnp.array(action))
    np.testing.assert_allclose(after.position, end, atol=1e-4)


def test_it_bounces_back_and_never_through():
    model, state = envs.TwoRooms(), at(30.5, 40.0)
    keys = jax.random.split(jax.random.key(0), 500)
    noise = jax.vmap(lambda key: model.sample_latents(1, key=key))(keys)
    after = jax.vmap(lambda noise: model.rollout(state, jnp.array([[2.0, 0.0]]), noise).position[-1])(noise)
    assert jnp.all((after[:, 0] <= WALL - 1.3 + 1e-4) & (after[:, 0] > 28.0))
    assert 0.4 < float(jnp.std(after[:, 1])) < 0.6
    assert float(jnp.std(after[:, 0])) > 0.1


def test_slips_go_to_either_side_as_often_as_they_are_likely():
    model, state = envs.TwoRooms(slip=0.2), at(15.0, 30.0)
    noise = jax.vmap(lambda key: model.sample_latents(1, key=key))(jax.random.split(jax.random.key(0), 4000))
    after = jax.vmap(lambda noise: model.rollout(state, jnp.array([[0.0, 2.0]]), noise).position[-1])(noise)
    sides, often = np.unique(np.round(after, 3), axis=0, return_counts=True)
    np.testing.assert_allclose(sides, [[9, 32], [15, 32], [21, 32]], atol=1e-3)
    np.testing.assert_allclose(often / 4000, [0.1, 0.8, 0.1], atol=0.02)
    still = jax.vmap(lambda noise: model.rollout(state, jnp.zeros((1, 2)), noise).position[-1])(noise)
    assert jnp.all(still == state.position)
    np.testing.assert_allclose(model.step(state, jnp.array([0.0, 2.0])).position, [15, 32])


def test_a_door_is_shut_as_often_as_it_is_likely_and_keeps_nobody_in():
    model = envs.TwoRooms(shut=0.7)
    noise = jax.vmap(lambda key: model.sample_latents(1, key=key))(jax.random.split(jax.random.key(0), 4000))

    def after(state, action):
        return jax.vmap(lambda noise: model.rollout(state, jnp.array([action]), noise).position[-1, 0])(noise)

    assert jnp.mean(after(at(30.5, 20.0), (2.0, 0.0)) == 32.5) == pytest.approx(0.3, abs=0.02)
    assert jnp.all(after(at(32.5, 20.0), (2.0, 0.0)) == 34.5)
    assert jnp.all(after(at(31.5, 20.0), (-2.0, 0.0)) == 29.5)


def test_an_environment_slips_too():
    env = gymnasium.make("TwoRooms-v0", slip=0.5, shut=0.5)
    places = {"position": [15.0, 30.0], "wall": 40.0}
    moved = []
    for seed in range(200):
        env.reset(seed=seed, options=places)
        moved.append(env.step(np.array([0.0, 2.0], np.float32))[4]["position"][0])
    assert np.mean(np.array(moved) != 15.0) == pytest.approx(0.5, abs=0.12)
    with pytest.raises(ValueError, match=r"`slip` must be in \[0, 1\]"):
        envs.TwoRoomsEnv(slip=1.5)


def test_what_is_seen_shows_where_things_are():
    dot, walls = envs.picture(at(20.25, 41.5))
    assert dot.dtype == walls.dtype == jnp.uint8
    assert dot.shape == walls.shape == (65, 65)
    weights = np.asarray(dot, float)
    y, x = np.mgrid[:65, :65]
    assert (weights * x).sum() / weights.sum() == pytest.approx(20.25, abs=0.02)
    assert (weights * y).sum() / weights.sum() == pytest.approx(41.5, abs=0.02)
    seen = np.asarray(walls) > 0
    assert seen[40, 31:34].all()
    assert not seen[16:25, 31:34].any()
    assert seen[15, 32]
    assert seen[25, 32]
    assert seen[4].all()
    assert seen[:, 60].all()
    assert not seen[40, 34:60].any()


@pytest.fixture(scope="module")
def films():
    return envs.draw_films(jax.random.key(0), 2000, 17, through_door=0.35, near_wall=0.25)


def test_films_keep_to_the_rooms(films):
    position, wall, door = (np.asarray(x) for x in (films.states.position, films.states.wall, films.states.door))
    assert position.shape == (2000, 17, 2)
    assert position.min() >= 4
    assert position.max() <= 60
    inside = (np.abs(position[..., 0] - wall) < 0.999) & (np.abs(position[..., 1] - door) > 4.001)
    assert not inside.any()
    east = position[..., 0] > wall
    film, frame = np.nonzero(east[:, 1:] != east[:, :-1])
    before, after = position[film, frame], position[film, frame + 1]
    share = (wall[film, frame] - before[:, 0]) / (after[:, 0] - before[:, 0])
    crossed = before[:, 1] + share * (after[:, 1] - before[:, 1])
    assert len(crossed) > 500
    # a bounce off a door jamb is no straight line, so the door counts with its margin
    assert np.abs(crossed - door[film, frame]).max() < 4.5


def test_films_are_what_was_asked_for(films):
    east = np.asarray(films.states.position[..., 0] > films.states.wall)
    assert (east.any(1) & ~east.all(1)).mean() == pytest.approx(0.36, abs=0.04)
    lengths = np.linalg.norm(films.actions, axis=-1)
    assert (lengths.min() >= 0.2) & (lengths.max() <= 1.8 + 1e-5)
    assert lengths.mean() == pytest.approx(1.0, abs=0.01)
    heading = np.unwrap(np.arctan2(films.actions[..., 1], films.actions[..., 0]), axis=1)
    assert np.cos(np.diff(heading)).mean() == pytest.approx(0.8934, abs=0.003)  # I₁(5) / I₀(5), of von Mises
    blocked = np.abs(np.diff(films.states.position, axis=1) - np.asarray(films.actions)).max(-1) > 1e-3
    rare = envs.draw_films(jax.random.key(0), 2000, 17)
    seldom = np.abs(np.diff(rare.states.position, axis=1) - np.asarray(rare.actions)).max(-1) > 1e-3
    assert blocked.mean() > 1.2 * seldom.mean()
    assert len(np.unique(np.asarray(films.states.wall))) == 25
    assert len(np.unique(np.asarray(films.states.door))) == 45


def test_films_follow_from_their_key():
    one, again, other = (envs.draw_films(jax.random.key(seed), 3, 5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.pictures(), again.pictures())
    assert not np.array_equal(one.actions, other.actions)
    np.testing.assert_array_equal(one.pictures()[1, 2], envs.picture(jax.tree.map(lambda leaf: leaf[1, 2], one.states)))
    fixed = envs.draw_films(jax.random.key(1), 3, 5, fixed=True)
    assert set(np.asarray(fixed.states.wall).ravel()) == {32.0}
    with pytest.raises(ValueError, match="frames"):
        envs.draw_films(jax.random.key(1), 3, 1)


def test_held_actions_lead_from_frame_to_frame():
    films = envs.draw_films(jax.random.key(0), 500, 5, held=5)
    assert films.states.position.shape == (500, 5, 2)
    assert films.actions.shape == (500, 4, 2)
    lengths = np.linalg.norm(films.actions, axis=-1)
    assert (lengths.max() <= 2.45 + 1e-5) & (lengths.min() < 0.2)
    moved = np.diff(films.states.position, axis=1)
    free = np.abs(moved - 5 * np.asarray(films.actions)).max(-1) < 1e-3
    assert free.mean() > 0.5
    with pytest.raises(ValueError, match="held"):
        envs.draw_films(jax.random.key(1), 3, 5, held=0)


def test_the_environment_obeys_gymnasium():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")  # these are pixels
        check_env(gymnasium.make("TwoRooms-v0", render_mode="rgb_array").unwrapped)
    env = gymnasium.make("TwoRooms-v0", layout="fixed", steps=3)
    _, info = env.reset(seed=0, options={"position": [10.0, 12.0], "goal": [50.0, 12.0]})
    assert (info["wall"], info["door"], info["distance"]) == (32.0, 10.0, pytest.approx(40.0))
    steps = [env.step(np.array([1.0, 0.0], np.float32)) for _ in range(3)]
    seen, *rest, _ = steps[-1]
    assert rest == [pytest.approx(-37.0), False, True]
    assert not steps[1][3]
    np.testing.assert_array_equal(seen, envs.picture(at(13.0, 12.0, 32.0, 10.0)))
    with pytest.raises(ValueError, match="layout"):
        envs.TwoRoomsEnv(layout="round")
    with pytest.raises(ValueError, match="colour"):
        env.reset(options={"colour": 1})
    with pytest.raises(ValueError, match="action"):
        env.unwrapped.step([np.nan, 0.0])


def episodes(count):
    """Starts, layouts and goals of the pinned episodes."""
    env, states, goals = envs.TwoRoomsEnv(), [], []
    for seed in range(count):
        _, info = env.reset(seed=seed)
        states.append(env.state)
        goals.append(info["goal"])
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jnp.stack(goals)


def test_the_floors_are_where_they_were_measured():
    """Published by nobody, measured by us and in the reference: straight line 40 %, someone who knows the door 100 %."""
    count, steps = 200, 200
    states, goals = episodes(count)
    model = envs.TwoRooms()
    noise = jax.vmap(lambda key: model.sample_latents(steps, key=key))(jax.random.split(jax.random.key(0), count))

    def straight(state, goal, noise):
        def act(state, step):
            way = goal - state.position
            action = way * jnp.minimum(1.0, 2.4 / jnp.maximum(jnp.linalg.norm(way), 1e-6))
            return model.step(state, action, ebm.Latents(jnp.zeros(()), step)), None

        return jax.lax.scan(act, state, noise.step)[0].position

    def knowing(state, goal, noise):
        return model.rollout(state, envs.oracle_route(state, goal, steps), None).position[-1]

    def success(policy):
        ends = jax.vmap(policy)(states, goals, noise)
        return float(jnp.mean(jnp.linalg.norm(ends - goals, axis=-1) < 4.5))

    assert 0.30 < success(straight) < 0.50
    assert success(knowing) == 1.0
    assert success(lambda state, goal, noise: state.position) == 0.0


def test_planners_work_in_the_true_world():
    env = envs.TwoRoomsEnv()
    env.reset(seed=0, options={"wall": 32, "door": 20, "position": [12.0, 20.0], "goal": [50.0, 24.0]})
    planner = planners.MPPI(30, 128, noise=0.5)
    plan, _ = planner.plan(
        env.problem(), env.state, planner.init(env.problem(), env.state, key=jax.random.key(0)), ebm.Now(0, jnp.zeros(2), 0.0)
    )
    assert plan.trajectory.states.position[-1, 0] > 33.0
    assert plan.result == planners.RESULTS.successful


def test_play_goes_for_its_targets():
    """Whoever sees the dot goes for one place after another: pictures in, the same dynamics as ever."""

    def act(picture, target):
        dot = picture[0].astype(jnp.float32)
        place = jnp.stack([jnp.sum(dot * jnp.arange(65)), jnp.sum(dot * jnp.arange(65)[:, None])]) / jnp.sum(dot)
        way = target - place
        return 2.45 * way / jnp.maximum(jnp.linalg.norm(way), 2.45)

    targets = jnp.broadcast_to(jnp.array([12.0, 50.0]), (32, 1, 2))
    films = envs.play_films(jax.random.key(0), act, targets, 40, through_door=0.0, near_wall=0.0)
    positions = films.states.position
    assert positions.shape == (32, 40, 2)
    assert films.actions.shape == (32, 39, 2)
    west = positions[:, 0, 0] < films.states.wall[:, 0] - 2
    assert bool(jnp.all(jnp.linalg.norm(films.actions, axis=-1) <= 2.45 + 1e-4))
    nearest = jnp.min(jnp.linalg.norm(positions - jnp.array([12.0, 50.0]), axis=-1), axis=1)
    assert float(jnp.mean(nearest[west] < 3)) > 0.9
    calm = jnp.linalg.norm(positions[:, 1:] - positions[:, :-1] - films.actions, axis=-1) < 1e-3
    assert float(jnp.mean(calm)) > 0.5
