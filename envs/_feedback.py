"""Following a feedback law on the C engine: one period at a time, all rows together, without going back to JAX in between."""

import math
from typing import TYPE_CHECKING

import numpy as np

from ._differences import rows_of, tangent_between

if TYPE_CHECKING:
    from ._engine import Engine


def follow(first, physics, inputs, actions, change, gain, memory, low, high, parameters, *, engine: "Engine") -> np.ndarray:
    """What `AbstractWorldModel.follow` sends, for any broadcastable batch axes; float32. NaN from where the physics diverged.

    **Arguments:**

    - `first`: (*batch, physics), where to begin. `physics`: (*batch, horizon + 1, physics), of the trajectory. `inputs`: (*batch, inputs).
    - `actions`: (*batch, horizon, nu).
    - `change`, `low`, `high`: (*batch, horizon, nu). `gain`: (*batch, horizon, nu, tangent). `memory`: (*batch, horizon, nu, nu).
    """
    trailing = (1, 2, 1, 2, 2, 3, 3, 2, 2, 1)
    arrays = [np.asarray(x, np.float64) for x in (first, physics, inputs, actions, change, gain, memory, low, high, parameters)]
    batch = np.broadcast_shapes(*(x.shape[: x.ndim - t] for x, t in zip(arrays, trailing, strict=True)))
    first, physics, inputs, actions, change, gain, memory, low, high, parameters = (
        rows_of(x, batch, t) for x, t in zip(arrays, trailing, strict=True)
    )
    count, horizon, nu = actions.shape
    sent = np.empty((count, horizon, nu))
    now, before = first.copy(), np.zeros((count, nu))
    num_state = engine.layout.tangent - engine.layout.late_sensors.size
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(horizon):
            error = tangent_between(engine.layout, physics[:, t], now)
            moved = change[:, t] + np.einsum("bij,bj->bi", gain[:, t, :, :num_state], error) + np.einsum("bij,bj->bi", memory[:, t], before)
            sent[:, t] = np.clip(actions[:, t] + moved, low[:, t], high[:, t])
            before = sent[:, t] - actions[:, t]
            after, _, good = engine.simulate(now, sent[:, t : t + 1], inputs, parameters, extra=0)
            now = after[:, -1].copy()
            if good is not None:
                now[~good[:, -1]] = np.nan
    return sent.astype(np.float32).reshape(*batch, horizon, nu) if math.prod(batch) else np.empty((*batch, horizon, nu), np.float32)
