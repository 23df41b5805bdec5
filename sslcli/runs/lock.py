"""Who works on a run: the process that holds the lock of its folder, and touches it for as long as it works.

Between machines that share a folder a lock may not be seen; that the file was touched is.
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
"""Seconds between two touches, and without one until a process on another machine is taken for dead."""


class Lock:
    """The lock of a run folder, held until it is released. Raises SslcliError where another process holds it."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOCK_FILE).open("ab")
        self._released = threading.Event()
        self._toucher = threading.Thread(target=self._touch, daemon=True)
        for _ in range(5):
            if _lock(self._file, fcntl.LOCK_EX):
                return
            time.sleep(0.02)  # whoever only asks holds it too, for a moment
        self._file.close()
        raise SslcliError(
            f"another process is working on {folder}", "wait for it to end, or stop it"
        )

    def keep_touched(self) -> None:
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
    """Whether some process is working on the run now; `host`: the machine that last did, None where it is not known.

    It is where the lock is held. Where it is not, and the machine is another one, it is where the lock was touched of
    late; a touch in the future, seen after a clock went back, was of late.
    """
    try:
        with (folder / LOCK_FILE).open("rb") as file:
            if not _lock(file, fcntl.LOCK_SH):
                return True
            silent = time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:  # no lock was made, or it cannot be seen
        return False
    return host not in (None, HOST) and silent < SILENT_AFTER


def _lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
