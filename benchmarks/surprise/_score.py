"""`ebm surprise score WHO`: how surprising every film of the experiments is to a trained model, or to those who know nothing."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from .._errors import Interrupted, check_known

SPLITS = ("dev", "test", "far", "rare", "explained", "shuffled", "reversed")


@dataclasses.dataclass(frozen=True)
class Score:
    """Watch the films of the experiments, and write down the surprise at every frame. What was written is not watched again."""

    who: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="WHO", help_behavior_hint="")]]
    """A run folder of `ebm surprise train`; or floors, for scores that know no physics; or untrained, for 20 networks that learned nothing;
    or oracle, for MuJoCo itself as the world model. Those write into runs/surprise-<who>."""
    concepts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Only these."""
    splits: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = SPLITS
    """Which films; development films are needed by the others, for units and thresholds, and are what is shuffled and reversed."""
    films: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Where `ebm surprise generate` left the films, if not in the usual place."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console
        from rich.progress import track

        from envs import cradle

        from .._cli import cache_folder, keep_compiled
        from . import _curves

        del command
        for name in self.concepts:
            check_known("concept", name, cradle.CONCEPTS)
        known = dict.fromkeys([*(split for concept in cradle.CONCEPTS for split in cradle.splits(concept)), *_curves.REORDERED])
        for split in self.splits:
            check_known("split", split, known)
        keep_compiled()
        chosen = self.concepts or cradle.CONCEPTS
        parts = _curves.parts(chosen, self.splits, in_order=self.who == "oracle")
        run = Path("runs") / f"surprise-{self.who}" if self.who in _curves.BUILT_IN else Path(self.who)
        console = Console(stderr=True)
        done = _curves.score(self.who, parts, self.films or cache_folder("films"), run / _curves.FOLDER)
        try:
            for _ in track(done, f"{self.who}", total=len(parts), console=console):
                pass
        except KeyboardInterrupt as stop:
            raise Interrupted(f"the same command goes on from here: {run}") from stop
        console.print(
            f"{run / _curves.FOLDER}; `ebm surprise report {run}` makes a table of it.", markup=False, soft_wrap=True, highlight=False
        )
        return 0
