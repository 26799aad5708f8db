"""Any Gymnasium MuJoCo environment, its own reward: a planner that looks into the simulator, beside random actions."""

import argparse
from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

import envs
import planners

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--env", default="Reacher-v5", help="InvertedPendulum-v5, Pusher-v5 and HalfCheetah-v5 have ready energies, too")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()

env = gymnasium.make(options.env)
problem = envs.problem(env)
settings = {"horizon": 20, "num_samples": 48, "num_iterations": 3, "num_knots": 10, "noise": 0.2}
controller = planners.make("icem", problem, perceiver=envs.FromGym(env), **settings)
view = {"distance": 0.6 * env.unwrapped.model.stat.extent} | env.unwrapped.mujoco_renderer.default_cam_config
camera = envs.Camera(env.unwrapped.model, view=view, height=300, width=300, samples=2)


def random(observation):
    return env.action_space.sample()


def play(policy):
    """Gymnasium's return as it grows over one episode, and five pictures of it."""
    observation, _ = env.reset(seed=options.seed)
    env.action_space.seed(options.seed)
    rewards, pictures, over = [], [], False
    while not over and len(rewards) < 200:
        if len(rewards) % 10 == 0:
            pictures.append(camera.render(env.unwrapped.data))
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        rewards.append(float(reward))
        over = terminated or truncated
    return np.cumsum(rewards), pictures[:5]


planned, floor = play(controller.predict), play(random)
figure = plt.figure(figsize=(10, 5), layout="constrained")
rows = figure.subfigures(2, 1, height_ratios=[1, 1.1])
for axes, picture, moment in zip(rows[0].subplots(1, 5), planned[1], range(5), strict=False):
    axes.imshow(picture)
    axes.set_title(f"{10 * moment * problem.dt:.1f} s", fontsize=9)
    axes.axis("off")
axes = rows[1].subplots()
for (returns, _), name, colour in ((planned, "iCEM", "#128a4e"), (floor, "random actions", "#d1362f")):
    axes.plot(np.arange(1, len(returns) + 1) * problem.dt, returns, color=colour, label=f"{name}: {returns[-1]:.1f}")
axes.set(xlabel="time (s)", ylabel="return so far", title=f"{options.env}, seed {options.seed}")
axes.spines[["top", "right"]].set_visible(False)
axes.legend()
figure.savefig(options.out / "gym_env.png", dpi=100)
print(f"{planned[0][-1]:.2f} is the return of the planner, {floor[0][-1]:.2f} that of random actions.")
