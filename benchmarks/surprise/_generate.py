"""`ebm surprise generate`: make films of possible and impossible events. It can be killed, and goes on where it stopped."""

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import tyro

from .._errors import Interrupted, UsageError, check_known
from .._workers import pool

if TYPE_CHECKING:
    from envs import cradle


RAW = 20  # pictures beside every file


class Work(NamedTuple):
    """What came of one file, and processor time (s): of its pictures, of everything, and of casting all rays of `RAW` pictures beside."""

    made: "cradle.Made"
    picture_seconds: float
    seconds: float
    raw_seconds: float


@dataclasses.dataclass(frozen=True)
class Generate:
    """Make films of possible and impossible events from their seeds, and keep them.

    The same command makes only what is missing, and comes to the same hash whatever the number of processes.
    """

    concepts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Which concepts. Default: all."""
    splits: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ("dev",)
    """Which splits: dev, test, far, rare, explained, train, or the ruler's wait-0 to wait-8."""
    freeform: int = 0
    """How many films of everyday scenes to learn from, rounded up to hundreds."""
    freeform_up: int = 0
    """How many of them under gravity that points upwards."""
    processes: int = 2
    """How many processes make them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Where they are kept. Default: `energy-planning/films` in the user's cache."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console
        from rich.progress import Progress

        from envs import cradle

        from .._cli import cache_folder

        pieces = self.pieces()
        folder = self.out or cache_folder("films")
        console, clock = Console(stderr=True), time.perf_counter()
        kept = {piece: made for piece in pieces if (made := cradle.recall(folder, piece)) is not None}
        works: dict[cradle.Piece, Work] = {}
        with Progress(console=console) as progress:
            bar = progress.add_task("films", total=len(pieces), completed=len(kept))
            try:
                for piece, work in work_all(folder, [piece for piece in pieces if piece not in kept], self.processes):
                    works[piece] = work
                    progress.advance(bar)
            except KeyboardInterrupt as stop:
                raise Interrupted(f"the same command goes on from here: {folder}") from stop
        every = [kept.get(piece) or works[piece].made for piece in pieces]
        for line in summary([*works.values()], time.perf_counter() - clock):
            console.print(line, markup=False, soft_wrap=True, highlight=False)
        print(f"{hashlib.sha256(''.join(made.sha256 for made in every).encode()).hexdigest()}  {folder}")
        return 0

    def pieces(self) -> "list[cradle.Piece]":
        """The files that are asked for.

        **Raises:**

        `UsageError` for a concept or a split there is not, or nothing to do.
        """
        from envs import cradle

        for concept in self.concepts:
            check_known("concept", concept, cradle.CONCEPTS)
        if self.processes < 1:
            raise UsageError(f"--processes must be positive, got {self.processes}.")
        concepts = self.concepts or cradle.CONCEPTS
        known = dict.fromkeys(split for concept in concepts for split in cradle.splits(concept))
        for split in self.splits:
            check_known("split", split, known)
        wanted = {"down": self.freeform, "up": self.freeform_up}
        free = [piece for gravity, count in wanted.items() for piece in cradle.freeform_pieces(count, gravity)]
        return free + [
            piece
            for concept in concepts
            for mode in cradle.modes(concept)
            for split in self.splits
            if split in cradle.splits(concept)
            for piece in cradle.pieces(concept, mode, split)
        ]


def work_all(folder: Path, pieces: "list[cradle.Piece]", processes: int) -> "Iterator[tuple[cradle.Piece, Work]]":
    """Make files in several processes; which of them makes which file changes nothing."""
    with pool(min(processes, max(len(pieces), 1))) as workers:
        waiting = {workers.submit(work_one, folder, piece): piece for piece in pieces}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise


def work_one(folder: Path, piece: "cradle.Piece") -> Work:
    """Make one file, and measure beside it what casting rays alone would take."""
    from envs import cradle

    begin = time.process_time()
    made, pictures = cradle.make_piece(folder, piece)
    middle = time.process_time()
    picture = cradle.raw_picture(piece)
    raw = time.process_time()
    for _ in range(RAW):
        picture()
    return Work(made, pictures, middle - begin, time.process_time() - raw)


def summary(works: list[Work], wall: float) -> Iterator[str]:
    """What was made and how fast, for whoever waits."""
    if not works:
        yield "Nothing was missing."
        return
    unique, delivered, repeated = (sum(getattr(work.made, name) for work in works) for name in ("unique", "delivered", "repeated"))
    limit = RAW * len(works) / sum(work.raw_seconds for work in works)
    rate, whole = (unique / sum(getattr(work, name) for work in works) for name in ("picture_seconds", "seconds"))
    yield f"{rate:.0f} different frames per core-second of rendering; rays alone would give {limit:.0f}: a ratio of {rate / limit:.2f}."
    yield f"{whole:.0f} of them per core-second with physics, hashes and the disk: {whole / limit:.2f}."
    yield f"{delivered / wall:.0f} frames a second delivered: {delivered} in {wall:.1f} s. {repeated} draws were repeated."
