"""The last line of defence: safety filters, with or without a planner before them."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

import ebm

from ._checks import check_counts
from ._rank import rank
from ._retreat import constants


class AbstractFilter(eqx.Module):
    """Lets a safe action pass, and changes one that is not. Uses the guardrails of the problem, and nothing of its energy.

    Give it to `Agent(..., filter=...)`, or call it behind any other controller: a network, a joystick.
    """

    @abc.abstractmethod
    def __call__(
        self, problem: Any, state: PyTree, action: Float[Array, " action"], now: ebm.Now
    ) -> tuple[Float[Array, " action"], Bool[Array, ""]]:
        """The action to send, and whether that is another one than the given: by the filter, or by the limits.

        **Arguments:**

        - `problem`: its model, guardrails and limits are used.
        - `action`: what is about to be sent, actuator units. A component that is not finite stands for what was sent last.
        """


class BackupFilter(AbstractFilter):
    """An action passes if, after it, some simple behaviour keeps every guardrail: hold it, rest, either end of the box, or a backup policy.

    What it lets pass stays safe as long as the model is right, for the behaviour that made it safe is there at the next step, too. If none
    is, the behaviour that violates least begins at once; there, what is held is what was sent before. All behaviours are imagined in one
    batched rollout. If a guardrail is not a number in any of them, the actuators rest; of a state that is not finite nothing is known, and
    the action passes.

    **Arguments:**

    - `horizon`: steps over which a behaviour is imagined; long enough to come to rest.
    - `backup`: `(problem, state, now, horizon) -> actions` of shape (behaviours, horizon, action), tried beside the simple ones, from here
      and from where the action leads; see `planners.follow` for a policy.

    Wabersich and Zeilinger 2021, "A predictive safety filter for learning-based control of constrained nonlinear dynamical systems".
    """

    horizon: int = eqx.field(static=True, default=25)
    backup: Callable[[Any, PyTree, ebm.Now, int], Array] | None = None

    def __check_init__(self):
        check_counts(self, horizon=1)

    def __call__(self, problem, state, action, now):
        asked, action = action, sendable(problem, action[None], now)[0]
        ends = constants(problem.action_space, now.previous_action)
        at_once = jnp.repeat(ends[:, None], self.horizon, axis=1)
        after = at_once.at[0].set(action)  # by then, what was sent before can be held no longer
        if self.backup is not None:
            led_to = jax.tree.map(lambda leaf: leaf[-1], problem.model.rollout(state, action[None]))
            then = ebm.Now(now.tick + 1, action, problem.dt)
            after = jnp.concatenate([after, self.backup(problem, led_to, then, self.horizon)])
            at_once = jnp.concatenate([at_once, self.backup(problem, state, now, self.horizon)])
        first = jnp.broadcast_to(action, (len(after), 1, action.size))
        tried = jnp.concatenate([jnp.concatenate([first, after[:, :-1]], axis=1), at_once])
        sent, values = least_violating(problem, state, tried, now)
        passes = jnp.any((values.finite & (values.violation <= 0))[: len(after)])
        sent = jnp.where(passes | ~(jnp.any(values.finite) | ebm.all_finite(state)), action, sent)
        return sent, jnp.any(sent != asked)


def sendable(problem: Any, actions: Float[Array, "count action"], now: ebm.Now) -> Float[Array, "count action"]:
    """The nearest actions that keep the limits; what is not finite is as what was sent last."""
    return problem.project(jnp.where(jnp.isfinite(actions), actions, now.previous_action), now)


def least_violating(
    problem: Any, state: PyTree, tried: Float[Array, "behaviours horizon action"], now: ebm.Now
) -> tuple[Float[Array, " action"], ebm.Evaluation]:
    """The first action of the behaviour that violates guardrails least, rest if nothing is known of any; and how each of them fares."""
    tried, unjudged = jax.vmap(lambda actions: problem.project(actions, now))(tried), problem.unjudged()
    values = jax.vmap(lambda actions: unjudged.evaluate(state, actions, now, key=jax.random.key(0)))(tried)
    rest = problem.project(problem.action_space.rest[None], now)[0]
    return jnp.where(jnp.any(values.finite), tried[rank(values).best, 0], rest), values
