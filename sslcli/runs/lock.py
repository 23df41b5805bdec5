"""Locks a run's folder for the process that works on it.

That process also touches the lock file from time to time: machines that share a folder may not see
each other's locks, but they see the file's time.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.system import HeldFile

LOCK_FILE = ".lock"
HOST = platform.node()
TOUCH_EVERY, SILENT_AFTER = 10.0, 120.0
"""Seconds between two touches, and without any until another machine's process counts as dead."""


class Lock:
    """Holds a folder's lock until `release`.

    Raises SslcliError where another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = HeldFile(folder / LOCK_FILE)
        self._released = threading.Event()
        self._toucher = threading.Thread(target=self._touch, daemon=True)
        for _ in range(5):
            if self._file.take():
                return
            time.sleep(0.02)  # `is_open` holds it too, for a moment
        self._file.release()
        raise SslcliError(
            f"another process is working on {folder}", "wait for it to end, or stop it"
        )

    def keep_touched(self) -> None:
        """Touches the lock file every TOUCH_EVERY seconds until `release`."""
        self._file.touch()
        self._toucher.start()

    def release(self) -> None:
        self._released.set()
        if self._toucher.is_alive():
            self._toucher.join()
        self._file.release()

    def _touch(self) -> None:
        while not self._released.wait(TOUCH_EVERY):
            with contextlib.suppress(OSError):  # the next one may succeed
                self._file.touch()


def is_open(folder: Path, host: str | None = None) -> bool:
    """Tells whether a process works on the run now.

    True where the lock is held, and where `host`, the machine that last worked on the run
    (None: not known), is another one and the lock was touched within SILENT_AFTER seconds. A touch
    in the future, which another clock may show, counts.
    """
    try:
        file = HeldFile(folder / LOCK_FILE, shared=True)
    except OSError:  # there is no lock, or it cannot be read
        return False
    try:
        if not file.take():
            return True
        silent = time.time() - file.changed
    finally:
        file.release()
    return host not in (None, HOST) and silent < SILENT_AFTER
