"""Predictive sampling."""

import equinox as eqx

import ebm

from ._sampling import AbstractSamplingPlanner


class PredictiveSampling(AbstractSamplingPlanner):
    """Try the last plan and noisy copies of it; keep the best. The simplest planner that works (Howell et al. 2022, arXiv:2212.00541)."""

    def begin(self, belief, initial):
        return eqx.tree_at(lambda b: b.std, belief, initial)

    def update(self, belief, candidates, ranking):
        return eqx.tree_at(lambda b: b.mean, belief, ebm.pick(candidates, ranking.best))
