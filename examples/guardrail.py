"""What a guardrail does to a plan: a cart close to a table's edge, in a landscape of energy over two forces."""

import argparse
from functools import partial
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import mujoco
import numpy as np

import ebm
import envs

HORIZON = 40  # steps of 0.02 s
LIMIT, EDGE, GOAL = 5.0, 1.0, 0.95  # N, m, m
COLOURS = {"without": "#d1362f", "with": "#128a4e"}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
side, worlds = (21, 8) if options.quick else (51, 16)

# The cart rolls towards the goal at 1 m/s. How heavy it is, 1.0 to 1.6 kg, and its friction are not known: each world has its own.
task = envs.cart_table()
model, table = task.model, task.guardrails[0]
problem = ebm.Problem(model, task.energy, table)
state = model.state(qpos=[0.6, 0, 0, 0, 0], qvel=[1.0, 0, 0, 50, 50])
now = ebm.Now(jnp.int32(0), jnp.zeros(1), jnp.float32(model.dt))
keys = jax.random.split(jax.random.key(0), worlds)

# A plan is two forces, one for each half of the horizon. All pairs are imagined in all worlds and judged, in one call.
forces = jnp.linspace(-LIMIT, LIMIT, side)
pairs = jnp.stack(jnp.meshgrid(forces, forces, indexing="ij"), -1).reshape(-1, 2)


@jax.jit
@partial(jax.vmap, in_axes=(0, None))
@partial(jax.vmap, in_axes=(None, 0))
def judge(pair, key):
    found = problem.evaluate(state, jnp.repeat(pair, HORIZON // 2)[:, None], now, key=key)
    return found.energy, found.violation * table.scale, found.trajectory.states.qpos


energies, violations, positions = map(np.asarray, judge(pairs, keys))
energy, violation = energies.mean(1), violations.max(1)
chosen = {"without": energy.argmin(), "with": np.where(violation <= 0, energy, np.inf).argmin()}


def strobe(poses):
    """One picture of a cart at several moments: its pixels of each, over the empty scene."""
    env = gymnasium.make("CartTable-v0").unwrapped
    camera = envs.Camera(env.model, "edge", height=480, width=800, shadows=True)
    cart = [geom for geom in range(env.model.ngeom) if env.model.body_rootid[env.model.geom_bodyid[geom]] == env.model.body("cart").id]
    for moment, pose in enumerate(poses):
        env.data.qpos[:] = pose
        mujoco.mj_forward(env.model, env.data)
        shown = camera.render(env.data)
        picture = shown if moment == 0 else np.where(np.isin(camera.segment(env.data), cart)[..., None], shown, picture)
    return picture[60:440, 60:740]


figure = plt.figure(figsize=(11, 6.2), layout="constrained")
axes = figure.subplot_mosaic([["map", "without"], ["map", "with"], ["map", "time"]], width_ratios=[1.35, 1], height_ratios=[1.3, 1.3, 1])
plt.rcParams["hatch.linewidth"] = 0.5
span = [-LIMIT, LIMIT, -LIMIT, LIMIT]
values, forbidden = np.log10(energy).reshape(side, side), violation.reshape(side, side)
image = axes["map"].imshow(values, origin="lower", extent=span, cmap="viridis", interpolation="bilinear")
axes["map"].contour(forces, forces, values, 14, colors="white", linewidths=0.4, alpha=0.6)
axes["map"].contourf(forces, forces, forbidden, [0, forbidden.max()], colors=["#dddddd"], alpha=0.5, hatches=["///"])
axes["map"].contour(forces, forces, forbidden, [0], colors="black", linewidths=1.2)
axes["map"].set(xlabel="force in the second half (N)", ylabel="force in the first half (N)")
axes["map"].set_title("Energy of every plan of two forces; hatched: the guardrail forbids it", fontsize=10)
figure.colorbar(image, ax=axes["map"], label="log₁₀ energy", location="bottom", aspect=50)
time = np.arange(HORIZON + 1) * model.dt
for name, best in chosen.items():
    axes["map"].plot(*pairs[best, ::-1], "*", ms=17, color=COLOURS[name], mec="white", label=f"best plan {name} the guardrail")
    axes["time"].plot(time, positions[best, :, :, 0].T, color=COLOURS[name], lw=0.9, alpha=0.7)
    axes[name].imshow(strobe(positions[best, violations[best].argmax(), ::10]))
    over = (violations[best] > 0).sum()
    axes[name].set_title(f"{name.capitalize()} the guardrail: over the edge in {over} of {worlds} worlds", fontsize=10, color=COLOURS[name])
    axes[name].axis("off")
axes["map"].legend(loc="upper right")
axes["time"].axhspan(EDGE, 1.2, fc="#dddddd", hatch="///", ec="#666666", label="beyond the edge")
axes["time"].axhline(GOAL, color="black", ls=":", lw=1, label="goal")
axes["time"].legend(loc="upper left", fontsize=8)
axes["time"].set(xlabel="time (s)", ylabel="cart (m)", ylim=(0.6, 1.12), xlim=(0, time[-1]))
figure.savefig(options.out / "guardrail.png", dpi=110)

inside, outside = -100 * violation[chosen["with"]], 100 * violation[chosen["without"]]
print(f"{inside:.1f} cm inside the edge with the guardrail, {outside:.1f} cm beyond it without: a wheel, in the worst of {worlds} worlds.")
