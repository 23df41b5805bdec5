"""Starts a process for each tracker of a run, and ends them with the run. Does not import torch."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sslcli.system import kill_group
from sslcli.trackers.courier import ALONE
from sslcli.trackers.sent import Sent, Stage, read_sent, state_path
from sslcli.trackers.table import TRACKERS

PATIENCE, IMPORTING = 5.0, 15.0
"""Seconds without progress after which a tracker is given up at the run's end.

While it is imported, and makes its files, it cannot hang on a server; that may take long.
"""
BEFORE_OPENING = (Stage.importing, Stage.making, Stage.ended)
"""A process that works and has `ended` has yet to say that it imports."""
POLL = 0.05


@dataclass(frozen=True)
class Outcome:
    """States what a tracker has got of a run, as run.json records it."""

    records: int
    missing: int
    """Records that it has not got."""
    unclear: int
    """Records of which nobody knows, because its process was killed while it wrote them."""
    complete: bool
    """Whether it has got everything, figures, tables and the run's end too."""
    failure: str
    look: str


class CourierProcess:
    """Holds the process of one tracker."""

    def __init__(
        self, run: Path, name: str, sweep: str | None, tell: Callable[[str], None]
    ) -> None:
        """Starts it; `tell` gets, in another thread, what it says to the user."""
        self.name = name
        self._run = run
        self._state = state_path(run, name, TRACKERS[name].place())
        command = [sys.executable, "-m", "sslcli.trackers.courier", str(run), name, sweep or ""]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a terminal's Ctrl-C is the run's alone
        )
        self._teller = threading.Thread(target=self._listen, args=(tell,), daemon=True)
        self._teller.start()

    def _listen(self, tell: Callable[[str], None]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(OSError, ValueError):  # what would show it is closed
                tell(f"tracker {self.name} {line.decode('utf-8', 'replace').strip()}")

    @property
    def works(self) -> bool:
        return self.process.poll() is None

    @property
    def sent(self) -> Sent:
        """Returns what the tracker has got until now."""
        return read_sent(self._state) or Sent()

    def announce_end(self) -> None:
        """Says that the run is over."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def outcome(self) -> Outcome:
        """Kills the process where it still works; returns what the tracker has got."""
        hung = self.works
        if hung:
            kill_group(self.process)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the system does not let it go
            self.process.wait(2.0)
        complete = self.process.returncode == 0 and not hung
        self._teller.join(1.0)
        if self.process.stdout is not None and not self._teller.is_alive():
            self.process.stdout.close()
        sent, total = self.sent, num_records(self._run)
        failure = sent.failure
        if not complete and not failure:
            failure = f"no answer while {sent.stage.value}" if hung else "its process ended"
        unclear, missing = sent.unclear + sent.giving, max(0, total - sent.records)
        given = sent.records - unclear
        return Outcome(given, missing, unclear, complete, failure, sent.look)


def num_records(run: Path) -> int:
    """Returns the number of complete lines of metrics.jsonl."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(
    run: Path, names: Sequence[str], sweep: str | None, tell: Callable[[str], None]
) -> list[CourierProcess]:
    """Starts the trackers' processes; tells of one that the system does not start."""
    couriers = []
    for name in names:
        try:
            couriers.append(CourierProcess(run, name, sweep, tell))
        except OSError as reason:
            tell(f"tracker {name} could not be started: {reason.strerror or reason}")
    return couriers


def end(couriers: Sequence[CourierProcess], patience: float = PATIENCE) -> dict[str, Outcome]:
    """Ends the trackers' processes, as soon as they have given everything; returns what they gave.

    One that makes no progress for `patience` seconds is given up; all are, after ALONE seconds.
    """
    most = {stage: max(patience, IMPORTING) for stage in BEFORE_OPENING}
    for courier in couriers:
        courier.announce_end()
    began = time.monotonic()
    moved = {courier.name: (began, courier.sent.progress) for courier in couriers}
    working = [courier for courier in couriers if courier.works]
    with contextlib.suppress(KeyboardInterrupt):  # the user waits no longer
        while working and time.monotonic() < began + ALONE:
            time.sleep(POLL)
            now = time.monotonic()
            for courier in working:
                sent, (since, before) = courier.sent, moved[courier.name]
                if sent.progress != before:
                    moved[courier.name] = (now, sent.progress)
                elif now - since > most.get(sent.stage, patience):
                    working = [other for other in working if other is not courier]
            working = [courier for courier in working if courier.works]
    return {courier.name: courier.outcome() for courier in couriers}


def as_facts(outcomes: dict[str, Outcome]) -> dict[str, dict[str, object]]:
    """Returns the outcomes as run.json holds them."""
    return {name: asdict(outcome) for name, outcome in outcomes.items()}
