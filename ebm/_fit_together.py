"""Several trainings at once, such as those of several seeds: one compiled epoch, and a checkpoint of each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._fit import Progress, Trainer, check_finite, resume, store
from ._stack import stack, unstack


def fit_together(
    trainers: Sequence[Trainer],
    modules: Sequence[Any],
    *,
    keys: Sequence[Key[Array, ""]],
    checkpoints: Sequence[str | Path],
    report: Callable[[int, int, dict[str, float]], None] | None = None,
) -> list[Any]:
    """Trainings that differ in numbers only, side by side.

    Each ends as it would by itself, but for rounding, and may go on by itself. After a kill, those that are behind catch up first.

    **Arguments:**

    - `trainers`, `modules`, `keys`, `checkpoints`: of each, as in `fit`.
    - `report`: called after every epoch with the number of a training, its steps done and its means over the epoch.

    **Returns:**

    The trained modules.

    **Raises:**

    `ValueError` if they differ in more than numbers; else as `fit`, as soon as one of them fails.
    """
    trainer = stack(trainers, "Trainers")
    begun = [resume(trainer, module, path) for trainer, module, path in zip(trainers, modules, checkpoints, strict=True)]
    progress, key = stack(begun, "Modules that are trained together"), jnp.stack(keys)
    advance = eqx.filter_jit(_advance)
    while (done := int(jnp.min(progress.step))) < trainer.steps:
        before = progress.step
        progress, means = advance(trainer, progress, key)
        for which in np.flatnonzero(progress.step != before).tolist():
            parts = {name: float(value[which]) for name, value in means.items()}
            check_finite(parts["loss"], done)
            one = unstack(progress, which)
            store(checkpoints[which], one, trainer)
            if report is not None:
                report(which, int(one.step), parts)
    return [unstack(progress.module, which) for which in range(len(begun))]


def _advance(trainer: Trainer, progress: Progress, key: Key[Array, " training"]) -> tuple[Progress, dict[str, Float[Array, " training"]]]:
    """One epoch later for those that are farthest behind."""
    after, means = eqx.filter_vmap(Trainer.advance)(trainer, progress, key)
    behind = progress.step == jnp.min(progress.step)

    def move(after: Any, before: Any) -> Any:
        return jnp.where(behind.reshape(-1, *[1] * (after.ndim - 1)), after, before) if eqx.is_array(after) else after

    return jax.tree.map(move, after, progress), means
