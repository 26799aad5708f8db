"""Guardrails as an energy: what an augmented Lagrangian adds."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import ebm


class Multipliers(ebm.AbstractStageEnergy):
    """`½ ρ Σ max(v + margin + λ/ρ, 0)²` over guardrails, at every state but the first.

    In units of energy: the running cost is that over dt.
    """

    guardrails: tuple[ebm.AbstractGuardrail, ...]
    multipliers: Float[Array, "guardrails horizon"]
    penalty: Float[Array, ""]
    margin: Float[Array, ""]
    tick: Int[Array, ""]
    num_actions: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def stage(self, state, action, previous_action, time):
        r, weights = self.stage_residual(state, action, previous_action, time)
        return 0.5 * jnp.sum(weights * r**2)

    def final(self, state, time):
        r, weights = self.final_residual(state, time)
        return 0.5 * jnp.sum(weights * r**2)

    def stage_residual(self, state, action, previous_action, time):
        return self._residual(state, previous_action, time, self.penalty / self.dt)

    def final_residual(self, state, time):
        return self._residual(state, jnp.zeros(self.num_actions), time, self.penalty)

    def terms(self, x):
        return {"guardrails": self(x)}

    def _residual(self, state, led_here, time, weight):
        # by comparison: after a day's ticks, float32 has no room for the difference of two times, and a guardrail must not vanish then
        horizon = self.multipliers.shape[1]
        times = (self.tick + jnp.arange(horizon + 1)).astype(jnp.float32) * self.dt
        index = jnp.sum(times - 0.5 * self.dt <= time) - 2
        due = self.multipliers[:, jnp.clip(index, 0, horizon - 1)]
        values = jnp.stack([g.stage(state, led_here, led_here, time) / g.scale for g in self.guardrails])
        r = jnp.where(index >= 0, jnp.maximum(values + self.margin + due / self.penalty, 0.0), 0.0)
        return r, jnp.broadcast_to(weight, r.shape)
