"""Training: one compiled epoch, one loop around it, and a checkpoint after every epoch from which the rest follows bit for bit."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree

from ._jepa import trainable
from ._serialize import load, save
from ._types import all_finite

Loss = Callable[[Any, PyTree, Float[Array, ""], Key[Array, ""]], tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def _unchanged(module: Any, share: Float[Array, ""]) -> Any:
    del share
    return module


class Progress(eqx.Module):
    """Where a training is: the module, the optimiser's state, and how many steps were taken."""

    module: Any
    optimiser_state: PyTree
    step: Int[Array, ""]


class Trainer(eqx.Module):
    """How something is trained.

    **Arguments:**

    - `loss`: `(module, batch, share, key) -> (loss, named parts)`, where `share` is how much of the training is done, in [0, 1).
    - `draw`: `key -> batch`. Part of the compiled epoch, so that data are made where they are used.
    - `optimiser`: from Optax; its schedule counts steps.
    - `steps`: of the whole training. `epoch`: of one compiled call, a divisor of `steps`.
    - `settle`: `(module, share) -> module`, after every step, for what moves without learning, such as an average.
    """

    loss: Loss
    draw: Callable[[Key[Array, ""]], PyTree]
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    epoch: int = eqx.field(static=True, default=100)
    settle: Callable[[Any, Float[Array, ""]], Any] = _unchanged

    def __check_init__(self):
        if self.steps < 1 or self.epoch < 1 or self.steps % self.epoch:
            raise ValueError(
                f"`steps` must be a positive multiple of `epoch`, got {self.steps} and {self.epoch}: epochs are compiled whole."
            )

    def init(self, module: Any) -> Progress:
        """The beginning.

        **Raises:**

        `ValueError` if nothing in `module` learns.
        """
        learns = eqx.filter(module, trainable(module))
        if not jax.tree.leaves(learns):
            raise ValueError(
                f"Nothing in {type(module).__name__} learns: see `ebm.trainable`. Build it of layers of `equinox.nn` and `ebm.nets`, "
                "or derive its networks from the abstract ones of `ebm.nets`."
            )
        return Progress(module, self.optimiser.init(learns), jnp.int32(0))

    def advance(self, progress: Progress, key: Key[Array, ""]) -> tuple[Progress, dict[str, Float[Array, ""]]]:
        """One epoch later, and the mean over it of the loss, its named parts and the norm of the gradient.

        The loss is NaN if what learned is not finite any more: a slope can be infinite where the loss is not.
        """
        learning = trainable(progress.module)
        arrays, rest = eqx.partition(progress.module, eqx.is_array)

        def improve(carry, step):
            arrays, optimiser_state = carry
            learns, stays = eqx.partition(eqx.combine(arrays, rest), learning)
            draw_key, loss_key = jax.random.split(jax.random.fold_in(key, step))
            batch, share = self.draw(draw_key), step / self.steps

            def measure(learns):
                return self.loss(eqx.combine(learns, stays), batch, share, loss_key)

            (loss, parts), gradient = eqx.filter_value_and_grad(measure, has_aux=True)(learns)
            updates, optimiser_state = self.optimiser.update(gradient, optimiser_state, learns)
            parts = parts | {"loss": loss, "gradient": optax.tree.norm(gradient)}
            module = self.settle(eqx.combine(eqx.apply_updates(learns, updates), stays), share)
            return (eqx.filter(module, eqx.is_array), optimiser_state), parts

        steps = progress.step + jnp.arange(self.epoch)
        (arrays, optimiser_state), parts = jax.lax.scan(improve, (arrays, progress.optimiser_state), steps)
        means, module = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), parts), eqx.combine(arrays, rest)
        means["loss"] = jnp.where(all_finite(eqx.filter(module, learning)), means["loss"], jnp.nan)
        return Progress(module, optimiser_state, progress.step + self.epoch), means


def fit(
    trainer: Trainer,
    module: Any,
    *,
    key: Key[Array, ""],
    checkpoint: str | Path | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
    devices: Sequence[Any] = (),
) -> Any:
    """Train `module`, or go on where an earlier call with the same checkpoint was stopped.

    **Arguments:**

    - `key`: all randomness comes from it and the number of the step, so that a resumed training ends in the same numbers.
    - `checkpoint`: a file that is written after every epoch, and read first if it is there. All numbers of `module` come from it then,
      weights of objectives too; another number of steps is fine, if what is left of them makes whole epochs.
    - `report`: called after every epoch with the steps done and the means over the epoch.
    - `devices`: such as `jax.devices()`, among which every batch is divided, along the first axis of its leaves. The loss is that of the
      whole batch, statistics in it included, and the training the same but for rounding. They may be of several processes
      (`jax.distributed`), each of which makes the same call; the first writes and reports, and all read the checkpoint.

    **Returns:**

    The trained module.

    **Raises:**

    `CheckpointError` if the checkpoint is damaged, or of another module. `FloatingPointError` if the loss, or what learns, is not finite
    any more: the last good checkpoint is kept. `ValueError` if a batch cannot be divided evenly, if nothing learns, or if there is no
    folder for the checkpoint.
    """
    progress = resume(trainer, module, checkpoint)
    if devices:
        _check_divides(trainer.draw, len(devices))
        mesh = Mesh(devices, ("batch",))
        trainer = eqx.tree_at(lambda t: t.draw, trainer, _Divided(trainer.draw, NamedSharding(mesh, PartitionSpec("batch"))))
        trainer, progress, key = eqx.filter_shard((trainer, progress, key), NamedSharding(mesh, PartitionSpec()))
    first = jax.process_index() == 0
    advance = eqx.filter_jit(Trainer.advance)
    while (done := int(progress.step)) < trainer.steps:
        after, means = advance(trainer, progress, key)
        check_finite(float(means["loss"]), done)
        progress = after
        if checkpoint is not None and first:
            store(checkpoint, progress, trainer)
        if report is not None and first:
            report(int(progress.step), {name: float(value) for name, value in means.items()})
    return jax.tree.map(lambda leaf: leaf.addressable_data(0) if devices and eqx.is_array(leaf) else leaf, progress.module)


def resume(trainer: Trainer, module: Any, checkpoint: str | Path | None) -> Progress:
    """Where the checkpoint is, or the beginning if there is none."""
    progress = trainer.init(module)
    if checkpoint is None:
        return progress
    if not Path(checkpoint).exists():
        if not Path(checkpoint).parent.is_dir():
            raise ValueError(f"There is no folder for the checkpoint {str(checkpoint)!r}. Make it first.")
        return progress
    progress = load(checkpoint, progress)
    left = trainer.steps - int(progress.step)
    if left < 0 or left % trainer.epoch:
        raise ValueError(
            f"{str(checkpoint)!r} is {int(progress.step)} steps on, from where epochs of {trainer.epoch} do not end at {trainer.steps}. "
            "Go on with the `epoch` and `steps` that it was begun with, or name another checkpoint."
        )
    return progress


def check_finite(loss: float, done: int) -> None:
    """Whether the epoch after so many steps may be kept."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"The loss, or what learns, is not finite after step {done}. Are all data? Else lower the learning rate, or clip the gradient."
        )


def store(checkpoint: str | Path, progress: Progress, trainer: Trainer) -> None:
    """Write a checkpoint."""
    save(checkpoint, progress, {"step": int(progress.step), "steps": trainer.steps})


class _Divided(eqx.Module):
    """Draws a batch of which every device makes, and keeps, its part."""

    draw: Callable[[Key[Array, ""]], PyTree]
    sharding: NamedSharding = eqx.field(static=True)

    def __call__(self, key: Key[Array, ""]) -> PyTree:
        return jax.lax.with_sharding_constraint(self.draw(key), self.sharding)


def _check_divides(draw: Callable[[Key[Array, ""]], PyTree], count: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter_eval_shape(draw, jax.random.key(0))):
        if not leaf.shape or leaf.shape[0] % count:
            raise ValueError(
                f"The number of `devices`, {count}, must divide the first axis of every leaf of a batch, and leaf "
                f"'{jax.tree_util.keystr(path)}' has shape {leaf.shape}. Draw another number, or name other devices."
            )
