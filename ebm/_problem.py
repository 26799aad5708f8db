"""The narrow waist: everything a planner sees of a world and of what is wanted in it."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from ._energy import AbstractEnergy, AbstractGoalEnergy, AbstractStageEnergy, Indifferent
from ._guardrail import AbstractGuardrail
from ._model import AbstractWorldModel
from ._risk import AbstractRisk, Mean
from ._types import Box, Latents, Now, Numbers, Trajectory, all_finite, concrete, to_float

WORST = 1e30  # times its scale: no violation counts for more


class Evaluation(eqx.Module):
    """What an action sequence is worth.

    **Arguments:**

    - `energy`: lower is better; +inf where the world did not stay finite.
    - `terms`: named parts that sum to the energy. Under a risk measure, each draw's terms weighted by ∂risk/∂energy, plus a
      remainder `"risk"`.
    - `violations`: for each guardrail and step 1 … horizon, the worst over draws, divided by the guardrail's scale.
    - `finite`: whether every state of every draw, and the energy, was finite.
    - `trajectory`, `latents`: of the first draw.
    """

    energy: Float[Array, "*batch"]
    terms: dict[str, Float[Array, "*batch"]]
    violations: dict[str, Float[Array, "*batch horizon"]]
    finite: Bool[Array, "*batch"]
    trajectory: Trajectory
    latents: Latents | None

    @property
    def violation(self) -> Float[Array, "*batch"]:
        """The largest violation; -inf without guardrails. At most 0 is safe."""
        if not self.violations:
            return jnp.full_like(self.energy, -jnp.inf)
        return jnp.max(jnp.stack([jnp.max(v, axis=-1) for v in self.violations.values()]), axis=0)

    @property
    def mean_violation(self) -> Float[Array, "*batch"]:
        """The mean positive part over steps, summed over guardrails: what ranks plans when none is feasible.

        An infinite one counts as `WORST`, so that of two plans that reach it the later one is better; +inf if the world was lost.
        """
        if not self.violations:
            return jnp.zeros_like(self.energy)
        parts = [jnp.mean(jnp.clip(v, 0.0, WORST), axis=-1) for v in self.violations.values()]
        return jnp.where(self.finite, jnp.sum(jnp.stack(parts), axis=0), jnp.inf)


class AbstractProblem(eqx.Module):
    """What a planner is given: sampling planners use `evaluate`, `bounds` and `project` only; others say what else they require."""

    model: eqx.AbstractVar[AbstractWorldModel]

    @property
    def dt(self) -> float:
        """s between actions."""
        return float(self.model.dt)

    @property
    def action_space(self) -> Box:
        """The limits of one action."""
        return self.model.action_space

    @property
    @abc.abstractmethod
    def provides(self) -> frozenset[str]:
        """Which of "gradient", "linearize", "step", "stages", "guardrails" this problem offers."""

    @abc.abstractmethod
    def evaluate(self, state: PyTree, actions: Float[Array, "horizon action"], now: Now, *, key: Key[Array, ""]) -> Evaluation:
        """Imagine what `actions` lead to from `state`, and judge it.

        **Arguments:**

        - `state`: where the world is, one state of the model.
        - `actions`: actuator units.
        - `now`: the moment it starts.
        - `key`: draws the latents. Candidates given one key meet the same worlds.
        """

    @abc.abstractmethod
    def project(self, actions: Float[Array, "horizon action"], now: Now) -> Float[Array, "horizon action"]:
        """The actions, made executable: inside the box, and inside rate limits step by step from `now.previous_action`."""

    def unjudged(self) -> "AbstractProblem":
        """The same problem without an energy: its `evaluate` says only where actions lead, and what they violate."""
        return self

    def bounds(self, now: Now, horizon: int) -> Box:
        """The limits of each of the next steps, shape (horizon, action)."""
        del now
        shape = (horizon, self.action_space.size)
        return Box(jnp.broadcast_to(self.action_space.low, shape), jnp.broadcast_to(self.action_space.high, shape))

    def with_goal(self, goal: Numbers, name: str | None = None) -> "AbstractProblem":
        """The same problem with another goal; nothing retraces.

        **Arguments:**

        - `goal`: the shape of the goal it replaces.
        - `name`: of the goal energy; may be left out if there is only one. A goal that follows a reading is replaced only by its name.

        **Raises:**

        `ValueError` listing the names, if `name` is not among them or is needed; or if the shape differs.
        """
        places = _goals(self) if name is None else dict(enumerate(goals(self)))
        known = ", ".join(repr(n) for n in sorted({energy.name for energy in places.values()})) or "none"
        if name is None and len({energy.name for energy in places.values()}) != 1:
            raise ValueError(f"`name` is needed to say which goal to change: this problem has {known}.")
        chosen = [i for i, energy in places.items() if name is None or energy.name == name]
        if not chosen:
            raise ValueError(f"There is no goal named {name!r}: this problem has {known}.")
        goal = jnp.atleast_1d(to_float(goal))
        return eqx.tree_at(lambda tree: [goals(tree)[i] for i in chosen], self, [places[i].towards(goal) for i in chosen])


class Problem(AbstractProblem):
    """Minimise an energy through a world model, under guardrails.

    **Arguments:**

    - `model`: the world.
    - `energy`: of a `Trajectory`; what is wanted.
    - `guardrails`: what must never happen.
    - `risk`: summarises the energies of several latent draws.
    - `num_latents`: draws per evaluation. More than one is useful only for a model that has latents.
    - `rate_limit`: actuator units per second, a scalar or one per actuator; `None` for none.
    - `limits`: a narrower action box, shape (action,), or one for every control period since the episode began, shape (period, action), of
      which the last one stays; `None` for the model's own.

    **Raises:**

    `ValueError` for two guardrails of one name, `num_latents < 1`, or limits that leave no action of the model; `TypeError` if something is
    not what its name says.
    """

    model: AbstractWorldModel
    energy: AbstractEnergy
    guardrails: tuple[AbstractGuardrail, ...]
    risk: AbstractRisk
    num_latents: int = eqx.field(static=True)
    rate_limit: Float[Array, " action"] | None
    limits: Box | None

    def __init__(
        self,
        model: AbstractWorldModel,
        energy: AbstractEnergy,
        guardrails: tuple[AbstractGuardrail, ...] | list[AbstractGuardrail] | AbstractGuardrail = (),
        *,
        risk: AbstractRisk | None = None,
        num_latents: int = 1,
        rate_limit: Numbers | None = None,
        limits: Box | None = None,
    ):
        if not isinstance(model, AbstractWorldModel):
            raise TypeError(f"`model` must be a world model, got {model!r}.")
        if not isinstance(energy, AbstractEnergy):
            raise TypeError(f"`energy` must be an energy of trajectories such as `ebm.Reach(...)`, got {energy!r}.")
        guardrails = (guardrails,) if isinstance(guardrails, AbstractGuardrail) else tuple(guardrails)
        for guardrail in guardrails:
            if not isinstance(guardrail, AbstractGuardrail):
                raise TypeError(f"`guardrails` must hold guardrails such as `ebm.KeepBelow(...)`, got {guardrail!r}.")
        names = [guardrail.name for guardrail in guardrails]
        if len(set(names)) != len(names):
            raise ValueError(f"Two guardrails share a name in {names}, and one would hide the other. Pass `name=` to tell them apart.")
        if risk is not None and not isinstance(risk, AbstractRisk):
            raise TypeError(f"`risk` must be a risk measure such as `ebm.WorstCase()`, got {risk!r}.")
        if not isinstance(num_latents, int | np.integer) or num_latents < 1:
            raise ValueError(f"`num_latents` must be a positive integer, got {num_latents}. It counts the worlds each plan is tried in.")
        size = model.action_space.size
        if rate_limit is not None:
            rate_limit = to_float(rate_limit)
            if rate_limit.shape not in ((), (size,)):
                raise ValueError(
                    f"`rate_limit` must be a scalar or have one entry for each of {size} actuators, got shape {rate_limit.shape}."
                )
            rate_limit = jnp.broadcast_to(rate_limit, (size,))
            if concrete(rate_limit) and not (np.asarray(rate_limit) >= 0).all():
                raise ValueError(f"`rate_limit` must not be negative, got {rate_limit}. It is the largest change per second.")
        self.model, self.energy, self.guardrails = model, energy, guardrails
        self.risk = Mean() if risk is None else risk
        self.num_latents = num_latents
        self.rate_limit = rate_limit
        self.limits = None if limits is None else _within(limits, model.action_space)

    @property
    def provides(self):
        stages = {"stages"} if isinstance(self.energy, AbstractStageEnergy) else set()
        return frozenset({"gradient", "linearize", "step", "guardrails"} | stages)

    def relaxed(self, energy: AbstractEnergy) -> "Problem":
        """The same problem without guardrails, and with another energy in which they may reappear."""
        return Problem(self.model, energy, risk=self.risk, num_latents=self.num_latents, rate_limit=self.rate_limit, limits=self.limits)

    def unjudged(self):
        return eqx.tree_at(lambda problem: problem.energy, self, Indifferent())

    def evaluate(self, state, actions, now, *, key):
        actions = to_float(actions)
        if self.num_latents == 1:
            latents = self.model.sample_latents(actions.shape[0], key=key)
            return self._judge(state, actions, now, latents)
        latents = self.model.sample_worlds(actions.shape[0], self.num_latents, key=key)
        draws = jax.vmap(lambda latents: self._judge(state, actions, now, latents), axis_size=self.num_latents)(latents)
        risk, slope = jax.value_and_grad(self.risk)(draws.energy)
        finite = jnp.all(draws.finite) & jnp.isfinite(risk)
        terms = {name: jnp.sum(jnp.where(slope == 0, 0.0, slope * value)) for name, value in draws.terms.items()}
        terms["risk"] = terms.get("risk", 0.0) + risk - sum(terms.values())
        first = jax.tree.map(lambda leaf: leaf[0], (draws.trajectory, draws.latents))
        violations = {name: jnp.where(finite, jnp.max(value, axis=0), jnp.inf) for name, value in draws.violations.items()}
        return Evaluation(jnp.where(finite, risk, jnp.inf), terms, violations, finite, *first)

    @property
    def action_space(self):
        return self.model.action_space if self.limits is None or self._scheduled else self.limits

    def bounds(self, now, horizon):
        limits = self.limits
        if limits is None or not self._scheduled:
            return super().bounds(now, horizon)
        periods = jnp.clip(now.tick + jnp.arange(horizon), 0, limits.low.shape[0] - 1)
        return Box(limits.low[periods], limits.high[periods])

    def project(self, actions, now):
        actions = to_float(actions)
        if self.rate_limit is None and not self._scheduled:
            return self.action_space.clip(actions)
        box = self.bounds(now, actions.shape[0])
        actions = box.clip(actions)
        if self.rate_limit is None:
            return actions
        reach = self.rate_limit * self.dt

        def limit(previous, step):
            action, low, high = step
            action = jnp.clip(jnp.clip(action, previous - reach, previous + reach), low, high)
            return action, action

        return jax.lax.scan(limit, self.action_space.clip(now.previous_action), (actions, box.low, box.high))[1]

    @property
    def _scheduled(self) -> bool:
        """Whether the limits change from one control period to the next."""
        return self.limits is not None and self.limits.low.ndim > 1

    def _judge(self, state, actions, now, latents) -> Evaluation:
        states = self.model.rollout(state, actions, latents)
        trajectory = Trajectory(states, actions, now, self.dt)
        terms = {name: to_float(value) for name, value in self.energy.terms(trajectory).items()}
        for name, value in terms.items():
            if value.ndim != 0:
                raise ValueError(f"An energy is a scalar, but the term {name!r} has shape {value.shape}. Sum over its components.")
        energy = sum(terms.values(), jnp.float32(0.0))
        finite = all_finite(states) & jnp.isfinite(energy)
        after = jax.tree.map(lambda leaf: leaf[1:], states)
        arguments = (after, actions, trajectory.previous_actions, trajectory.times[1:])
        violations = {g.name: to_float(jax.vmap(g.stage)(*arguments) / g.scale) for g in self.guardrails}
        for name, value in violations.items():
            if value.ndim != 1:
                raise ValueError(f"A violation is a scalar, but that of {name!r} has shape {value.shape[1:]}. Take the maximum.")
        finite = finite & jnp.all(jnp.array([jnp.all(~jnp.isnan(v)) for v in violations.values()] or [True]))
        violations = {name: jnp.where(finite, value, jnp.inf) for name, value in violations.items()}
        return Evaluation(jnp.where(finite, energy, jnp.inf), terms, violations, finite, trajectory, latents)


def goal_axes(problem: AbstractProblem) -> Any:
    """The `in_axes` for `eqx.filter_vmap` that batch the goals of a problem and nothing else.

    **Returns:**

    A tree like `problem` with 0 at every goal and `None` elsewhere. As `out_axes` it makes the batch too:
    `eqx.filter_vmap(problem.with_goal, out_axes=goal_axes(problem))(goals)`.
    """
    places = _goals(problem)
    unbatched = jax.tree.map(lambda _: None, problem)
    return eqx.tree_at(lambda tree: [goals(tree)[i].goal for i in places], unbatched, [0] * len(places), is_leaf=lambda leaf: leaf is None)


def _within(limits: Box, space: Box) -> Box:
    """The part of the limits that the model's action box leaves.

    **Raises:**

    `ValueError` if that is nothing, or the sizes differ; `TypeError` if it is no box.
    """
    if not isinstance(limits, Box):
        raise TypeError(f"`limits` must be a box such as `ebm.Box(low, high)`, got {limits!r}.")
    if limits.size != space.size or limits.low.ndim > 2 or not limits.low.shape[0]:
        raise ValueError(f"`limits` must have shape ({space.size},) or (periods, {space.size}), got {limits.low.shape}.")
    low, high = jnp.maximum(limits.low, space.low), jnp.minimum(limits.high, space.high)
    if concrete((low, high)) and (np.asarray(low) > np.asarray(high)).any():
        raise ValueError(f"`limits` {limits.low} … {limits.high} leave no action between the model's own {space.low} and {space.high}.")
    return Box(low, high)


def goals(tree: PyTree) -> list[AbstractGoalEnergy]:
    """Every energy with a goal in a problem, an energy, or any other tree, in its order, but none that a world has inside it."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, AbstractGoalEnergy | AbstractWorldModel))
    return [node for node in nodes if isinstance(node, AbstractGoalEnergy)]


def _goals(problem: AbstractProblem) -> dict[int, AbstractGoalEnergy]:
    """The goals that have numbers, and do not follow a reading instead."""
    return {i: node for i, node in enumerate(goals(problem)) if node.goal.size > 0}
