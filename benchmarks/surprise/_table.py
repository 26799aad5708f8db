"""One table of all who watched: seeds of a model together, limits and units taken from development films only."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._curves import DEV, REORDERED, Part, Seen
from ._statistics import (
    AGGREGATORS,
    Scores,
    at_threshold,
    bootstrap,
    contrast,
    holm,
    interaction_wins,
    judge,
    localised,
    pair_wins,
    sign_flip,
    standard,
    threshold,
    wins,
)

REVEAL = 6  # frames after the films differ again, in which a violation is to be found
POSSIBLE_ONLY = ("rare", "explained")  # splits of films all of which are possible, if rare

Watched = Mapping[Part, Sequence[Seen]]  # of every seed


class Row(NamedTuple):
    """What one watcher made of one split of one concept in one mode."""

    who: str
    part: Part
    figures: dict[str, Any]


def rows(who: str, label: str, watched: Watched) -> list[Row]:
    """All splits of all concepts.

    What is compared is the mean of the surprise as it is; limits for single films are in units of what is usual at every frame, and both
    come from development films only: without these nothing is said that needs them.

    **Arguments:**

    - `who`: what the rows are called. `label`: of the curves in a file.
    """
    found: list[Row] = []
    for part, seeds in watched.items():
        dev = watched.get(part._replace(split=DEV), ())
        if not dev and part.split in (*POSSIBLE_ONLY, *REORDERED):
            continue
        curves = [_curves(seen, label) for seen in seeds]
        units = [standard(_curves(seen, label)) for seen in dev]
        scores = [AGGREGATORS["mean"](each) for each in curves]
        graded = [AGGREGATORS["mean"](unit(each)) for unit, each in zip(units, curves, strict=bool(dev))]
        known = [AGGREGATORS["mean"](unit(_curves(seen, label))) for unit, seen in zip(units, dev, strict=True)]
        limits = [threshold(each[:, :2].ravel(), each[:, 2:].ravel()) for each in known]
        if part.split in POSSIBLE_ONLY:
            flagged = [float((each > limit).mean()) for each, limit in zip(graded, limits, strict=True)]
            found.append(Row(who, part, {"flagged": float(np.mean(flagged)), "seeds": flagged, "quadruplets": len(scores[0])}))
            continue
        if part.split in REORDERED:
            above = [_above(a.mean(-1), _curves(b, label).mean(-1)) for a, b in zip(curves, dev, strict=True)]
            found.append(Row(who, part, {"above": float(np.mean(above)), "seeds": above, "quadruplets": len(scores[0])}))
            continue
        peaks = [interaction_wins(AGGREGATORS["max"](each)) for each in curves]
        figures = together(scores) | {"by maximum": float(np.mean(peaks)), "hidden": float(np.median(seeds[0].hidden[:, 2]))}
        if dev:
            revealed = seeds[0].hidden[:, :2].sum(1)
            places = [localised(unit(each), revealed, REVEAL) for unit, each in zip(units, curves, strict=True)]
            figures |= {
                "at threshold": float(np.mean([at_threshold(each, limit) for each, limit in zip(graded, limits, strict=True)])),
                "localised": float(np.mean([place.mean() for place, _ in places])),
                "localised by chance": places[0][1],
            }
        found.append(Row(who, part, figures))
    return adjust(found)


def together(scores: Sequence[Scores]) -> dict[str, Any]:
    """The figures of several seeds: means, with intervals over quadruplets of what the seeds have on average."""
    each = [judge(one) for one in scores]
    figures: dict[str, Any] = {"quadruplets": each[0]["quadruplets"], "seeds": [one["interaction"]["rate"] for one in each]}
    for name, won in (("interaction", interaction_wins), ("pairs", pair_wins)):
        averaged = np.mean([won(one) for one in scores], axis=0)
        figures[name] = {"rate": float(averaged.mean()), "interval": bootstrap(averaged)}
    every = [contrast(one) for one in scores]
    deltas = np.mean(every, axis=0)
    figures["contrast"] = {"mean": float(deltas.mean()), "interval": bootstrap(deltas)}
    figures["contrast"]["seeds"] = [{"mean": float(one.mean()), "interval": bootstrap(one)} for one in every]
    figures["chance"] = sign_flip(deltas)
    for name in ("effect", "auroc"):
        figures[name] = float(np.mean([one[name] for one in each]))
    figures["all four"] = float(np.mean([one["all four"]["rate"] for one in each]))
    return figures


def range_rows(who: str, labels: Sequence[str], watched: Watched) -> list[Row]:
    """Many watchers that know nothing as one row: the mean, and the range from the least to the best."""
    each = [{row.part: row.figures for row in rows(who, label, watched)} for label in labels]
    found = []
    for part in each[0]:
        key = next(key for key in ("flagged", "above", "interaction") if key in each[0][part])
        values = [figures[part][key] if key != "interaction" else figures[part][key]["rate"] for figures in each]
        mean = float(np.mean(values))
        figures: dict[str, Any] = {key: {"rate": mean, "interval": (min(values), max(values))} if key == "interaction" else mean}
        hidden = {"hidden": each[0][part]["hidden"]} if "hidden" in each[0][part] else {}
        found.append(Row(who, part, figures | hidden | {"seeds": values, "quadruplets": each[0][part]["quadruplets"]}))
    return found


def say(figures: Mapping[str, Any]) -> str:
    """An accuracy and its interval, how often what is possible was held for impossible, or how often another order surprised more."""
    if "flagged" in figures:
        return f"{100 * figures['flagged']:.1f} % flagged"
    if "above" in figures:
        return f"{100 * figures['above']:.1f} % above"
    low, high = figures["interaction"]["interval"]
    return f"{figures['interaction']['rate']:.2f} ({low:.2f}–{high:.2f})"


def cells(rows: Sequence[Row], split: str) -> tuple[list[str], dict[Part, list[str]]]:
    """Who watched a split, and of everything that was watched what is said of each of them."""
    chosen = [row for row in rows if row.part.split == split]
    who = list(dict.fromkeys(row.who for row in chosen))
    said = {(row.who, row.part): say(row.figures) for row in chosen}
    return who, {part: [said.get((name, part), "–") for name in who] for part in dict.fromkeys(row.part for row in chosen)}


def adjust(found: list[Row]) -> list[Row]:
    """The same with chances that know how many concepts were asked for in one split."""
    for split in {row.part.split for row in found}:
        asked = {row.part.stem: row for row in found if row.part.split == split and "chance" in row.figures}
        for stem, chance in holm({stem: row.figures["chance"] for stem, row in asked.items()}).items():
            asked[stem].figures["chance, Holm"] = chance
    return found


def _above(reordered: np.ndarray, ordered: np.ndarray) -> float:
    """How often another order surprises more, of the films that it changes: where nothing ever moves there is but one."""
    won = wins(reordered - ordered, np.abs(reordered) + np.abs(ordered))
    changed = won != 0.5
    return float(won[changed].mean()) if changed.any() else 0.5


def _curves(seen: Seen, label: str) -> np.ndarray:
    return seen.curves[label]
