"""Mazes: what a seed decides, that map and physics agree, and that hierarchy finds the way."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners
from envs import _maze_layout as layout
from envs._maze import BANDS
from envs._maze_map import MOVES, NOWHERE, middle


def made(seed, **options):
    env = gymnasium.make("PointMaze-v0", **options)
    env.reset(seed=seed)
    return env


def state_of(env, problem):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), problem.model.state(env.unwrapped.data))


def on_map():
    problem = envs.maze_map()
    planner = planners.LatticeSearch(24, 36, 1, choices=envs.MazeMap.moves(), cell=0.5, coordinates=lambda state: state.position)
    return problem, planner, jax.jit(lambda state, memory: planner.plan(problem, state, memory, ebm.Now(0, jnp.zeros(2), problem.dt))[0])


@pytest.mark.parametrize("loops", [0, 2, 25])
def test_every_room_can_be_reached(loops):
    for seed in range(20):
        walls = layout.draw_walls(np.random.default_rng(seed), loops)
        assert len(walls) == len(set(walls)) == layout.WALLS - loops
        away = layout.distances(walls, (0, 0))
        assert away.min() == 0
        assert (away >= 0).all()
        np.testing.assert_array_equal(away[5, 3], layout.distances(walls, (5, 3))[0, 0])


def test_a_seed_decides_the_maze_and_bands_differ():
    for band, (low, high) in BANDS.items():
        first, again, other = made(3, band=band), made(3, band=band), made(4, band=band)
        np.testing.assert_array_equal(first.unwrapped.data.mocap_pos, again.unwrapped.data.mocap_pos)
        assert not np.array_equal(first.unwrapped.data.mocap_pos, other.unwrapped.data.mocap_pos)
        assert low <= first.unwrapped.info()["rooms"] <= high
        assert first.unwrapped.info()["distance"] > 0.5
    with pytest.raises(ValueError, match="near, middle, far"):
        gymnasium.make("PointMaze-v0", band="farther")
    with pytest.raises(ValueError, match="loops"):
        gymnasium.make("PointMaze-v0", loops=26)
    with pytest.raises(ValueError, match="no more than loops"):
        gymnasium.make("PointMaze-v0", loops=1, glass=2)


def test_panes_close_the_shortest_way_and_leave_another():
    rng = np.random.default_rng(0)
    drawn = 0
    for _ in range(40):
        walls = layout.draw_walls(rng, 5)
        start, end = (0, 0), (4, 3)
        panes = layout.draw_panes(rng, walls, start, end, 2)
        if panes is None:
            continue
        drawn += 1
        lengths = [layout.distances([*walls, *panes[:count]], start)[end] for count in range(3)]
        assert 0 < lengths[0] <= lengths[1] <= lengths[2]
        assert not set(panes) & set(walls)
    assert drawn > 20
    assert layout.draw_panes(rng, layout.draw_walls(rng, 0), (0, 0), (4, 3), 1) is None  # nothing can be closed where there is one way only


def test_the_map_does_not_show_glass_and_the_physics_knows_it():
    env = made(2, loops=5, glass=1)
    problem = env.unwrapped.problem()
    state = state_of(env, problem)
    seen = envs.from_above(state)
    pane = state.read("mocap:glass0")[:2]
    assert float(jnp.min(jnp.linalg.norm(seen.walls - pane, axis=-1))) > 0.4
    # from beside the pane, pushed against it
    across = jnp.where(jnp.round(pane - 0.5) == pane - 0.5, 0.0, 1.0)
    ball = problem.model.state(env.unwrapped.data, qpos=np.asarray(pane - 0.5 * across))
    end = problem.model.rollout(ball, jnp.tile(2.0 * across, (20, 1)))
    gone = jnp.concatenate([end.read("joint:x"), end.read("joint:y")], axis=-1)[-1] - (pane - 0.5 * across)
    assert float(jnp.dot(gone, across)) < 0.45


def test_notes_are_walls_and_the_oldest_gives_way():
    notes = envs.MazeNotes()
    here = envs.MazeMap().example_state()
    here = envs.MazeState(jnp.array([0.6, 0.4]), here.goal, here.walls)
    there = envs.MazeState(jnp.array([0.5, 1.5]), here.goal, here.walls)
    noted = notes.learn(notes.init(), here, there)
    assert jnp.allclose(noted[0][0], jnp.array([0.5, 1.0]))
    seen = notes.recall(here, noted)
    assert envs.MazeMap().step(here, jnp.array([0.0, 1.0])).position[1] == 1.5
    assert envs.MazeMap().step(seen, jnp.array([0.0, 1.0])).position[1] == 0.5
    unmoved = notes.learn(noted, here, here)
    assert int(unmoved[1]) == 1
    for _ in range(8):
        noted = notes.learn(noted, here, envs.MazeState(jnp.array([1.5, 0.5]), here.goal, here.walls))
    assert not (noted[0] == jnp.array([0.5, 1.0])).all(axis=-1).any()


def test_walls_hold():
    env = made(0)
    inner = env.unwrapped
    for seed in range(3):
        env.reset(seed=seed)
        walls = {tuple(np.round(x, 3)) for x in inner.data.mocap_pos[1:, :2]}
        for move in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            env.reset(seed=seed)
            start = inner.data.qpos.copy()
            for _ in range(40):
                env.step(2.0 * np.asarray(move, np.float32))
            gone = inner.data.qpos - start
            closed = tuple(np.round(start + 0.5 * np.asarray(move), 3)) in walls or np.abs(start + np.asarray(move)).max() > 3
            assert (np.dot(gone, move) < 0.45) == closed, (seed, move, gone)
            assert np.abs(inner.data.qpos).max() < 3.0


def test_the_map_leads_to_the_goal_by_the_shortest_way_and_values_agree():
    env, problem = made(0), None
    problem = env.unwrapped.problem()
    upper, planner, plan_on_map = on_map()
    way_left = jax.jit(lambda state: envs.WayLeft().final(state, jnp.zeros(())))
    for seed in range(12):
        env.reset(seed=seed)
        state = state_of(env, problem)
        above = envs.from_above(state)
        plan = plan_on_map(above, planner.init(upper, above, key=jax.random.key(0)))
        rooms = env.unwrapped.info()["rooms"]
        assert float(way_left(state)) == pytest.approx(rooms)
        reached = np.linalg.norm(plan.trajectory.states.position - above.goal, axis=-1) < 0.1
        assert int(np.argmax(reached)) == rooms
        assert reached[rooms:].all()
        assert float(plan.energy) == pytest.approx(rooms * upper.dt, rel=1e-5)


def test_a_lattice_keeps_the_cheapest_of_what_meets():
    # A beam of the same width is full of copies of one dead end.
    env = made(1)
    problem = env.unwrapped.problem()
    upper, lattice, _ = on_map()
    above = envs.from_above(state_of(env, problem))
    beam = planners.BeamSearch(24, 36, 1, choices=envs.MazeMap.moves())
    now = ebm.Now(0, jnp.zeros(2), upper.dt)
    energies = [
        jax.jit(lambda p=p: p.plan(upper, above, p.init(upper, above, key=jax.random.key(0)), now)[0].energy)() for p in (lattice, beam)
    ]
    assert float(energies[0]) < float(energies[1]) - 1.0


def test_a_goal_that_follows_can_be_replaced_by_its_name():
    env = made(0)
    problem = env.unwrapped.problem()
    assert problem.with_goal(jnp.zeros(1)) is not problem  # the only one with numbers is the speed
    posed = problem.with_goal(jnp.array([1.0, 2.0]), "goal")
    state = state_of(env, problem)
    (reach,) = [node for node in jax.tree.leaves(posed, is_leaf=lambda n: isinstance(n, ebm.Reach)) if isinstance(node, ebm.Reach)]
    assert float(reach.distance(state)) == pytest.approx(float(np.linalg.norm(env.unwrapped.data.qpos - [1.0, 2.0])), rel=1e-5)


def drive(pose, band, seed, env=None, **options):
    from benchmarks._poses import POSES

    env = made(seed, band=band, **(env or {}))
    problem, planner = POSES[pose](env.unwrapped.problem(), planners.MPPI(20, 24, noise=0.5), **options)
    agent = planners.Agent(problem, planner, envs.FromGym(env))
    memory, done, info = agent.init(key=jax.random.key(0)), False, {}
    while not done:
        action, memory = agent.act(None, memory)
        _, _, terminated, truncated, info = env.step(np.asarray(action))
        done = terminated or truncated
    return info["reached"]


def test_hierarchy_finds_the_way():
    assert drive("on the map", "far", 5)


def test_the_oldest_notes_are_not_believed_if_they_leave_no_way():
    env = made(0)
    seen = envs.from_above(state_of(env, env.unwrapped.problem()))
    notes = envs.MazeNotes()

    def recalled(*passages):
        closed, count = notes.init()
        for i, passage in enumerate(passages):
            closed, count = closed.at[i].set(passage), count + 1
        walls = np.asarray(notes.recall(seen, (closed, count)).walls[len(seen.walls) :])
        return [bool((wall == passage).all()) for wall, passage in zip(walls, passages, strict=False)]

    elsewhere = jnp.array([0.0, 0.5])  # somewhere that matters to nobody
    around = middle(seen.goal) + 0.5 * layout.CELL * jnp.array(MOVES[:4])
    assert recalled() == []
    assert recalled(elsewhere) == [True]
    believed = recalled(*around, elsewhere)
    forgotten = believed.index(True)
    assert 0 < forgotten < 5
    assert all(believed[forgotten:])
    assert recalled(*around[forgotten:], elsewhere) == believed[forgotten:]
    assert not recalled(*around[forgotten - 1 :], elsewhere)[0]


def test_what_is_noted_again_is_the_newest_note():
    notes, walls = envs.MazeNotes(), jnp.full((layout.WALLS, 2), NOWHERE[0])
    here, right, up = (envs.MazeState(jnp.array(place), jnp.zeros(2), walls) for place in ([0.5, 0.5], [1.5, 0.5], [0.5, 1.5]))
    noted = notes.init()
    for there in (right, up, right, here):  # that one is where it should be says nothing of a passage
        noted = notes.learn(noted, here, there)
    closed, count = noted
    assert int(count) == 3
    np.testing.assert_array_equal(closed[:3], [[NOWHERE[0]] * 2, [0.5, 1.0], [1.0, 0.5]])


@pytest.mark.slow
def test_hierarchy_finds_another_way_when_one_is_closed():
    closed = {"loops": 5, "glass": 1}
    assert all(drive("on the map", "far", seed, closed) for seed in range(3))
    assert not all(drive("on the map", "far", seed, closed, fallback=False, notes=False) for seed in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("pose", ["tower", "way left"])
def test_other_poses_find_the_way(pose):
    assert drive(pose, "middle", 5)
