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
        """The action to send, and whether it was changed.

        **Arguments:**

        - `problem`: its model, guardrails and limits are used.
        - `action`: what is about to be sent, actuator units.
        """


class BackupFilter(AbstractFilter):
    """An action passes if, after it, some simple behaviour keeps every guardrail: hold, rest, either end of the box, or a backup policy.

    What it lets pass stays safe as long as the model is right, for the behaviour that made it safe is there at the next step, too. If none
    is, the behaviour that violates least begins at once. All behaviours are imagined in one batched rollout. If a guardrail is not a number
    in any of them, the actuators rest; of a state that is not finite nothing is known, and the action passes.

    **Arguments:**

    - `horizon`: steps over which a behaviour is imagined; long enough to come to rest.
    - `backup`: `(problem, state, now, horizon) -> actions` of shape (behaviours, horizon, action), tried beside the simple ones; see
      `planners.follow` for a policy.

    Wabersich and Zeilinger 2021, "A predictive safety filter for learning-based control of constrained nonlinear dynamical systems".
    """

    horizon: int = eqx.field(static=True, default=25)
    backup: Callable[[Any, PyTree, ebm.Now, int], Array] | None = None

    def __check_init__(self):
        check_counts(self, horizon=1)

    def __call__(self, problem, state, action, now):
        box = problem.action_space
        action = problem.project(action[None], now)[0]
        still = jnp.concatenate([action[None], constants(box, now.previous_action)])
        behaviours = jnp.broadcast_to(still[:, None], (len(still), self.horizon, box.size))
        if self.backup is not None:
            behaviours = jnp.concatenate([behaviours, self.backup(problem, state, now, self.horizon)])
        first = jnp.broadcast_to(action, (len(behaviours), 1, box.size))
        tried = jnp.concatenate([jnp.concatenate([first, behaviours[:, :-1]], axis=1), behaviours])
        tried = jax.vmap(lambda actions: problem.project(actions, now))(tried)
        unjudged = problem.unjudged()
        values = jax.vmap(lambda actions: unjudged.evaluate(state, actions, now, key=jax.random.key(0)))(tried)
        safe = values.finite & (values.violation <= 0)
        passes = jnp.any(safe[: len(behaviours)])
        known = jnp.any(values.finite)
        sent = jnp.where(known, tried[rank(values).best, 0], problem.project(box.rest[None], now)[0])
        sent = jnp.where(passes | ~(known | ebm.all_finite(state)), action, sent)
        return sent, jnp.any(sent != action)
