"""The record of a suite: one JSON file, on disk after every episode, which knows what is done already."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._errors import UsageError
from ._runs import clean, versions

Entry = dict[str, Any]


class Record:
    """What is in the file, and what comes to it.

    **Arguments:**

    - `path`: of the file, which is read if it is there. `suite`: its name.

    **Raises:**

    `UsageError` if the file is no record.
    """

    def __init__(self, path: Path, suite: str):
        self.path, self.data = path, read(path, suite)
        self.data |= {"suite": suite, "command": f"ebm bench {suite}", "versions": versions()}

    @property
    def rows(self) -> dict[str, Entry]:
        """The entry of each row."""
        return self.data["rows"]

    def entry(self, name: str, settings: Mapping[str, Any], seeds: Sequence[int], keep: Iterable[str] = ()) -> Entry:
        """The entry of a row, with what the file has of it under the same settings: episodes of these seeds, and the fields in `keep`."""
        settings, old = json.loads(json.dumps(settings)), self.rows.get(name, {})
        entry: Entry = {"settings": settings, "episodes": []}
        if old.get("settings") == settings:
            entry |= {key: old[key] for key in keep if key in old}
            entry["episodes"] = [episode for episode in old["episodes"] if episode["seed"] in seeds]
        self.rows[name] = entry
        return entry

    def save(self, order: Iterable[str]) -> None:
        """Write the file, rows in this order; whoever reads it meanwhile sees the old one or the new one."""
        self.data["rows"] = {name: self.rows[name] for name in order if name in self.rows}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(clean(self.data), indent=1) + "\n")
        partial.replace(self.path)


def read(path: Path, suite: str) -> Entry:
    """What is in the file; no rows if there is none yet.

    **Raises:**

    `UsageError` if it is something else, or the record of another suite.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"rows": {}}
    except ValueError as error:  # JSON that ends too soon, or bytes that are no text
        raise UsageError(f"{path} is not a record of results ({error}). Move it away.") from error
    rows = data.get("rows") if isinstance(data, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise UsageError(f"{path} is not a record of results: it has no rows. Move it away.")
    if data.get("suite", suite) != suite:
        raise UsageError(f"{path} is a record of {data['suite']!r}, not of {suite!r}. Move it away.")
    return data
