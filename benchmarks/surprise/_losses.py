"""Losses of any model on any set of possible and impossible films: read from a file, and made into accuracies."""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from .._errors import UsageError
from ._statistics import AGGREGATORS, auroc, bootstrap, wins

COLUMNS = ("topic", "group", "pair", "possible", "film", "frame", "surprise")  # of a file of losses; `setting` may come in addition
WORDS = {"1": True, "true": True, "possible": True, "0": False, "false": False, "impossible": False}
ELSEWHERE = "chosen elsewhere"  # a setting is chosen on every other group, and judged on the rest
RULES = (ELSEWHERE, "best of all")  # and the best on the films that are judged, as some publish it: too high by construction


class Loss(NamedTuple):
    """How surprising one film was, frame by frame, under every setting that was tried."""

    topic: str
    group: str
    pair: str
    possible: bool
    curves: dict[str, list[float]]


def read_losses(path: Path) -> list[Loss]:
    """All films of a file.

    **Raises:** `UsageError` if it is not there, a column is missing, or something in it is no loss.
    """
    found: dict[str, Loss] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark first
            lines = csv.DictReader(file)
            absent = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
            if absent:
                raise UsageError(f"{str(path)!r}: columns {', '.join(absent)} are missing. There must be {', '.join(COLUMNS)}.")
            for number, line in enumerate(lines, 2):
                _read_line(found, line, f"{str(path)!r}, line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}.") from error
    if not found:
        raise UsageError(f"{str(path)!r}: there is no film in it.")
    return list(found.values())


def _read_line(found: dict[str, Loss], line: Mapping[str, str], where: str) -> None:
    word = str(line["possible"]).strip().lower()
    if word not in WORDS:
        raise UsageError(f"{where}: `possible` is {line['possible']!r}. It is true or false.")
    try:
        surprise = float(line["surprise"])
    except (TypeError, ValueError):
        surprise = math.nan
    if not math.isfinite(surprise):
        raise UsageError(f"{where}: the surprise {line['surprise']!r} is not a finite number. Repair it, or leave the film out.")
    one = Loss(line["topic"], line["group"], line["pair"] or "", WORDS[word], {})
    known = found.setdefault(line["film"], one)
    if known[:4] != one[:4]:
        raise UsageError(f"{where}: {line['film']!r} belongs elsewhere in an earlier line. Films need different names.")
    known.curves.setdefault(line.get("setting") or "", []).append(surprise)


def judge(losses: Sequence[Loss]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Figures by topic, aggregator and rule.

    **Raises:** `UsageError` if possible and impossible films of a group are not equally many, or settings differ among films.
    """
    settings = list(losses[0].curves)
    for loss in losses:
        if set(loss.curves) != set(settings):
            raise UsageError(f"the films of {loss.group!r} were not watched under the same settings as the first. Watch all alike.")
    found = {}
    for topic in dict.fromkeys(loss.topic for loss in losses):
        here = [loss for loss in losses if loss.topic == topic]
        groups = _together(here, lambda loss: loss.group)
        rules = [rule for rule in RULES if rule != ELSEWHERE or len(groups) > 1]  # from one group nothing is chosen elsewhere
        for aggregator in AGGREGATORS:
            scores = {setting: _scores(here, aggregator, setting) for setting in settings}
            for rule in rules if len(settings) > 1 else ("",):
                chosen, judged = _choose(rule, scores, groups)
                found[topic, aggregator, rule] = _figures(scores[chosen], judged, here) | {"setting": chosen}
    return found


def _scores(losses: Sequence[Loss], aggregator: str, setting: str) -> Any:
    return np.array([AGGREGATORS[aggregator](np.array(loss.curves[setting])) for loss in losses])


def _together(losses: Sequence[Loss], name: Callable[[Loss], str]) -> list[tuple[list[int], list[int]]]:
    """For every group, which films are possible and which not.

    **Raises:** `UsageError` if they are not equally many.
    """
    found: dict[str, tuple[list[int], list[int]]] = {}
    for number, loss in enumerate(losses):
        if key := name(loss):
            found.setdefault(key, ([], []))[not loss.possible].append(number)
    for key, (possible, impossible) in found.items():
        if len(possible) != len(impossible):
            raise UsageError(f"{key!r} has {len(possible)} possible and {len(impossible)} impossible films. There must be as many of both.")
    return list(found.values())


def _wins(scores: Any, groups: Iterable[tuple[list[int], list[int]]]) -> Any:
    sums = np.array(
        [
            (scores[impossible].sum() - scores[possible].sum(), np.abs(scores[possible + impossible]).sum())
            for possible, impossible in groups
        ]
    )
    return wins(sums[:, 0], sums[:, 1])


def _choose(rule: str, scores: Mapping[str, Any], groups: list[Any]) -> tuple[str, list[Any]]:
    """A setting, and the groups to judge it on."""
    tried, judged = (groups[::2], groups[1::2]) if rule == ELSEWHERE else (groups, groups)
    return max(scores, key=lambda setting: _wins(scores[setting], tried).mean()), judged


def _figures(scores: Any, groups: list[Any], losses: Sequence[Loss]) -> dict[str, Any]:
    won = _wins(scores, groups)
    figures: dict[str, Any] = {"groups": len(groups), "accuracy": float(won.mean()), "interval": bootstrap(won)}
    films = {film for group in groups for part in group for film in part}
    pairs = [pair for pair in _together(losses, lambda loss: loss.pair and f"{loss.group}: {loss.pair}") if films >= {*pair[0], *pair[1]}]
    if pairs:
        figures["pairs"] = float(_wins(scores, pairs).mean())
    possible, impossible = (np.array([scores[film] for group in groups for film in group[part]]) for part in (0, 1))
    return figures | {"auroc": auroc(possible, impossible)}


def print_table(found: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> Any:
    """For a terminal."""
    shown = Table()
    for name in ("topic", "frames", "rule", "setting", "groups", "accuracy", "in pairs", "AUROC"):
        shown.add_column(name, justify="left" if name in ("topic", "frames", "rule") else "right")
    for (topic, aggregator, rule), figures in found.items():
        low, high = figures["interval"]
        pairs = f"{figures['pairs']:.2f}" if "pairs" in figures else "–"
        accuracy = f"{figures['accuracy']:.2f} ({low:.2f}–{high:.2f})"
        shown.add_row(
            topic, aggregator, rule or "–", figures["setting"] or "–", str(figures["groups"]), accuracy, pairs, f"{figures['auroc']:.2f}"
        )
    return shown
