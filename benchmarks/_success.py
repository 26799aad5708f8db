"""Whether an episode on one of Gymnasium's plants went well, where the plant does not say so itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

AT_TARGET = 0.02  # m, of Reacher's fingertip at the end
PUSHED = 0.1  # m, of Pusher's object from its goal at the end
RUN = 2.0  # m/s, of HalfCheetah over the episode

History = Sequence[Mapping[str, Any]]


def _stands(history: History, seconds: float, terminated: bool) -> bool:
    return not terminated


CRITERIA: dict[str, Callable[[History, float, bool], bool]] = {
    "InvertedPendulum-v5": _stands,
    "InvertedDoublePendulum-v5": _stands,
    "Reacher-v5": lambda history, seconds, terminated: -history[-1]["reward_dist"] <= AT_TARGET,
    "Pusher-v5": lambda history, seconds, terminated: -history[-1]["reward_dist"] <= PUSHED,
    "HalfCheetah-v5": lambda history, seconds, terminated: history[-1]["x_position"] >= RUN * seconds,
}


def success(env: Any, history: History, seconds: float, terminated: bool) -> bool | None:
    """Whether an episode went well, if that can be told.

    **Arguments:**

    - `env`: the plant. `history`: the `info` of every step of the episode, to its end.
    - `seconds`: how long it lasted. `terminated`: whether the plant ended it.
    """
    if not history:
        return None
    inner = env.unwrapped
    if callable(getattr(inner, "success", None)):
        return bool(inner.success(history))
    criterion = CRITERIA.get(env.spec.id if env.spec is not None else "")
    if criterion is not None:
        return bool(criterion(history, seconds, terminated))
    for name in ("is_success", "success"):
        if name in history[-1]:
            return bool(history[-1][name])
    return None
