"""The page of an experiment: the table with its floors, surprise along films, how long each remembers, and what went wrong."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from envs import cradle

from .._plots import COLORS, INK, legend, picture
from .._report import CSS, embedded, table
from .._runs import write
from ._curves import DEV, Part, Seen
from ._statistics import CELLS, contrast, standard
from ._table import Row, cells

SHOWN = tuple(range(1, 32, 3))  # frames of a strip
RULER = "wait"  # splits with longer and longer occlusions
GAP = 2  # px between pictures
FAILURES = 3
TONES = {"AA": COLORS[0], "BB": COLORS[5], "AB": COLORS[4], "BA": COLORS[1]}

Watched = Mapping[Part, Sequence[Seen]]


def write_page(path: Path, rows: Sequence[Row], shown: tuple[str, Watched], cards: Mapping[str, Mapping[str, Any]]) -> Path:
    """`report.html`.

    **Arguments:**

    - `shown`: whose curves are drawn beside the films, and what it watched.
    - `cards`: by name, the settings of every model.
    """
    name, watched = shown
    parts = [
        "<h1>Violation of expectation</h1>",
        '<p class="soft">How often, of all quadruplets, the impossible films surprise more than the possible ones, ties counted half: '
        "0.5 is chance. In brackets the 95 % interval. Mode O: what is exchanged is hidden meanwhile, and possible and impossible films "
        "have the same frames; mode V: it is seen all the time, and what is odd in single frames may help.</p>",
    ]
    for split in dict.fromkeys(row.part.split for row in rows):
        if split != DEV and not split.startswith(RULER):
            parts.append(f"<h2>{html.escape(split)}</h2>{_split(rows, split)}")
    rulers = [row for row in rows if row.part.split.startswith(RULER)]
    if rulers:
        parts.append('<h2>How long each remembers</h2><p class="soft">Interaction accuracy over the frames for which all is hidden.</p>')
        parts.append(_figure(lambda figure: _draw_ruler(figure, rulers), (10.5, 4.0)))
    parts.append(f'<h2>Surprise along films</h2><p class="soft">{html.escape(name)}, the first test films of every concept.</p>')
    for part, seen in watched.items():
        if part.split == "test":
            parts.append(f"<h3>{html.escape(f'{part.concept}, mode {part.mode}')}</h3>{_strip(part, 0, watched, seen)}")
    parts.append('<h2>What went wrong</h2><p class="soft">The test films whose contrast has the wrong sign most clearly.</p>')
    for part, number in _failures(watched):
        parts.append(
            f"<h3>{html.escape(f'{part.concept}, mode {part.mode}, number {number}')}</h3>{_strip(part, number, watched, watched[part])}"
        )
    parts.append(f"<h2>Models</h2>{_cards(cards)}")
    head = f'<meta charset="utf-8"><title>Violation of expectation</title><style>{CSS.read_text(encoding="utf-8")}</style>'
    write(path, f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n')
    return path


def _split(rows: Sequence[Row], split: str) -> str:
    who, said = cells(rows, split)
    return table(["", *who], [[f"{part.concept}, {part.mode}", *texts] for part, texts in said.items()])


def _draw_ruler(figure: Figure, rows: Sequence[Row]) -> None:
    concepts = list(dict.fromkeys(row.part.concept for row in rows))
    panels = figure.subplots(1, len(concepts), sharey=True, squeeze=False)[0]
    for axes, concept in zip(panels, concepts, strict=True):
        for index, who in enumerate(dict.fromkeys(row.who for row in rows)):
            known = sorted((row.figures["hidden"], row.figures) for row in rows if (row.who, row.part.concept) == (who, concept))
            if known:
                values = np.array([[length, f["interaction"]["rate"], *f["interaction"]["interval"]] for length, f in known])
                style: Any = {"color": COLORS[index % len(COLORS)], "linestyle": "-" if index < len(COLORS) else "--"}
                axes.plot(values[:, 0], values[:, 1], label=who, marker="o", markersize=4, **style)
                axes.fill_between(values[:, 0], values[:, 2], values[:, 3], color=style["color"], alpha=0.08, linewidth=0)
        axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set(title=concept, xlabel="frames hidden", ylim=(-0.03, 1.03))
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right center")


def _strip(part: Part, number: int, watched: Watched, seen: Sequence[Seen]) -> str:
    films = cradle.quadruplets(*part, number, 1)
    unit = standard(_mean_curves(watched.get(part._replace(split=DEV), seen)))
    curves = unit(_mean_curves(seen)[number])

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, height_ratios=[2.2, 1])
        above.imshow(strip(films.frames[0]))
        size = films.frames.shape[-2] + GAP
        above.set_yticks([size * row + size / 2 for row in range(len(CELLS))], CELLS)
        above.set_xticks([size * column + size / 2 for column in range(len(SHOWN))], [str(frame) for frame in SHOWN])
        above.grid(False)
        above.tick_params(length=0)
        for cell, curve in zip(CELLS, curves, strict=True):
            style = "-" if cell in ("AA", "BB") else "--"
            below.plot(range(len(curve)), curve, label=cell, color=TONES[cell], linestyle=style)
        start, length, _ = films.hidden[0]
        below.axvspan(start, start + length, color=INK, alpha=0.08, linewidth=0)
        below.set(xlabel="frame", ylabel="surprise")
        legend(below)

    return _figure(draw, (10.5, 6.2))


def strip(quadruplet: np.ndarray) -> np.ndarray:
    """Frames of four films, one film a row."""
    shown = quadruplet[:, [frame for frame in SHOWN if frame < quadruplet.shape[1]]]
    padded = np.pad(shown, ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    rows, columns, height, width, channel = padded.shape
    return padded.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channel)


def _mean_curves(seen: Sequence[Seen]) -> np.ndarray:
    """Of all seeds of the one who is shown."""
    return np.mean([next(iter(each.curves.values())) for each in seen], axis=0)


def _failures(watched: Watched) -> list[tuple[Part, int]]:
    found = []
    for part, seen in watched.items():
        if part.split == "test":
            unit = standard(_mean_curves(watched.get(part._replace(split=DEV), seen)))
            delta = contrast(unit(_mean_curves(seen)).mean(-1))
            found.append((float(delta.min() / (delta.std() or 1.0)), part, int(delta.argmin())))
    return [(part, number) for worst, part, number in sorted(found, key=lambda item: item[0])[:FAILURES] if worst < 0]


def _figure(draw: Any, size: tuple[float, float]) -> str:
    return f'<div class="grid one"><figure>{embedded(picture(draw, size), "")}</figure></div>'


def _cards(cards: Mapping[str, Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for card in cards.values() for key in card))
    return table(["", *cards], [[key, *(str(card.get(key, "–")) for card in cards.values())] for key in keys])
