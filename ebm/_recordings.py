"""Episodes that were played somewhere, as a world model learns from them."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped


class Recordings(eqx.Module):
    """Episodes one after another, a row for everything that was seen.

    A row has what was seen, what was done next, and the reward with which one came there. Nothing is done in the last row of an episode,
    where actions are NaN (or 0, if they are integers), and no reward has come in the first, where rewards are NaN.

    **Arguments:**

    - `observations`: an array, or any PyTree of arrays, with a leading axis of rows. `actions`: shape (row, ...).
    - `rewards`: shape (row,). `terminated`, `truncated`: shape (row,), how an episode ended; false before its last row.
    - `lengths`: rows of each episode, shape (episode,).

    **Raises:**

    `ValueError` if their numbers of rows differ, or are not what the lengths say, or if something that was seen is not finite.
    """

    observations: PyTree[Shaped[Array | np.ndarray, "row ..."]]
    actions: Shaped[Array | np.ndarray, "row ..."]
    rewards: Float[Array | np.ndarray, " row"]
    terminated: Bool[Array | np.ndarray, " row"]
    truncated: Bool[Array | np.ndarray, " row"]
    lengths: Int[Array | np.ndarray, " episode"]

    def __check_init__(self):
        columns = [*jax.tree.leaves(self.observations), self.actions, self.rewards, self.terminated, self.truncated]
        counts = {len(column) for column in columns}
        if len(counts) != 1:
            raise ValueError(f"Observations, actions, rewards and ends must have as many rows as each other, got {sorted(counts)}.")
        if isinstance(self.lengths, np.ndarray) and int(self.lengths.sum()) != (rows := counts.pop()):
            raise ValueError(f"The lengths of the episodes add up to {int(self.lengths.sum())}, but there are {rows} rows.")
        for path, column in jax.tree_util.tree_leaves_with_path(self.observations):
            if isinstance(column, np.ndarray) and np.issubdtype(column.dtype, np.inexact) and not np.isfinite(column).all():
                row = int(np.argwhere(~np.isfinite(column))[0][0])
                raise ValueError(f"What was seen is not finite in row {row}, leaf {jax.tree_util.keystr(path)!r}. Leave that episode out.")

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.lengths)

    def __getitem__(self, number: int) -> "Recordings":
        """One episode, by its number.

        **Raises:**

        `IndexError` if there is no such episode.
        """
        if not -len(self) <= number < len(self):
            raise IndexError(f"There are {len(self)} episodes, and none has the number {number}.")
        number %= len(self)
        first = int(self.lengths[:number].sum())
        rows = slice(first, first + int(self.lengths[number]))
        kept = jax.tree.map(lambda column: column[rows], self)
        return eqx.tree_at(lambda each: each.lengths, kept, self.lengths[number : number + 1])

    def draw(self, key: Key[Array, ""], *, films: int, frames: int) -> tuple[PyTree[Array], Array]:
        """Random pieces of episodes, of which every one is as likely: batches for `joint_loss` and the like.

        `ebm.Trainer(ebm.joint_loss, eqx.Partial(recordings.draw, films=64, frames=5), ...)` learns from them.

        **Arguments:**

        - `films`, `frames`: their number, and the rows of each. Both are static.

        **Returns:**

        What was seen, leaves (film, frame, ...), and what was done between, shape (film, frame - 1, ...).

        **Raises:**

        `ValueError` if no episode has so many rows.
        """
        if isinstance(self.lengths, np.ndarray) and self.lengths.max(initial=0) < frames:
            longest = int(self.lengths.max(initial=0))
            raise ValueError(f"No episode has {frames} rows, the longest has {longest}. Draw films of fewer frames.")
        lengths = jnp.asarray(self.lengths)
        pieces = jnp.maximum(lengths - (frames - 1), 0)
        until = jnp.cumsum(pieces)
        total = eqx.error_if(until[-1], until[-1] == 0, f"No episode has {frames} rows. Draw films of fewer frames.")
        piece = jax.random.randint(key, (films,), 0, total)
        episode = jnp.searchsorted(until, piece, side="right")
        first = jnp.cumsum(lengths)[episode] - lengths[episode] + piece - (until[episode] - pieces[episode])
        rows = first[:, None] + jnp.arange(frames)
        seen = jax.tree.map(lambda column: jnp.asarray(column)[rows], self.observations)
        return seen, jnp.asarray(self.actions)[rows[:, :-1]]

    @classmethod
    def of_episode(
        cls,
        observations: PyTree,
        actions: np.ndarray,
        rewards: np.ndarray,
        *,
        terminated: bool | np.bool_ = False,
        truncated: bool | np.bool_ = True,
    ) -> "Recordings":
        """One episode, of what was seen, and, one less, what was done and what reward it brought.

        **Arguments:**

        - `observations`: leaves (step + 1, ...). `actions`: shape (step, ...). `rewards`: shape (step,).
        """
        nothing = np.full_like(actions[:1], np.nan if np.issubdtype(actions.dtype, np.inexact) else 0)
        came = np.concatenate([[np.nan], np.ravel(rewards)]).astype(np.float32)
        ends = np.zeros((2, len(actions) + 1), bool)
        ends[:, -1] = terminated, truncated
        lengths = np.array([len(actions) + 1], np.int32)
        return cls(jax.tree.map(np.asarray, observations), np.concatenate([actions, nothing]), came, ends[0], ends[1], lengths)

    @classmethod
    def join(cls, several: "Sequence[Recordings]") -> "Recordings":
        """One after another: from several files, or of several robots.

        **Raises:**

        `ValueError` if there are none, or what was seen or done has not the same shape and type everywhere.
        """
        if not several:
            raise ValueError("There are no recordings to join.")
        kinds = [jax.tree.map(lambda column: f"{column.dtype} {column.shape[1:]}", (each.observations, each.actions)) for each in several]
        for number, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise ValueError(f"Recordings 0 and {number} differ in the shapes or types of what was seen or done: {kinds[0]}, {kind}.")
        return jax.tree.map(lambda *columns: np.concatenate(columns), *several)
