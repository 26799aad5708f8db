"""A boat, a rock, and a current that nobody knows: what is made of the energies in many possible worlds decides how far it keeps away."""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ebm
import planners

START, GOAL, ROCK, RADIUS = (-1.6, -0.1), (1.6, 0.0), (0.0, 0.0), 0.5  # m
HORIZON, DT, CURRENT = 24, 0.2, 0.15  # steps; s; m/s, one standard deviation to either side
RISKS = {"the best case": ebm.BestCase(), "the mean": ebm.Mean(), "the worst tenth": ebm.CVaR(0.1), "the worst case": ebm.WorstCase()}
COLOURS = ("#7a5195", "#d1362f", "#e39a2d", "#128a4e")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
count = 200 if options.quick else 1000  # worlds to try a plan in


def aground(position):
    """Whether it is on the rock."""
    return jnp.linalg.norm(position - jnp.array(ROCK), axis=-1) < RADIUS


class Place(ebm.AbstractState):
    """Where the boat is, m."""

    position: jax.Array

    def read(self, name):
        return {"boat": self.position}[name]


class Boat(ebm.AbstractWorldModel):
    """It goes as it is told, m/s, and with a current from the side, another one in every world; on the rock it stays."""

    action_space: ebm.Box = ebm.Box([-1.0, -1.0], [1.0, 1.0])
    dt: float = eqx.field(static=True, default=DT)

    def example_state(self):
        return Place(jnp.zeros(2))

    def sample_latents(self, horizon, *, key):
        return ebm.Latents(episode=jax.random.normal(key) * jnp.array([0.0, 1.0]))

    def step(self, state, action, latents=None):
        current = 0.0 if latents is None else CURRENT * latents.episode
        return Place(state.position + jnp.where(aground(state.position), 0.0, self.dt * (action + current)))


boat, start = Boat(), Place(jnp.array(START))
energy = ebm.Reach("boat", GOAL, tolerance=1.0)
now = ebm.Now(tick=0, previous_action=jnp.zeros(2))
planner = planners.CEM(HORIZON, 512, num_iterations=30, num_knots=8, noise=0.5)
unseen = jax.vmap(lambda key: boat.sample_latents(HORIZON, key=key))(jax.random.split(jax.random.key(1), count))


@eqx.filter_jit
def plan(problem):
    """Where the planned actions lead in worlds that were not drawn when they were planned, and the energy in each."""
    found, _ = planner.plan(problem, start, planner.init(problem, start, key=jax.random.key(0)), now)
    return jax.vmap(lambda latents: boat.rollout(start, found.actions, latents).position)(unseen)


figure, panels = plt.subplots(2, 2, figsize=(10, 5.2), sharex=True, sharey=True, layout="constrained")
share = {}
for (name, risk), colour, axes in zip(RISKS.items(), COLOURS, panels.flat, strict=True):
    ways = np.asarray(plan(ebm.Problem(boat, energy, risk=risk, num_latents=64)))
    share[name] = 100 * float(aground(ways).any(1).mean())
    axes.add_patch(plt.Circle(ROCK, RADIUS, fc="#dddddd", hatch="///", ec="#666666"))
    axes.plot(*ways[:100].T, color=colour, lw=0.6, alpha=0.5)
    axes.plot(*GOAL, "k*", ms=12)
    axes.set_title(f"{name} counts: aground in {share[name]:.1f} % of the worlds", fontsize=10, color=colour)
    axes.set(aspect="equal", xlim=(-1.8, 2.2), ylim=(-1.5, 1.9))
    axes.spines[["top", "right"]].set_visible(False)
figure.supxlabel("m, in 100 worlds that were not drawn when it was planned", fontsize=10)
figure.savefig(options.out / "risk.png", dpi=100)
print(f"{share['the worst tenth']:.1f} % run aground when the worst tenth of the worlds counts, {share['the mean']:.1f} % with the mean.")
