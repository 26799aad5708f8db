"""What all sampling planners share: knots, the shift in time, proposals, and the search core. An algorithm adds `begin` and `update`."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import ebm

from ._basis import AbstractBasis, Linear, move_on, shift, to_knots
from ._checks import check_counts, check_fits, check_kinds, check_numbers
from ._planner import AbstractPlanner, check_requirements, finish
from ._proposal import AbstractProposal, White
from ._rank import rank
from ._retreat import constants

STEPS_PER_KNOT = 3  # by default


class Belief(eqx.Module):
    """Where good knots are believed to be.

    **Arguments:**

    - `mean`, `std`: shape (knot, action), actuator units.
    - `elites`: good knots of the last round, shape (elite, knot, action); for planners that keep none, those of the last plan.
    - `low`, `high`: the box, shape (action,).
    - `anchors`: knots worth trying in any round, shape (anchor, knot, action): hold, rest, both ends of the box, and the proposal's seeds.
      Noise rarely proposes an end of the box for the whole horizon, and braking with all there is may be the only safe plan left.
    """

    mean: Float[Array, "knot action"]
    std: Float[Array, "knot action"]
    elites: Float[Array, "elite knot action"]
    low: Float[Array, " action"]
    high: Float[Array, " action"]
    anchors: Float[Array, "anchor knot action"]


class SamplingState(eqx.Module):
    """What a sampling planner carries from plan to plan: its belief, how far time is past the first knot (in knots), and a key."""

    mean: Float[Array, "knot action"]
    std: Float[Array, "knot action"]
    elites: Float[Array, "elite knot action"]
    phase: Float[Array, ""]
    key: Key[Array, ""]


class AbstractSamplingPlanner(AbstractPlanner, ebm.AbstractSearch):
    """A planner that tries candidates.

    **Arguments:**

    - `horizon`: actions planned ahead.
    - `num_samples`: candidates per iteration.
    - `num_iterations`: rounds of improvement per plan.
    - `num_knots`: control points of a plan; default one every three steps.
    - `basis`: the curve through the knots.
    - `noise`: standard deviation of the proposals, as a fraction of half the action box; a scalar or one per actuator.
    - `proposal`: how the noise hangs together in time, and what else is tried.
    """

    horizon: int = eqx.field(static=True, default=25)
    num_samples: int = eqx.field(static=True, default=128)
    num_iterations: int = eqx.field(static=True, default=1)
    num_knots: int | None = eqx.field(static=True, default=None)
    basis: AbstractBasis = Linear()
    noise: Float[Array, "*action"] = eqx.field(converter=ebm.to_float, default=0.3)
    proposal: AbstractProposal = White()

    def __check_init__(self):
        check_counts(self, horizon=1, num_samples=2, num_iterations=1, num_knots=1)
        check_numbers(self, noise=(0.0, np.inf))
        check_kinds(self, basis=AbstractBasis, proposal=AbstractProposal)

    @property
    def knots(self) -> int:
        """The number of control points."""
        return self.num_knots if self.num_knots is not None else -(-self.horizon // STEPS_PER_KNOT)

    @property
    def num_elites(self) -> int:
        """How many good candidates are carried between plans; without any the last plan is, so that no plan is worse than following it."""
        return 0

    @abc.abstractmethod
    def begin(self, belief: Belief, initial: Float[Array, "knot action"]) -> Belief:
        """The belief a plan starts from, given what the last one left, moved on in time; `initial` is the standard deviation without it."""

    def propose(self, belief, *, key):
        """The mean, elites, anchors and seeds as far as they fill half the candidates, and noise around the mean; all in the box."""
        certain = jnp.concatenate([belief.mean[None], belief.elites, belief.anchors])[: max(self.num_samples // 2, 1)]
        samples = belief.mean + belief.std * self.proposal.noise((self.num_samples, *belief.mean.shape), key=key)
        return jnp.clip(jnp.concatenate([certain, samples[certain.shape[0] :]]), belief.low, belief.high)

    def init(self, problem, state, *, key):
        del state
        check_requirements(self, problem)
        box = problem.action_space
        check_fits(self, box.size, "noise")
        mean = jnp.broadcast_to(box.rest, (self.knots, box.size))
        elites = jnp.broadcast_to(mean, (max(self.num_elites, 1), *mean.shape))
        return SamplingState(mean, self._initial(problem), elites, jnp.zeros(()), key)

    def adopt(self, problem, plan_state, actions):
        knots = problem.action_space.clip(to_knots(self.basis, actions, self.knots))
        first = plan_state.elites.at[0].set(knots)
        return eqx.tree_at(lambda s: (s.mean, s.elites, s.phase), plan_state, (knots, first, jnp.zeros(())))

    def plan(self, problem, state, plan_state, now):
        key, propose_key, world_key = jax.random.split(plan_state.key, 3)
        whole, phase, positions = move_on(self.basis, self.horizon, self.knots, problem.dt, plan_state.phase, now.elapsed)
        box = problem.action_space
        anchors = jnp.repeat(constants(box, now.previous_action)[:, None], self.knots, axis=1)
        seeds = box.clip(self.proposal.seeds(problem, state, now, self.horizon))  # no number becomes one, too
        if seeds.shape[0]:
            anchors = jnp.concatenate([to_knots(self.basis, seeds, self.knots, phase), anchors])
        mean, std, elites = (shift(x, whole) for x in (plan_state.mean, plan_state.std, plan_state.elites))
        start = self.begin(Belief(mean, std, elites, box.low, box.high, anchors), self._initial(problem))

        def judge(knots):
            actions = problem.project(self.basis(knots, positions), now)
            return actions, problem.evaluate(state, actions, now, key=world_key)

        def compare(candidates):
            return rank(jax.vmap(judge)(candidates)[1])

        belief, best = ebm.search(self, compare, start, num_iterations=self.num_iterations, key=propose_key)
        # the mean is often better than anything sampled, but nobody has tried it yet
        last = jnp.concatenate([best, belief.mean[None]])
        tried = jax.vmap(judge)(last)
        chosen = rank(tried[1]).best
        actions, value = ebm.pick(tried, chosen)
        if self.num_elites == 0:
            belief = eqx.tree_at(lambda b: b.elites, belief, last[chosen][None])
        fallback = problem.project(self.basis(start.mean, positions), now)
        good = value.finite & ebm.all_finite(state)
        plan = finish(state, jnp.where(good, actions, fallback), value)
        keep = jax.tree.map(lambda new, old: jnp.where(good, new, old), belief, start)
        return plan, SamplingState(keep.mean, keep.std, keep.elites, phase, key)

    def _initial(self, problem: ebm.AbstractProblem) -> Float[Array, "knot action"]:
        box = problem.action_space
        return jnp.broadcast_to(self.noise * box.half_range, (self.knots, box.size))
