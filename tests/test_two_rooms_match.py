"""The other geometry of Two Rooms: a dot that has some width, a wall that stays, goals where somebody had been."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
import planners
from benchmarks import _eval, _rooms, _rooms_eval, _rooms_match_judged

WALL, DOOR = 32.0, 14.0  # px
BEFORE = WALL - (5 + 7 + 0.5) / 3.5  # px: where the dot is stopped


def at(x, y):
    return envs.TwoRoomsState(jnp.array([x, y], jnp.float32), jnp.float32(WALL), jnp.float32(DOOR))


@pytest.mark.parametrize(
    ("start", "action", "end"),
    [
        ((20.0, 40.0), (1.0, -1.0), (21.0, 39.0)),  # free
        ((28.0, 40.0), (1.4, 0.5), (BEFORE, 40.5)),  # stopped, and slides along the wall
        ((36.0, 40.0), (-1.4, 0.0), (2 * WALL - BEFORE, 40.0)),  # from the other side
        ((28.0, DOOR), (1.4, 0.0), (29.4, DOOR)),  # through the door
        ((28.0, DOOR + 4.6), (1.4, 0.0), (BEFORE, DOOR + 4.6)),  # beside it
        ((6.5, 57.5), (-1.4, 1.4), (6.0, 58.0)),  # the walls around stop it before they are touched
    ],
)
def test_the_dot_stops_before_walls(start, action, end):
    after = envs.TwoRoomsMatch().step(at(*start), jnp.array(action))
    np.testing.assert_allclose(after.position, end, atol=1e-5)


def test_films_are_of_its_world():
    world = envs.TwoRoomsMatch()
    films = envs.draw_films(jax.random.key(0), 500, 9, through_door=0.35, near_wall=0.25, held=5, world=world)
    places = np.asarray(films.states.position)
    assert {float(x) for x in np.unique(films.states.wall)} == {WALL}
    assert np.abs(films.actions).max() <= 5 / 3.5 + 1e-5
    assert places.min() >= 6.0 - 1e-4
    assert places.max() <= 58.0 + 1e-4
    off = np.abs(places[..., 1] - DOOR) > 4.5
    assert np.abs(places[..., 0] - WALL)[off].min() > 3.4
    sides = places[..., 0] < WALL
    assert 0.2 < np.mean(sides.any(1) & (~sides).any(1)) < 0.6  # some go through the door
    again = jax.vmap(jax.vmap(lambda state, action: world.rollout(state, jnp.tile(action, (5, 1))).position[-1]))
    before = jax.tree.map(lambda leaf: leaf[:, :-1], films.states)
    np.testing.assert_allclose(again(before, films.actions), places[:, 1:], atol=1e-4)


def test_a_goal_is_where_somebody_was_and_counts_whenever_it_is_reached():
    env = gymnasium.make("TwoRoomsMatch-v0").unwrapped
    starts = [env.reset(seed=seed)[1] for seed in range(20)]
    again = env.reset(seed=3)[1]
    np.testing.assert_array_equal(again["goal"], starts[3]["goal"])
    away = [info["distance"] for info in starts]
    assert max(away) <= 75 * 5 / 3.5 * np.sqrt(2)
    assert np.median(away) > 15.0
    beyond = [(info["position"][0] < WALL) != (info["goal"][0] < WALL) for info in starts]
    assert 0.1 < np.mean(beyond) < 0.9
    assert env.success([{"distance": 9.0}, {"distance": 4.0}, {"distance": 9.0}])
    assert not env.success([{"distance": 9.0}, {"distance": 4.6}])
    _, _, _, ended, info = env.step(np.array([9.0, -9.0], np.float32))
    assert not ended
    assert np.abs(info["position"] - again["position"]).max() <= 5 / 3.5 + 1e-5


@pytest.mark.parametrize(("name", "least", "most"), [("oracle", 1.0, 1.0), ("still", 0.0, 0.0), ("straight", 0.3, 0.95)])
def test_floors_do_what_they_are_called(name, least, most):
    world = envs.TwoRoomsMatch()
    won = [_rooms_eval.play(_rooms_eval.floor(name, seed, world), seed, env="TwoRoomsMatch-v0").success for seed in range(6)]
    assert least <= np.mean(won) <= most


def test_a_model_of_these_rooms_is_judged_in_them(tmp_path):
    (tmp_path / "config.json").write_text('{"recipe": "two-rooms", "settings": {"seed": 0, "rooms": "match"}}')
    assert _eval.TASKS[_eval.recipe(tmp_path)] == "_rooms_match_judged"
    model, _ = _rooms.build(_rooms.Settings(rooms="match", features=4, context=4, width=8), key=jax.random.key(0))
    assert float(model.action_space.high[0]) == pytest.approx(5 / 3.5)
    assert set(_rooms_match_judged.LIGHTS) < set(_rooms_match_judged.diagnose((model, planners.CEM(horizon=2, num_samples=4))))
