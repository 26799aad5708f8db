"""Options that cannot work, of whatever there is: each is refused at once, by its name."""

import jax.numpy as jnp
import numpy as np
import pytest
from test_hierarchical import lower_problem
from test_recovery import GOAL, KEY, at, now
from worlds import Cart

import ebm
import planners

BAD = [
    (lambda: planners.MPPI(4, noise=np.nan), "noise"),
    (lambda: planners.MPPI(4, num_knots=2.5), "num_knots"),
    (lambda: planners.MPPI(4, effective=7.0), "effective"),
    (lambda: planners.MPPI(4, basis="linear"), "basis"),
    (lambda: planners.CEM(4, elites=0), "elites"),
    (lambda: planners.CEM(4, momentum=1.5), "momentum"),
    (lambda: planners.GradientPlanner(4.0), "horizon"),
    (lambda: planners.GradientPlanner(4, learning_rate=-1.0), "learning_rate"),
    (lambda: planners.GradientPlanner(4, combine="pcgrad"), "combine"),
    (lambda: planners.ILQR(4, damping=-1.0), "damping"),
    (lambda: planners.ILQR(4, damping=[0.1, 0.2]), "damping"),
    (lambda: planners.MPPI(4, effective=[0.1, 0.2]), "effective"),
    (lambda: planners.GradientPlanner(4, optimiser="adam"), "optimiser"),
    (lambda: planners.LatticeSearch(4, coordinates="position"), "coordinates"),
    (lambda: planners.make("lattice", lower_problem(), horizon=4, cell=[0.1, 0.2, 0.3]).predict(at(0.0)), "cell"),
    (lambda: planners.make("categorical", lower_problem(), choices=ebm.Discrete(1.0)), "choices"),
    (lambda: planners.make("mppi", Cart()), "problem"),
    (lambda: planners.make("mppi", lower_problem(), perceiver="eyes"), "perceiver"),
    (lambda: planners.Agent(lower_problem(), planners.MPPI), "planner"),
    (lambda: planners.Agent(lower_problem(), None), "planner"),
    (lambda: planners.Realtime(lower_problem()), "agent"),
    (lambda: planners.planner("..x:Y"), "Python path"),
    (lambda: planners.Collocation(4, num_synced=1.5), "num_synced"),
    (lambda: planners.AugmentedLagrangian(planners.MPPI(4), penalty=0.0), "penalty"),
    (lambda: planners.AugmentedLagrangian(planners.EventTriggered(planners.MPPI(4))), "around"),
    (lambda: planners.EventTriggered("mppi"), "planner"),
    (lambda: planners.EventTriggered(planners.MPPI(4), tolerance=np.nan), "tolerance"),
    (lambda: planners.Collocation(4, tighten=np.nan), "tighten"),
    (lambda: planners.BeamSearch(4, penalty=np.nan), "penalty"),
    (lambda: planners.Realtime(planners.Agent(lower_problem(), planners.MPPI(4)), deadline=np.inf), "deadline"),
    (lambda: planners.PlannerModel(lower_problem(), planners.MPPI(4), ebm.Box([0.0], [1.0]), period=2.5), "period"),
    (lambda: ebm.Entropic(np.inf), "temperature"),
    (lambda: ebm.Entropic(1e38), "temperature"),
    (lambda: planners.validate(lower_problem(), at(0.0), jnp.zeros((4, 2)), now(), key=KEY), "column"),
    (lambda: planners.warmup(planners.Agent(lower_problem(), planners.MPPI(4)), choose=True, noises=(np.nan, 0.3)), "noises"),
    (lambda: planners.warmup(planners.Agent(lower_problem(), planners.MPPI(4)), choose=True, steps=0), "steps"),
    (lambda: planners.OrnsteinUhlenbeck(1.5), "memory"),
    (lambda: planners.BarrierFilter(steps=0), "steps"),
    (lambda: planners.BarrierFilter(rate=5.0), "rate"),
    (lambda: planners.LatticeSearch(4, cell=0.0), "cell"),
    (lambda: planners.planner(":X"), "module:Class"),
    (lambda: planners.planner("planners:AbstractPlanner"), "abstract"),
    (lambda: planners.make("mppi", lower_problem(), noise=(0.1, 0.2, 0.3)), "noise"),
    (lambda: planners.make("categorical", lower_problem(), choices=[[0.0]]), "choices"),
    (lambda: ebm.Discrete([[np.nan]]), "finite"),
    (lambda: planners.make("beam", lower_problem(), width=40_000, resolution=100).predict(at(0.0)), "width"),
    (lambda: ebm.Problem(Cart(), GOAL, num_latents=1.5), "num_latents"),
]


@pytest.mark.parametrize(("make", "named"), BAD, ids=[named for _, named in BAD])
def test_an_option_that_cannot_work_is_named(make, named):
    with pytest.raises((ValueError, TypeError), match=named):
        make()
