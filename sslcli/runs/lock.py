"""Locks a run's folder for the process that works on it.

That process also touches the lock file from time to time: machines that share a folder may not see
each other's locks, but they see the file's time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import threading
import time
from pathlib import Path
from typing import IO

from sslcli.errors import SslcliError

LOCK_FILE = ".lock"
HOST = platform.node()
TOUCH_EVERY, SILENT_AFTER = 10.0, 120.0
"""Seconds between two touches, and without any until another machine's process counts as dead."""


class Lock:
    """Holds a folder's lock until `release`.

    Raises SslcliError where another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOCK_FILE).open("ab")
        self._released = threading.Event()
        self._toucher = threading.Thread(target=self._touch, daemon=True)
        for _ in range(5):
            if _lock(self._file, fcntl.LOCK_EX):
                return
            time.sleep(0.02)  # `is_open` holds it too, for a moment
        self._file.close()
        raise SslcliError(
            f"another process is working on {folder}", "wait for it to end, or stop it"
        )

    def keep_touched(self) -> None:
        """Touches the lock file every TOUCH_EVERY seconds until `release`."""
        os.utime(self._file.fileno())
        self._toucher.start()

    def release(self) -> None:
        self._released.set()
        if self._toucher.is_alive():
            self._toucher.join()
        self._file.close()

    def _touch(self) -> None:
        while not self._released.wait(TOUCH_EVERY):
            with contextlib.suppress(OSError):  # the next one may succeed
                os.utime(self._file.fileno())


def is_open(folder: Path, host: str | None = None) -> bool:
    """Tells whether a process works on the run now.

    True where the lock is held, and where `host`, the machine that last worked on the run
    (None: not known), is another one and the lock was touched within SILENT_AFTER seconds. A touch
    in the future, which another clock may show, counts.
    """
    try:
        with (folder / LOCK_FILE).open("rb") as file:
            if not _lock(file, fcntl.LOCK_SH):
                return True
            silent = time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:  # there is no lock, or it cannot be read
        return False
    return host not in (None, HOST) and silent < SILENT_AFTER


def _lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
