"""One problem, four families of planners: a pendulum is swung up by sampling, by gradients, by ILQR, and by a search over three torques."""

import argparse
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import envs
import planners

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
steps = 60 if options.quick else 120  # of 0.05 s

problem = envs.pendulum()
start = problem.model.example_state()  # hanging
LINEUP = {
    "MPPI": planners.MPPI(horizon=40, num_samples=256, noise=0.5),
    "gradient": planners.GradientPlanner(horizon=40, num_starts=8, num_iterations=20, noise=0.5),
    "ILQR": planners.ILQR(horizon=40, num_iterations=10),
    "tree search": planners.TreeSearch(horizon=40, num_simulations=256, resolution=3),
}


def play(planner):
    """The states of one episode; plan model and plant are one here."""
    agent = planners.Agent(problem, planner)
    memory, state, states = agent.init(key=jax.random.key(0)), start, [start]
    for _ in range(steps):
        action, memory = agent.act(state, memory)
        state = problem.model.step(state, action)
        states.append(state)
    return states


figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
energies = {}
for name, planner in LINEUP.items():
    angles = np.array([float(state.angle) for state in play(planner)])
    away = np.abs((angles + np.pi) % (2 * np.pi) - np.pi)
    energies[name] = problem.dt * float(np.sum(2.0 * (1.0 - np.cos(angles))))
    axes.plot(problem.dt * np.arange(steps + 1), away, label=f"{name}: {energies[name]:.1f} in all")
axes.set(xlabel="time (s)", ylabel="angle from the top (rad)", title="Swinging up with too little torque")
axes.spines[["top", "right"]].set_visible(False)
axes.legend()
figure.savefig(options.out / "swing_up.png", dpi=100)
best = min(energies, key=energies.get)
print(f"{energies[best]:.1f} is the least energy, by {best}; the most is {max(energies.values()):.1f}.")
