"""Search, then refine."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from ._checks import check_kinds
from ._planner import AbstractPlanner
from ._rank import choose


class HybridPlanner(AbstractPlanner):
    """One planner finds the valley, another walks down it: sampling for what is discontinuous, gradients for precision.

    The better of both plans is kept, so refining never makes a plan worse.

    **Arguments:**

    - `search`: finds a plan, such as `iCEM`. One that can `adopt` actions goes on from the refined plan.
    - `refine`: improves it: `GradientPlanner`, `ILQR`, or anything else that can `adopt` actions.

    Bharadhwaj, Xie and Shkurti 2020, "Model-predictive control via cross-entropy and gradient-based optimization", arXiv:2004.08763.
    """

    search: AbstractPlanner
    refine: AbstractPlanner

    def __check_init__(self):
        check_kinds(self, search=AbstractPlanner, refine=AbstractPlanner)
        if self.search.horizon != self.refine.horizon:
            raise ValueError(f"Both planners need one horizon, got {self.search.horizon} and {self.refine.horizon}. Give both the same.")
        if not self.refine.adopts:
            raise ValueError(f"{type(self.refine).__name__} cannot begin at given actions. Refine by GradientPlanner, ILQR or Collocation.")

    @property
    def horizon(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.search.horizon

    @property
    def requires(self):
        return self.search.requires | self.refine.requires

    def init(self, problem, state, *, key):
        return self.search.init(problem, state, key=key), self.refine.init(problem, state, key=key)

    def adopt(self, problem, plan_state, actions):
        return self._told(problem, plan_state[0], actions), self.refine.adopt(problem, plan_state[1], actions)

    def plan(self, problem, state, plan_state, now):
        found, searching = self.search.plan(problem, state, plan_state[0], now)
        refining = self.refine.adopt(problem, plan_state[1], found.actions)
        at_once = eqx.tree_at(lambda n: n.elapsed, now, jnp.zeros_like(now.elapsed))
        refined, refining = self.refine.plan(problem, state, refining, at_once)
        flat = [dataclasses.replace(plan, upper=None) for plan in (found, refined)]
        plan = choose(jax.tree.map(lambda *leaves: jnp.stack(leaves), *flat))
        plan = dataclasses.replace(plan, upper=found.upper)
        return plan, (self._told(problem, searching, plan.actions), refining)

    def _told(self, problem, searching, actions):
        return self.search.adopt(problem, searching, actions) if self.search.adopts else searching
