"""Finds what a tracker has not got yet of a run, gives it, and notes that."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sslcli.runs.folder import read_facts
from sslcli.runs.results import FILE as RESULTS
from sslcli.runs.results import read_results
from sslcli.text import as_word
from sslcli.trackers.lines import Lines
from sslcli.trackers.sent import Sent, Stage
from sslcli.trackers.tracker import Record, TrackedRun, Tracker

MOST_ROWS = 1000
"""Rows of a table that a tracker gets; the whole table stays in the run's folder."""
PNG_END = b"IEND\xaeB`\x82"


class Deliveries:
    """Gives a tracker what is new in a run's folder."""

    def __init__(self, run: TrackedRun, sent: Sent, path: Path) -> None:
        self.run = run
        self._sent, self._path = sent, path
        self._lines = Lines(run.folder / "metrics.jsonl")
        self._seen: dict[Path, tuple[int, int]] = {}
        """Time and size of every file when it was given."""
        if sent.giving:  # the process that gave it was killed
            sent.unclear += 1
            sent.giving = False

    def enter(self, stage: Stage) -> None:
        self._sent.stage = stage
        self._note()

    def of_now(self) -> TrackedRun:
        """Returns the run, with how much the tracker has got of it."""
        return replace(self.run, given=self._sent.given)

    def opened(self, tracker: Tracker) -> None:
        self._sent.look = tracker.look
        self.enter(Stage.open)

    def failed(self, told: str) -> None:
        self._sent.failure, self._sent.stage = told, Stage.failing
        try:
            self._note()
        except OSError:  # the run's disk is full: memory knows, and the next note tells
            return

    def give_new(self, tracker: Tracker) -> None:
        """Gives new records, and figures that were drawn or drawn again."""
        while lines := self._lines.after(self._sent.records):
            for line in lines:
                self._give_record(tracker, line)
        for path in sorted((self.run.folder / "figures").rglob("*.png")):
            name = path.relative_to(self.run.folder / "figures").with_suffix("").as_posix()
            self._give_file(path, partial(tracker.figure, name, path, self._sent.step))

    def give_end(self, tracker: Tracker) -> None:
        """Gives the tables, and how the run ended."""
        for path in sorted(self.run.folder.glob("*.csv")):
            self._give_file(path, partial(self._give_table, tracker, path.stem, read_table, path))
        path = self.run.folder / RESULTS
        self._give_file(path, partial(self._give_table, tracker, "results", results_table, path))
        facts = read_facts(self.run.folder)
        status = str(facts.get("status")).replace("running", "died")
        metrics = facts.get("metrics", {}) if status == "finished" else {}
        tracker.finish(status, {name: float(value) for name, value in metrics.items()})
        self._sent.ended_as, self._sent.failure = status, ""
        self._note()

    def _give_record(self, tracker: Tracker, line: bytes) -> None:
        """Gives one record; while it does so the file says that it is being given."""
        record = _record_of(self._sent.records, line)
        self._sent.records, self._sent.giving = self._sent.records + 1, True
        self._sent.given += 1
        try:
            self._note()
            if record is not None:
                tracker.record(record)
        except Exception:
            self._sent.records, self._sent.giving = self._sent.records - 1, False
            raise
        self._sent.giving, self._sent.failure = False, ""
        self._sent.step = self._sent.step if record is None else record.step
        self._note()

    def _give_file(self, path: Path, give: Callable[[], None]) -> None:
        """Gives a file, unless the tracker has got the same content."""
        if not path.is_file():
            return
        found = path.stat()
        seen = (found.st_mtime_ns, found.st_size)
        if self._seen.get(path) == seen:
            return
        name, content = path.relative_to(self.run.folder).as_posix(), path.read_bytes()
        if path.suffix == ".png" and not content.endswith(PNG_END):
            return  # it is being drawn
        digest = hashlib.sha256(content).hexdigest()
        if self._sent.files.get(name) != digest:
            self._sent.given += 1
            give()
            self._sent.files[name] = digest
            self._note()
        self._seen[path] = seen

    def _give_table(
        self, tracker: Tracker, name: str, read: Callable[[Path], list[list[str]]], path: Path
    ) -> None:
        rows = read(path)
        if rows:
            tracker.table(name, rows[0], rows[1 : 1 + MOST_ROWS], self._sent.step)

    def _note(self) -> None:
        self._sent.write(self._path)


def _record_of(index: int, line: bytes) -> Record | None:
    """Returns the record of a line; None where it is damaged."""
    try:
        return Record.of(index, json.loads(line))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def read_table(path: Path) -> list[list[str]]:
    """Returns the lines of a CSV file, the names of the columns first, all of one length."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    width = len(rows[0]) if rows else 0
    return [(row + [""] * width)[:width] for row in rows]


def results_table(path: Path) -> list[list[str]]:
    """Returns what results.json holds, a line for each row, the names of the columns first."""
    results = read_results(path.parent)
    settings = list(dict.fromkeys(name for row in results.rows for name in row.settings))
    scores = list(dict.fromkeys(name for row in results.rows for name in row.scores))

    def told(value: Any) -> str:
        return "" if value is None else as_word(value)

    lines = [
        [row.name, *(told(row.settings.get(name)) for name in settings),
         *(told(row.scores.get(name)) for name in scores)]
        for row in results.rows
    ]  # fmt: skip
    return [["row", *settings, *scores], *lines]
