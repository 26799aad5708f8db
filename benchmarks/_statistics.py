"""Means, rates and quantiles, with the intervals that belong to them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Z = 1.959964  # of a normal distribution, 95 % between
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)  # of Student's t, by degrees of freedom


def mean(values: Sequence[float | None]) -> dict[str, Any]:
    """The mean and half of its 95 % interval by Student's t; no interval for a single value."""
    x = np.asarray([value for value in values if value is not None], float)
    if not x.size:
        return {"mean": None, "interval": None, "count": 0}
    half = student(x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size) if x.size > 1 else None
    return {"mean": float(x.mean()), "interval": half, "count": int(x.size)}


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: a table, and beyond it the expansion around the normal one (Abramowitz and Stegun 26.7.5)."""
    if freedom <= len(STUDENT):
        return STUDENT[max(freedom, 1) - 1]
    first, second = (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def rate(outcomes: Sequence[bool]) -> dict[str, Any]:
    """How often, with the 95 % interval of Wilson (1927), which is honest for few and for all."""
    n, k = len(outcomes), sum(map(bool, outcomes))
    if not n:
        return {"rate": None, "low": None, "high": None, "count": 0, "of": 0}
    p, z2 = k / n, Z**2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return {"rate": p, "low": max(0.0, middle - half), "high": min(1.0, middle + half), "count": k, "of": n}


def summarise(steps: Sequence[dict[str, Any]], episodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of a run: over episodes, with intervals; and of all replans, without the one that compiled."""
    replans = [step["replan_ms"] for step in steps if step.get("replan_ms") is not None]
    summary: dict[str, Any] = {
        "episodes": len(episodes),
        "return": mean([episode["return"] for episode in episodes]),
        "steps": mean([episode["steps"] for episode in episodes]),
        "survived": rate([not episode["terminated"] for episode in episodes]),
    }
    if any(episode.get("success") is not None for episode in episodes):
        summary["success"] = rate([bool(episode.get("success")) for episode in episodes])
    if any(episode.get("energy") is not None for episode in episodes):
        summary["energy"] = mean([episode.get("energy") for episode in episodes])
    if any(episode.get("distance") is not None for episode in episodes):
        summary["distance"] = mean([episode.get("distance") for episode in episodes])
    margins = [episode["margins"] for episode in episodes if episode.get("margins")]
    if margins:
        summary["safe"] = rate([all(value is not None and value >= 0 for value in margin.values()) for margin in margins])
        summary["kept"] = {name: rate([m.get(name) is not None and m[name] >= 0 for m in margins]) for name in margins[0]}
        summary["margins"] = {name: min((m[name] for m in margins if m.get(name) is not None), default=None) for name in margins[0]}
    if replans:
        summary["replan_ms"] = {"p50": float(np.percentile(replans, 50)), "p99": float(np.percentile(replans, 99)), "count": len(replans)}
        results: dict[str, int] = {}
        for step in steps:
            if step.get("result") is not None:
                results[step["result"]] = results.get(step["result"], 0) + 1
        summary["results"] = results
    return summary


def say(value: float | None, digits: int = 3) -> str:
    """A number for people."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def say_mean(entry: dict[str, Any], digits: int = 3) -> str:
    """`"−4.1 ± 0.3"`."""
    text = say(entry["mean"], digits)
    return text if entry["interval"] is None else f"{text} ± {say(entry['interval'], 2)}"


def say_rate(entry: dict[str, Any]) -> str:
    """`"9 of 10 (60–98 %)"`."""
    if not entry["of"]:
        return "–"
    if entry["of"] == 1:
        return f"{entry['count']} of 1"
    return f"{entry['count']} of {entry['of']} ({100 * entry['low']:.0f}–{100 * entry['high']:.0f} %)"
