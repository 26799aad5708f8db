"""Planning on two levels: a way on the map of a maze, and forces that push a ball along it; a pane of glass is not on the map."""

import argparse
from pathlib import Path

import gymnasium
import jax
import matplotlib.pyplot as plt
import numpy as np

import envs
import planners

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=3)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
seconds = 4 if options.quick else 30

env = gymnasium.make("PointMaze-v0", band="far", loops=5, glass=1, seconds=seconds)
env.reset(seed=options.seed)
ball = envs.problem(env)

# Above, 24 moves from room to room. Below, 2 s of pushing. Between them: where the map wants to be in 0.7 s is the goal below.
above = planners.LatticeSearch(24, 36, 1, choices=envs.MazeMap.moves(), cell=0.5, coordinates=lambda state: state.position)
below = planners.MPPI(horizon=20, num_samples=24, noise=0.5)
handed_down = planners.Subgoal(ahead=0.7, read=lambda state: state.position, name="goal")
problem = planners.HierarchicalProblem(envs.maze_map(), ball, envs.from_above, handed_down, notes=envs.MazeNotes())
agent = planners.Agent(problem, planners.HierarchicalPlanner(above, below, period=5), envs.FromGym(env))

memory, path, ways, over = agent.init(key=jax.random.key(0)), [], [], False
while not over:
    action, plan, memory = agent.decide(None, memory)
    path.append(env.unwrapped.data.qpos[:2].copy())
    ways.append(np.asarray(plan.upper.trajectory.states.position))
    _, _, terminated, truncated, info = env.step(np.asarray(action))
    over = terminated or truncated

camera = envs.Camera(env.unwrapped.model, "top", height=600, width=600, samples=2)
figure = plt.figure(figsize=(6, 6), dpi=100)
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(camera.render(env.unwrapped.data))


def draw(points, **style):
    """A line on the floor of the maze."""
    lifted = np.column_stack([points, np.full(len(points), 0.1)])
    axes.plot(*camera.project(lifted, env.unwrapped.data)[0].T, **style)


draw(ways[0], color="#e07b1a", lw=2, ls="--")
draw(np.array(path), color="#128a4e", lw=4)
axes.set(xlim=(0, 599), ylim=(599, 0))
axes.axis("off")
figure.savefig(options.out / "maze.png")
print(f"{info['distance']:.2f} m from the goal after {len(path) * ball.dt:.1f} s; {info['rooms']} rooms lay between.")
