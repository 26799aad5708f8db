"""`ebm surprise watch CONCEPT`: the four films of one quadruplet side by side, the possible ones above."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from .._errors import UsageError, check_known, missing

ZOOM = 4  # px for each of a film
GAP = 8  # px between films
SLOW = 0.5  # of the speed at which it happened
LAST = 6  # frames for which the last picture stays
PAPER = 255


@dataclasses.dataclass(frozen=True)
class Watch:
    """Write the four films of a quadruplet side by side: the possible ones above, below them those with exchanged outcomes."""

    concept: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="CONCEPT", help_behavior_hint="")]]
    """Such as permanence or gravity."""
    mode: Annotated[str | None, tyro.conf.arg(metavar="MODE", help_behavior_hint="")] = None
    """O, with what matters hidden, or V, in sight. Default: the first that there is."""
    split: str = "dev"
    """Which films: dev, test, far, train; or rare or explained, which are all possible."""
    number: int = 0
    """Which quadruplet."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Where the film goes. Default: <concept>-<mode>-<split>-<number>.mp4."""

    def run(self, command: str) -> int:
        """The exit code."""
        import numpy as np

        from envs import cradle

        from .._film import Encoder

        del command
        check_known("concept", self.concept, cradle.CONCEPTS)
        if missing("imageio_ffmpeg"):
            raise UsageError("a film needs the extra `report`. Install it with `pip install 'energy-planning[report]'`.")
        mode = self.mode or cradle.modes(self.concept)[0]
        films = cradle.quadruplets(self.concept, mode, self.split, self.number, 1).frames[0]
        path = self.out or Path(f"{self.concept}-{mode}-{self.split}-{self.number}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = [side_by_side(films[:, frame]) for frame in range(films.shape[1])]
        height, width, _ = pictures[0].shape
        with Encoder(path, SLOW * cradle.RATE, (height, width)) as encode:
            for picture in pictures + pictures[-1:] * LAST:
                encode(np.ascontiguousarray(picture))
        above, below = (" and ".join(cradle.CELLS[half]) for half in (slice(0, 2), slice(2, 4)))
        split = cradle.splits(self.concept)[self.split]
        apart = f"above {above}, which are possible; below {below}, which are not"
        verdict = "all four are possible" if split.rare or split.explained else apart
        print(f"{path}: {verdict}.")
        return 0


def side_by_side(frames):
    """One picture of four, uint8 of shape (4, height, width, 3): two above, two below, enlarged."""
    import numpy as np

    large = frames.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)
    padded = np.pad(large, ((0, 0), (GAP // 2, GAP // 2), (GAP // 2, GAP // 2), (0, 0)), constant_values=PAPER)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (padded[:2], padded[2:])])
