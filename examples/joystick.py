"""A filter behind somebody who knows of no guardrail: a cart is pushed to and fro at random, near the edges, and stays on the table."""

import argparse
from pathlib import Path

import equinox as eqx
import gymnasium
import matplotlib.pyplot as plt
import numpy as np

import ebm
import envs
import planners

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=2)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()

env = gymnasium.make("CartTable-v0", mass=1.3, shove_speed=0.0, seconds=5 if options.quick else 10)
problem = envs.problem(env)
half_length = 1.0  # m, of the table

# An action may pass if some behaviour after it keeps the guardrails in every world that is thought possible. Braking is one.
brake = planners.follow(lambda state, time: -10.0 * state.read("velocity:joint:slider"))  # N per m/s
guard = eqx.filter_jit(planners.BackupFilter(horizon=40, backup=brake))


def play(filtered):
    """Where the cart was, and when its driver was overruled."""
    env.reset(seed=options.seed)
    rng = np.random.default_rng(options.seed)
    simulator, held, places, overruled, over, tick = env.unwrapped, np.zeros(1, np.float32), [], [], False, 0
    while not over:
        if tick % 20 == 0:
            push = rng.uniform(-5.0, 5.0, 1).astype(np.float32)
        action, changed = push, False
        if filtered:
            action, changed = guard(problem, problem.model.state(simulator.data), push, ebm.Now(tick, held, problem.dt))
        held = np.asarray(action)
        _, _, terminated, truncated, info = env.step(held)
        places.append(info["position"])
        overruled.append(bool(changed))
        over, tick = terminated or truncated, tick + 1
    return np.array(places), np.array(overruled)


figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
for filtered, colour, name in ((False, "#d1362f", "driver alone"), (True, "#128a4e", "with the filter")):
    places, overruled = play(filtered)
    times = problem.dt * np.arange(1, len(places) + 1)
    axes.plot(times, places, color=colour, label=f"{name}{'' if filtered or len(times) * problem.dt > 9 else ': falls'}")
    axes.plot(times[overruled], places[overruled], ".", color="#e07b1a", label="overruled" if filtered else None)
axes.axhspan(half_length, 1.2, color="#d1362f", alpha=0.15)
axes.axhspan(-1.2, -half_length, color="#d1362f", alpha=0.15)
axes.set(xlabel="time (s)", ylabel="position (m)", ylim=(-1.2, 1.2), title="Random pushes, and a filter that has the last word")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(loc="upper right")
figure.savefig(options.out / "joystick.png", dpi=100)
margin, share = half_length - np.abs(places).max(), 100 * overruled.mean()
print(f"{margin:.2f} m is how close the middle of the cart came to the edge; its driver was overruled in {share:.0f} % of steps.")
