"""`ebm surprise report RUN...`: one table of all who watched, a page, and every figure in JSON and CSV."""

import dataclasses
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from .._errors import UsageError, missing

FIRST, CELL = 16, 20  # characters of a line that say what was watched, and that each who watched it needs


@dataclasses.dataclass(frozen=True)
class Report:
    """Make a table, a page and files of what was scored. Runs that differ by their seed only become one row."""

    runs: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    """Run folders that `ebm surprise score` wrote to; the first is the one whose films are shown."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = Path("runs/surprise-report")
    """Where report.html, surprise.json and surprise.csv.gz go."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console

        from .._runs import clean, versions, write
        from . import _table

        if not self.runs:
            raise UsageError("name run folders, such as those in runs/.")
        groups = gather(self.runs)
        rows = [row for name, (watched, _) in groups.items() for row in _rows(name, watched)]
        self.out.mkdir(parents=True, exist_ok=True)
        record = {
            "command": command,
            "versions": versions(),
            "models": {name: card for name, (_, card) in groups.items()},
            "rows": [{"who": row.who} | row.part._asdict() | row.figures for row in rows],
        }
        write(self.out / "surprise.json", json.dumps(clean(record), indent=1) + "\n")
        write_csv(self.out / "surprise.csv.gz", groups)
        console = Console()
        for split in dict.fromkeys(row.part.split for row in rows if row.part.split != _table.DEV):
            for table in _print(rows, split, console.width):
                console.print(table)
        if missing("matplotlib"):
            return 0
        from ._page import write_page

        name, (watched, _) = next(iter(groups.items()))
        page = write_page(self.out / "report.html", rows, (name, watched), record["models"])
        console.print(f"page: {page}", markup=False, soft_wrap=True, highlight=False)
        return 0


Watched = Mapping[Any, Sequence[Any]]


def gather(runs: Sequence[Path]) -> dict[str, tuple[Watched, dict[str, Any]]]:
    """What was watched, by name, of all seeds together, and the settings.

    **Raises:**

    `UsageError` for a folder in which nothing was scored, or seeds that did not watch the same.
    """
    from .._runs import CONFIG, read_config
    from . import _curves

    found: dict[str, list[tuple[Any, dict[str, Any]]]] = {}
    for run in runs:
        seen = _curves.read_all(run / _curves.FOLDER)
        if not seen:
            raise UsageError(f"{str(run)!r}: nothing was scored there. Run `ebm surprise score {run}` first.")
        config = run / CONFIG
        settings = read_config(config)["settings"] if config.exists() else {}
        mates = found.setdefault(title(run, settings), [])
        if any(settings == other for _, other in mates):
            raise UsageError(f"{str(run)!r} is named twice, or is the same training as another run. Seeds that count must differ.")
        mates.append((seen, settings))
    groups: dict[str, tuple[Watched, dict[str, Any]]] = {}
    for name, members in found.items():
        parts = [set(seen) for seen, _ in members]
        if any(each != parts[0] for each in parts):
            raise UsageError(f"{name}: its seeds did not watch the same films. Score them all alike.")
        card = members[0][1] | ({"seed": ", ".join(str(settings["seed"]) for _, settings in members)} if members[0][1] else {})
        groups[name] = {part: [seen[part] for seen, _ in members] for part in members[0][0]}, card
    return groups


def title(run: Path, settings: Mapping[str, Any]) -> str:
    """What a model is called: by what differs from the usual, but for its seed."""
    from . import _models

    if not settings:
        return run.name.removeprefix("surprise-")
    named = ("seed", "predicts", "memory", "sees")
    usual = _models.check(_models.Settings(sees=settings.get("sees", "pictures"), predicts=settings["predicts"]))._asdict()
    different = [f"{key} {value}" for key, value in settings.items() if key not in named and usual.get(key) != value]
    objects = settings.get("sees") == "objects"
    what = "JEPA" if settings["predicts"] == "features" else f"predicts {settings['predicts']}"
    return ", ".join([what, "of objects" if objects else settings["memory"], *different])


def _rows(name: str, watched: Watched) -> list[Any]:
    from . import _table

    labels = dict.fromkeys(label for seeds in watched.values() for label in seeds[0].curves)
    many = [label for label in labels if label.startswith("untrained")]
    found = [row for label in labels if label not in many for row in _table.rows(name if label == "model" else label, label, watched)]
    return found + (_table.range_rows("untrained networks", many, watched) if many else [])


def write_csv(path: Path, groups: Mapping[str, tuple[Watched, Any]]) -> None:
    """A line for every film, frame and watcher."""
    from ._statistics import CELLS

    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("who,seed,concept,mode,split,quadruplet,film,frame,surprise\n")
        for name, (watched, card) in groups.items():
            known = str(card.get("seed", "")).split(", ")
            for part, seeds in watched.items():
                for seed, seen in enumerate(seeds):
                    for label, curves in seen.curves.items():
                        who = name if label == "model" else label
                        head = f'"{who}",{known[seed]},{part.concept},{part.mode},{part.split}'
                        for number, films in enumerate(curves):
                            for cell, film in zip(CELLS, films, strict=True):
                                file.writelines(f"{head},{number},{cell},{frame},{value:.7g}\n" for frame, value in enumerate(film))


def _print(rows: Sequence[Any], split: str, width: int) -> Iterator[Any]:
    """Tables of a split, each with as many of those who watched as the console has room for."""
    from rich.table import Table

    from ._table import cells

    who, said = cells(rows, split)
    many = max((width - FIRST) // CELL, 1)
    for some in (slice(start, start + many) for start in range(0, len(who), many)):
        shown = Table(title=split, title_justify="left")
        shown.add_column("")
        for name in who[some]:
            shown.add_column(name, justify="right")
        for part, texts in said.items():
            shown.add_row(f"{part.concept} {part.mode}", *texts[some])
        yield shown
