"""An arm from an MJCF file carries a cup between two rails to a goal, and is heavier than the model it plans with."""

import argparse
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import mujoco
import numpy as np

import ebm
import envs
import planners

ARM = Path(__file__).parent / "arm.xml"
GOAL = (0.5, 0.0, 0.75)  # m
LOW, HIGH = 0.64, 0.86  # m: the middle of the cup stays between
HEAVIER = 1.1  # the plant's masses, in those of the plan model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
seconds, height, width = (1.6, 360, 480) if options.quick else (3.0, 720, 960)

# The robot, which here is simulated. For a real one, `model.state(qpos=..., qvel=...)` takes what its encoders say.
plant = mujoco.MjModel.from_xml_path(str(ARM))
plant.body_mass[:] *= HEAVIER
plant.body_inertia[:] *= HEAVIER
data = mujoco.MjData(plant)
mujoco.mj_resetDataKeyframe(plant, data, 0)
mujoco.mj_forward(plant, data)

# What is wanted, what must never happen, and who decides.
model = envs.load(ARM, read=("site:tip", "body:cup", "velocity:site:tip"))
energy = ebm.Reach("site:tip", GOAL, tolerance=0.01) + 0.1 * ebm.Velocity("site:tip", tolerance=0.1) + 0.01 * ebm.Effort((20, 10, 3))
problem = ebm.Problem(model, energy, guardrails=(ebm.KeepInside("body:cup", LOW, HIGH, axis="z"),))
agent = planners.Agent(problem, planners.iCEM(horizon=30, num_samples=48, num_iterations=3, num_knots=6, noise=0.2))
memory = agent.init(key=jax.random.key(0))

camera = envs.Camera(plant, "side", height=height, width=width, shadows=True, samples=2)
path, imagined, ghosts = [data.site("tip").xpos.copy()], [], []
for tick in range(round(seconds / model.dt)):
    if tick in (0, 14, 24):
        ghosts.append(camera.render(data))
    action, plan, memory = agent.decide(model.state(data), memory)
    data.ctrl[:] = action
    mujoco.mj_step(plant, data, nstep=round(model.dt / plant.opt.timestep))
    path.append(data.site("tip").xpos.copy())
    if tick % 3 == 0:
        imagined.append(np.asarray(plan.trajectory.states.read("site:tip"), float))

# The last moment, the arm's earlier poses faintly over it, what was planned and what was done.
picture = camera.render(data)
arm = np.isin(camera.segment(data), np.flatnonzero(plant.body_rootid[plant.geom_bodyid] == plant.body("upper").id))
for ghost in ghosts:
    picture = np.where(arm[..., None], picture, 0.6 * picture + 0.4 * ghost).astype(np.uint8)
figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(picture)
for line in imagined:
    axes.plot(*camera.project(line, data)[0].T, color="#e07b1a", lw=height / 600, alpha=0.8)
axes.plot(*camera.project(np.array(path), data)[0].T, color="#128a4e", lw=height / 240)
axes.plot(*camera.project(np.array([GOAL]), data)[0].T, "*", color="#128a4e", mec="white", ms=height / 40)
axes.set(xlim=(0, width - 1), ylim=(height - 1, 0))
axes.axis("off")
figure.savefig(options.out / "arm.png")

heights = np.array(path)[:, 2]
kept = "held" if heights.min() >= LOW and heights.max() <= HIGH else "was broken"
distance = 100 * np.linalg.norm(path[-1] - np.array(GOAL))
print(f"{distance:.1f} cm from the goal after {seconds} s. The guardrail {kept}, cup at {heights.min():.2f} to {heights.max():.2f} m.")
