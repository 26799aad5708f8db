"""A problem with every kind of term, for tests."""

import equinox as eqx
import jax
from worlds import Drift, PointMass, actions, now, point

import ebm

KEY = jax.random.key(3)
GOAL = [0.6, 0.1]
# An energy of a few units, so that differences of it are good to float32.
ENERGY = (
    ebm.Reach("site:tip", GOAL, tolerance=0.3)
    + 0.2 * ebm.Effort()
    + 0.1 * ebm.Smoothness()
    + ebm.Terminal(ebm.Velocity("site:tip", tolerance=1.0))
)
RAILS = (ebm.KeepBelow("site:tip", 0.35, axis="x", scale=0.1), ebm.KeepApart("site:tip", GOAL, 0.2, name="apart"))
UNSURE = PointMass(uncertain=True)
MODELS = {"certain": PointMass(), "unsure": UNSURE, "drift": Drift()}


def problem(model=UNSURE, energy=ENERGY, guardrails=RAILS, **options):
    return ebm.Problem(model, energy, guardrails, **options)


def plainly(case, planned=None, moment=None, key=KEY):
    return case.evaluate(point(), actions() if planned is None else planned, now(2, (0.1, 0.1)) if moment is None else moment, key=key)


evaluate = eqx.filter_jit(plainly)
