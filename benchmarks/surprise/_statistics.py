"""From surprise to numbers: what quadruplets of films say about an expectation, and how sure that is.

A quadruplet has the films AA, BB, AB and BA: contexts A and B, and their outcomes, right or exchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

CELLS = ("AA", "BB", "AB", "BA")
POSSIBLE, IMPOSSIBLE = slice(0, 2), slice(2, 4)
TIE = {"float64": 1e-9, "float32": 2e-6}  # of the size of the scores; sums in another order differ by less
DRAWS = 10_000  # of the bootstrap, and of signs

Scores = Float[np.ndarray, "quadruplet 4"]
Curves = Float[np.ndarray, "quadruplet 4 frame"]


def contrast(scores: Scores) -> Float[np.ndarray, " quadruplet"]:
    """The interaction contrast Δ = S(AB) + S(BA) − S(AA) − S(BB), in which whatever a context or an outcome adds by itself cancels.

    It is 0 where it is but the rounding of sums in another order, which would have a sign, and pass for an effect.
    """
    delta = scores[:, IMPOSSIBLE].sum(1) - scores[:, POSSIBLE].sum(1)
    return np.where(np.abs(delta) <= TIE[delta.dtype.name] * np.abs(scores).sum(1), np.zeros_like(delta), delta)


def wins(better: Float[np.ndarray, "..."], size: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 where `better` is positive, ½ where it is a tie beside `size`, 0 elsewhere: who cannot tell is right half of the time."""
    return np.where(np.abs(better) <= TIE[better.dtype.name] * size, 0.5, (better > 0).astype(float))


def interaction_wins(scores: Scores) -> Float[np.ndarray, " quadruplet"]:
    """Whether the two impossible films surprised more than the two possible ones together: its mean is the interaction accuracy."""
    return wins(contrast(scores), np.abs(scores).sum(1))


def pair_wins(scores: Scores) -> Float[np.ndarray, " quadruplet"]:
    """In how many of the two pairs with one context the impossible film surprised more: its mean is the accuracy in matched pairs."""
    better = scores[:, IMPOSSIBLE] - scores[:, POSSIBLE]
    return wins(better, np.abs(scores[:, IMPOSSIBLE]) + np.abs(scores[:, POSSIBLE])).mean(1)


def all_wins(scores: Scores) -> Float[np.ndarray, " quadruplet"]:
    """Whether both impossible films surprised more than either of the possible ones."""
    better = scores[:, IMPOSSIBLE].min(1) - scores[:, POSSIBLE].max(1)
    return wins(better, np.abs(scores).max(1))


def bootstrap(values: Float[np.ndarray, " quadruplet"], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean over quadruplets, by drawing them again (Efron 1979)."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def sign_flip(values: Float[np.ndarray, " quadruplet"], *, seed: int = 0) -> float:
    """How often a mean at least so large comes about by chance, if each value was as likely to have the other sign (one-sided)."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (DRAWS, len(values)))
    mean = values.mean()
    return float((1 + np.count_nonzero((signs * values).mean(1) >= mean - 1e-12 * abs(mean))) / (1 + DRAWS))


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """The same chances, if so many questions are asked at once (Holm 1979)."""
    adjusted, worst = {}, 0.0
    for rank, (name, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, chance * (len(chances) - rank)))
        adjusted[name] = worst
    return {name: adjusted[name] for name in chances}


def auroc(possible: Float[np.ndarray, " film"], impossible: Float[np.ndarray, " film"]) -> float:
    """The chance that any impossible film surprises more than any possible one, ties counted half (Mann and Whitney 1947)."""
    ordered = np.sort(possible)
    below, upto = np.searchsorted(ordered, impossible, "left"), np.searchsorted(ordered, impossible, "right")
    return float((below + upto).mean() / (2 * len(possible)))


def threshold(possible: Float[np.ndarray, " film"], impossible: Float[np.ndarray, " film"]) -> float:
    """The score above which to call a film impossible, so that most of these films are called rightly: for development films only."""
    places = np.unique(np.concatenate([possible, impossible]))
    places = np.concatenate([[places[0] - 1.0], (places[1:] + places[:-1]) / 2, [places[-1] + 1.0]])
    right = [(possible <= place).mean() + (impossible > place).mean() for place in places]
    return float(places[int(np.argmax(right))])


def localised(curves: Curves, revealed: Sequence[int], window: int) -> tuple[Float[np.ndarray, " quadruplet"], float]:
    """Whether what an exchange adds to the surprise is largest where it can first be seen, in `window` frames from `revealed` on.

    **Returns:**

    For each quadruplet, how many of its two contexts; and the share that the windows have of the films, which is chance.
    """
    frames = curves.shape[-1]
    first = np.asarray(revealed)[:, None]
    peak = (curves[:, IMPOSSIBLE] - curves[:, POSSIBLE]).argmax(-1)
    lengths = np.minimum(first + window, frames) - first
    return ((peak >= first) & (peak < first + window)).mean(1), float(np.clip(lengths, 0, None).mean() / frames)


class Standard(NamedTuple):
    """Mean and deviation of the surprise at every frame of possible films, in units of which curves are comparable."""

    mean: Float[np.ndarray, " frame"]
    deviation: Float[np.ndarray, " frame"]

    def __call__(self, curves: Float[np.ndarray, "*films frame"]) -> Float[np.ndarray, "*films frame"]:
        """Curves in deviations from the mean."""
        return (curves - self.mean) / self.deviation


def standard(curves: Curves) -> Standard:
    """What is usual in the possible ones of these films, which must be development films.

    Half of a frame's variance is that of all frames: where hardly anything ever happens, the least thing would be enormous. So the oracle
    called 41 % of explained violations of inertia impossible that surprised it a quarter as much as real ones.
    """
    films = curves[:, POSSIBLE].reshape(-1, curves.shape[-1])
    variance = films.var(0)
    deviation = np.sqrt((variance + variance.mean()) / 2)
    return Standard(films.mean(0), np.where(deviation > 0, deviation, 1.0))


AGGREGATORS: dict[str, Callable[[Curves], Scores]] = {"mean": lambda curves: curves.mean(-1), "max": lambda curves: curves.max(-1)}


def judge(scores: Scores) -> dict[str, Any]:
    """All that is said of one concept, mode and split, as JSON takes it."""
    delta = contrast(scores)
    spread = float(delta.std(ddof=1)) if len(delta) > 1 else 0.0
    judged: dict[str, Any] = {"quadruplets": len(scores)}
    for name, won in (("interaction", interaction_wins(scores)), ("pairs", pair_wins(scores)), ("all four", all_wins(scores))):
        judged[name] = {"rate": float(won.mean()), "interval": bootstrap(won)}
    possible, impossible = scores[:, POSSIBLE].ravel(), scores[:, IMPOSSIBLE].ravel()
    return judged | {
        "effect": float(delta.mean()) / spread if spread else 0.0,
        "chance": sign_flip(delta),
        "auroc": auroc(possible, impossible),
    }


def at_threshold(scores: Scores, limit: float) -> float:
    """How many films are called rightly, if those above a limit are called impossible; possible ones and impossible ones count alike."""
    return float(((scores[:, POSSIBLE] <= limit).mean() + (scores[:, IMPOSSIBLE] > limit).mean()) / 2)
