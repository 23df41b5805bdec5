"""Counts this user's runs at work on this machine, so that they divide its cores."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from functools import cache
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.runs.lock import LOCK_FILE, Lock, is_open
from sslcli.system import user_number

STALE = 60.0
"""Seconds after which the folder of a process that has ended is deleted."""


def runs_here() -> int:
    """Returns the number of this user's runs at work, this process's included.

    Each holds the lock of a folder named by its process, in one folder under the system's temporary
    one, for as long as the process lives. 1 where that folder cannot be used.
    """
    folder = Path(tempfile.gettempdir()) / f"sslcli-{user_number()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != user_number():
            return 1  # another user's, who may write into the temporary folder too
        _announce(folder)
        others = [path for path in folder.iterdir() if path.name != str(os.getpid())]
    except (OSError, SslcliError):
        return 1
    at_work = [path for path in others if is_open(path)]
    for path in set(others) - set(at_work):
        _delete_if_stale(path)
    return 1 + len(at_work)


@cache
def _announce(folder: Path) -> Lock:
    own = folder / str(os.getpid())
    own.mkdir(exist_ok=True)
    return Lock(own)


def _delete_if_stale(path: Path) -> None:
    with contextlib.suppress(OSError):  # another process deletes it too
        if time.time() - path.stat().st_mtime > STALE:
            (path / LOCK_FILE).unlink(missing_ok=True)
            path.rmdir()
