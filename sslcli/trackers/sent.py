"""Keeps what a tracker has got of a run: `<run>/trackers/<name>.json`.

Where the environment puts runs elsewhere, as on a server, another file counts for that place.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path

from sslcli.files import replacing

FOLDER = "trackers"


class Stage(str, Enum):
    """Says how far a tracker's process is."""

    importing = "importing"
    making = "making"
    opening = "opening"
    open = "open"
    failing = "failing"
    ended = "ended"


@dataclass
class Sent:
    """Counts what a tracker has got.

    A record counts before it is given: after a process was killed none is written twice, and
    `unclear` says for how many nobody knows whether they were written.
    """

    records: int = 0
    giving: bool = False
    """Whether the last record that counts was being given when this was written."""
    unclear: int = 0
    given: int = 0
    """How often something was given: records, figures, tables, and what failed."""
    step: int = 0
    """Of the last record that was given."""
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of every figure and table."""
    ended_as: str = ""
    """The status of the run that the tracker has got last; empty while a session lasts."""
    look: str = ""
    """Where the run is to be seen."""
    stage: Stage = Stage.importing
    failure: str = ""
    """The last failure; empty after something was written."""

    def write(self, path: Path) -> None:
        """Replaces the file. It need not outlive a crash of the machine."""
        with replacing(path, durable=False) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @property
    def progress(self) -> tuple[object, ...]:
        """Returns what changes when something was written."""
        return self.records, self.giving, len(self.files), self.ended_as, self.stage


def state_path(run: Path, name: str, place: str = "") -> Path:
    """Returns the file that holds what the tracker has got of the run at a place."""
    return run / FOLDER / (f"{name}-{place}.json" if place else f"{name}.json")


def read_sent(path: Path) -> Sent | None:
    """Returns what a tracker has got; None without a file that can be read."""
    try:
        content = json.loads(path.read_text())
        known = {entry.name for entry in fields(Sent)}
        sent = Sent(**{name: value for name, value in content.items() if name in known})
        sent.stage = Stage(sent.stage)
        good = isinstance(sent.records, int) and isinstance(sent.files, dict)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return sent if good else None
