"""Mazes: what a seed decides, that map and physics agree, and that hierarchy finds the way."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
import envs
import planners
from envs import _maze as maze


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
        walls = maze.draw_walls(np.random.default_rng(seed), loops)
        assert len(walls) == len(set(walls)) == maze.WALLS - loops
        away = maze.distances(walls, (0, 0))
        assert away.min() == 0
        assert (away >= 0).all()
        np.testing.assert_array_equal(away[5, 3], maze.distances(walls, (5, 3))[0, 0])


def test_a_seed_decides_the_maze_and_bands_differ():
    for band, (low, high) in maze.BANDS.items():
        first, again, other = made(3, band=band), made(3, band=band), made(4, band=band)
        np.testing.assert_array_equal(first.unwrapped.data.mocap_pos, again.unwrapped.data.mocap_pos)
        assert not np.array_equal(first.unwrapped.data.mocap_pos, other.unwrapped.data.mocap_pos)
        assert low <= first.unwrapped.info()["rooms"] <= high
        assert first.unwrapped.info()["distance"] > 0.5
    with pytest.raises(ValueError, match="near, middle, far"):
        gymnasium.make("PointMaze-v0", band="farther")
    with pytest.raises(ValueError, match="loops"):
        gymnasium.make("PointMaze-v0", loops=26)


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


def drive(pose, band, seed, **options):
    from benchmarks._poses import POSES

    env = made(seed, band=band)
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


@pytest.mark.slow
@pytest.mark.parametrize("pose", ["tower", "way left"])
def test_other_poses_find_the_way(pose):
    assert drive(pose, "middle", 5)
