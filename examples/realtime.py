"""A loop at 100 Hz beside a planner that takes longer: with 40 ms between sending a force and its effect, looking ahead or not."""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import envs
import planners

DELAY, PERIOD = 4, 0.01  # control periods from sending to effect; s

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
seconds = 2.5 if options.quick else 6

env = envs.CartTableEnv(mass=1.3, period=PERIOD, seconds=seconds, shove_speed=0.0)
problem = envs.cart_table(num_latents=2)
agent = planners.Agent(problem, planners.MPPI(horizon=20, num_samples=24, noise=0.15))


def play(ahead):
    """Where the cart was, and how long the loop waited for an action (s)."""
    env.reset(seed=options.seed)
    on_its_way, places, waits, over = [np.zeros(1, np.float32)] * DELAY, [], [], False
    controller = planners.Realtime(agent, latency=DELAY * PERIOD if ahead else 0.0, compensate=ahead)
    with controller.start(problem.model.state(env.data)):
        due = time.perf_counter()
        while not over:
            controller.observe(problem.model.state(env.data))
            asked = time.perf_counter()
            on_its_way.append(controller.action())
            waits.append(time.perf_counter() - asked)
            _, _, terminated, truncated, info = env.step(on_its_way.pop(0))
            places.append(info["position"])
            over = terminated or truncated or len(places) >= round(seconds / PERIOD)
            due += PERIOD
            time.sleep(max(0.0, due - time.perf_counter()))
    return np.array(places), np.array(waits)


figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
for ahead, colour, name in ((False, "#d1362f", "as late as it is"), (True, "#128a4e", "looking ahead")):
    places, waits = play(ahead)
    axes.plot(PERIOD * np.arange(1, len(places) + 1), places, color=colour, label=name)
axes.axhline(env.goal, color="#52606d", ls="--", lw=1, label="goal")
axes.axhspan(1.0, 1.1, color="#d1362f", alpha=0.15)
axes.set(xlabel="time (s)", ylabel="position (m)", title=f"{1e3 * DELAY * PERIOD:.0f} ms from a force to its effect")
axes.spines[["top", "right"]].set_visible(False)
axes.legend()
figure.savefig(options.out / "realtime.png", dpi=100)
print(f"{1e3 * np.quantile(waits, 0.99):.2f} ms is the 99th percentile of what the loop waited for an action.")
