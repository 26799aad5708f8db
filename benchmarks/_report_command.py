"""`ebm report FOLDER...`: write a report again, or one that compares runs."""

import dataclasses
from pathlib import Path

import tyro

from ._errors import UsageError, missing


@dataclasses.dataclass(frozen=True)
class Report:
    """Write the report of a run folder again (also of a run that was killed), or one report of several runs."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders; a comparison's folder stands for the runs in it."""
    out: Path | None = None
    """The HTML file. Default: report.html in the first folder."""

    def run(self, command: str) -> int:
        """The exit code."""
        del command
        if not self.folders:
            raise UsageError("name a run folder, such as one in runs/.")
        if missing("matplotlib"):
            raise UsageError('reports need matplotlib. Install it with `pip install "energy-planning[report]"`.')
        from ._report import write_report
        from ._runs import CONFIG, REPORT

        runs: dict[str, Path] = {}
        for folder in self.folders:
            inner = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
            for found in [folder] if (folder / CONFIG).exists() or not inner else inner:
                runs[found.name if found.name not in runs else str(found)] = found
        labelled = runs if len(runs) > 1 else dict.fromkeys([""], next(iter(runs.values())))
        print(write_report(labelled, self.out or self.folders[0] / REPORT))
        return 0
