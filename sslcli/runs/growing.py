"""Reads records while a run writes them: each line once, and only when it is whole."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from sslcli.system import READ_ONLY

TAIL = 4096
"""Bytes before the place that was read up to, by which a rewritten file is known."""


class GrowingRecords:
    """Holds the records that metrics.jsonl had at the last `read`.

    A resumed run cuts the file and writes it on: then it is read from its beginning. A line that
    is no record is passed over and counted in `unreadable`.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "metrics.jsonl"
        self._forget()

    def _forget(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.newest: dict[str, Any] = {}
        """The last value of everything, and of everything in `timing`."""
        self.unreadable = 0
        self.changed: float | None = None
        """When the file was last written, in seconds since 1970."""
        self._end = 0
        self._tail = b""

    def read(self) -> bool:
        """Reads what was added; tells whether anything changed.

        A file that is not there has no records. Raises OSError where it cannot be read.
        """
        try:
            # READ_ONLY: a pipe in the place of the file does not hang.
            with os.fdopen(os.open(self._path, READ_ONLY), "rb") as file:
                file.seek(self._end - len(self._tail))
                was_rewritten = file.read(len(self._tail)) != self._tail
                if was_rewritten:
                    self._forget()
                    file.seek(0)
                self.changed = os.fstat(file.fileno()).st_mtime
                return self._take(file.read()) or was_rewritten
        except (FileNotFoundError, NotADirectoryError):
            had_any = self._end > 0
            self._forget()
            return had_any

    def _take(self, content: bytes) -> bool:
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            record = _record(line)
            if record is None:
                self.unreadable += 1
            else:
                self.records.append(record)
                self._note(record)
        self._end += len(whole)
        self._tail = (self._tail + whole)[-TAIL:]
        return bool(whole)

    def _note(self, record: dict[str, Any]) -> None:
        timing = {**self.newest.get("timing", {})}
        if isinstance(record.get("timing"), dict):
            timing.update(record["timing"])
        self.newest.update(record, timing=timing)


def _record(line: bytes) -> dict[str, Any] | None:
    """Returns a line's record; None where it is none, or its place is no number."""
    try:
        record = json.loads(line, parse_int=_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    places = [record[name] for name in ("step", "epoch") if name in record]
    return record if all(map(_is_place, places)) else None


def _number(digits: str) -> int | float:
    """Reads what is too long for an integer of 64 bits as a float, which may be infinite."""
    return int(digits) if len(digits) < 19 else float(digits)


def _is_place(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
