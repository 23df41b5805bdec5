"""Gives a run's records to one tracker, as a process of its own.

    python -m sslcli.trackers.courier RUN NAME [SWEEP]

It reads what the run writes down anyway, so the run does nothing for it and never waits: what a
slow tracker has not got yet waits in metrics.jsonl. The end of standard input says that the run is
over, or was killed. On standard output it says, a line each, what the user should know. What the
tracker prints goes into `<run>/trackers/<name>.txt`.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.system import HANGUP, REQUEUE, HeldFile, give_way
from sslcli.text import first_line
from sslcli.trackers.deliveries import Deliveries
from sslcli.trackers.sent import FOLDER, Sent, Stage, read_sent, state_path
from sslcli.trackers.table import TRACKERS
from sslcli.trackers.tracker import TrackedRun, Tracker

LOOK_EVERY = 0.5
"""Seconds between two looks for new records."""
LONGEST_PAUSE = 60.0
"""Most seconds between two tries; the first pause is LOOK_EVERY, each next one twice as long."""
MOST_SAID = 3
"""Failures that are said; all stand in the log."""
RESERVE = 2**28
"""Bytes of the run's disk that a tracker leaves free: they are for the run's checkpoints."""
MOST_LOG = 2**20
"""Bytes of the log, which begins anew there."""
ALONE = 60.0
"""Seconds after the run's end at which this process ends, if nobody ended it before."""


class Courier:
    """Gives what a run writes to its tracker, again and again until the run is over."""

    def __init__(
        self, find: Callable[[], type[Tracker]], work: Deliveries, say: Callable[[str], None]
    ) -> None:
        """`find` imports what the tracker needs; `say` says a line to the user."""
        self._find, self._work, self._say = find, work, say
        self._tracker: Tracker | None = None
        self._pause = LOOK_EVERY
        self._failures = 0

    def follow(self, over: threading.Event) -> bool:
        """Works until the run is over; tells whether the tracker has got everything."""
        while True:
            last = over.is_set()  # before the look: what was written until then is found
            done = self._attempt(last)
            if last:
                return done or self._attempt(last)
            over.wait(LOOK_EVERY if done else self._pause)

    def _attempt(self, last: bool) -> bool:
        """Gives what is new, at the end with all that belongs there; tells whether it was taken."""
        try:
            require_space(self._work.run.folder)
            if self._tracker is None:
                self._work.enter(Stage.importing)
                cls = self._find()
                self._work.enter(Stage.making)
                cls.make(self._work.run)
                self._work.enter(Stage.opening)
                self._tracker = cls(self._work.of_now())
                self._work.opened(self._tracker)
                give_way()
            self._work.give_new(self._tracker)
            if last:
                self._work.give_end(self._tracker)
        except Exception as reason:  # a tracker may raise anything
            self._failed(reason)
            return False
        if self._failures and self._pause > LOOK_EVERY:
            self._say("takes records again; none is lost")
        self._pause = LOOK_EVERY
        return True

    def _failed(self, reason: Exception) -> None:
        self._failures += 1
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        told = f"{type(reason).__name__}: {first_line(reason)}"
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {told}", file=sys.stderr, flush=True)
        if self._failures <= MOST_SAID and self._pause == 2 * LOOK_EVERY:
            self._say(f"failed: {told}; the run goes on, and what it missed is tried again")
        self._work.failed(told)
        tracker, self._tracker = self._tracker, None
        try:
            if tracker is not None:
                tracker.close()
        except Exception as another:
            print(f"close: {another!r}", file=sys.stderr, flush=True)


def require_space(folder: Path) -> None:
    """Raises OSError where less than RESERVE is left for the run itself."""
    free = shutil.disk_usage(folder).free
    if free < RESERVE:
        told = f"{free >> 20} MiB are left on the run's disk, and {RESERVE >> 20} are kept for it"
        raise OSError(errno.ENOSPC, told)


def main(folder: Path, name: str, sweep: str | None) -> int:
    """Follows the run until its end; returns 0 where the tracker has got everything."""
    for number in (signal.SIGINT, signal.SIGTERM, HANGUP, REQUEUE):
        if number is not None:  # they are the run's, which saves and then ends this process
            signal.signal(number, signal.SIG_IGN)
    (folder / FOLDER).mkdir(exist_ok=True)
    say, log = _own_output(folder / FOLDER / f"{name}.txt")
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(over, log), daemon=True).start()
    held = HeldFile(folder / FOLDER / f"{name}.lock")
    held.wait()  # where the run was killed, the process that it had ends within ALONE
    try:
        path = state_path(folder, name, TRACKERS[name].place())
        work = Deliveries(TrackedRun.of(folder, sweep), read_sent(path) or _first(path), path)
    except SslcliError as error:
        say(f"gets nothing: {error.message}; {error.fix}")
        return 1
    complete = Courier(lambda: found(name, work.run), work, say).follow(over)
    work.enter(Stage.ended)
    _cut(log)
    return 0 if complete else 1


def found(name: str, run: TrackedRun) -> type[Tracker]:
    """Returns a tracker's class, with what it needs imported."""
    cls = TRACKERS[name]
    cls.prepare(run)
    for module in cls.modules:
        import_module(module)
    return cls


def _first(path: Path) -> Sent:
    """Returns what a tracker has got that has no readable state."""
    if path.exists():
        raise SslcliError(
            f"{path} cannot be read: what was sent is not known", "delete it to send all again"
        )
    return Sent()


def _own_output(log: Path) -> tuple[Callable[[str], None], int]:
    """Returns what says a line to the user, and the log, which gets all other output."""
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    user = os.dup(1)
    os.set_inheritable(user, False)
    for stream in (1, 2):
        os.dup2(number, stream)

    def say(text: str) -> None:
        try:
            os.write(user, f"{' '.join(text.split())}\n".encode("utf-8", "replace"))
        except OSError:  # the run's process is gone
            return

    return say, number


def _wait_for_end(over: threading.Event, log: int) -> None:
    """Sets `over` at the end of standard input; ends this process ALONE seconds later."""
    threading.Thread(target=_keep_short, args=(log,), daemon=True).start()
    while sys.stdin.buffer.read(1):
        pass
    over.set()
    time.sleep(ALONE)
    os._exit(1)


def _keep_short(log: int) -> None:
    while True:
        _cut(log)
        time.sleep(LOOK_EVERY)


def _cut(log: int) -> None:
    if os.fstat(log).st_size > MOST_LOG:
        os.ftruncate(log, 0)


if __name__ == "__main__":
    words = [*sys.argv[1:], ""]
    status = main(Path(words[0]), words[1], words[2] or None)
    sys.stdout.flush()
    os._exit(status)  # a tracker's threads do not hold it
