"""`ebm surprise judge FILE`: from losses to numbers, for the losses of any model on any set of possible and impossible films."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Judge:
    """Turn losses into accuracies with intervals: a CSV file with topic, group, pair, possible, film, frame and surprise, a line a frame.

    A group is films that belong together, half of them possible; a pair, which may be empty, those with one beginning. In a column
    `setting` there may be, for instance, context lengths. Then two rules are applied: one chooses a setting on other groups, and the other
    takes the best of all, which is too high by construction.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]]
    """Such as `ebm surprise foreign` writes."""

    def run(self, command: str) -> int:
        """The exit code."""
        from rich.console import Console

        from ._losses import judge, print_table, read_losses

        del command
        Console().print(print_table(judge(read_losses(self.file))))
        return 0
