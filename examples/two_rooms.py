"""Planning in a world that was learned from pictures: a dot must find the door to the other room, which it sees and nobody tells it."""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np

import ebm
import envs
import planners

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=5)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--model", type=Path, default=Path(__file__).parents[1] / "benchmarks/models/two-rooms/model.safetensors")
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()

# The world model: an encoder sees layouts (context) and all else (features), a head makes coordinates of the features in which a
# difference is an action, and a predictor says where actions lead. `ebm train two-rooms` made the numbers in it.
held = 5  # steps for which an action is held
env = envs.TwoRoomsEnv()
box = ebm.Box(env.action_space.low, env.action_space.high)
keys = jax.random.split(jax.random.key(0), 3)
encoder = ebm.nets.PatchEncoder(env.observation_space.shape, 32 + 32, key=keys[0])
predictor = ebm.nets.ResidualPredictor(2, 2, context_size=32, key=keys[1])
head = ebm.Displacement(32, 2, key=keys[2])
model = ebm.JEPA(encoder=encoder, predictor=predictor, coordinates=head, action_space=box, context_size=32, dt=float(held), held=held)
model = ebm.load(options.model, model)
known = ebm.read_about(options.model)

# The task: be where a picture was taken. The planner looks for a place to go through first.
observation, info = env.reset(seed=options.seed)
goal = eqx.filter_jit(model.encode)(info["goal_picture"]).features
problem = ebm.Problem(model, ebm.Approach("features", goal, tolerance=0.3))
planner = planners.Subgoals(policy=ebm.Pursuit(box), region=ebm.Box(known["low"], known["high"]))
agent = planners.Agent(problem, planner, ebm.Encoded())

memory, path = agent.init(key=jax.random.key(0)), [info["position"]]
for _ in range(0, 60 if options.quick else 200, held):
    action, memory = agent.act(observation, memory)
    for _ in range(held):
        observation, _, _, _, info = env.step(np.asarray(action))
        path.append(info["position"])

figure, axes = plt.subplots(figsize=(5, 5), dpi=100)
axes.imshow(255 - observation[1], cmap="gray", vmin=0, vmax=255)
axes.plot(*np.array(path).T, color="#2f6fc0", lw=3, label="where it went")
axes.plot(*info["goal"], "o", mfc="none", mec="#1f9d63", ms=18, mew=2, label="the goal, known as a picture")
axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=2, frameon=False)
axes.axis("off")
figure.savefig(options.out / "two_rooms.png")
print(f"{info['distance']:.2f} px from the goal after {len(path) - 1} steps, {info['wall']:.0f} px along stands the wall.")
