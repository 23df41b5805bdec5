"""What is kept between runs of a folder of pictures: records of its files, and, decoded, their pixels."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sslcli.data.data_config import cache_folder
from sslcli.data.images import Track
from sslcli.data.scan import Listing

SETTLED = 2 * 10**9
"""Nanoseconds after its last change until a file is taken to have settled: one changed again within the clock's tick, to
the same size, would look the same."""
UNREADABLE = (OSError, ValueError, EOFError)


def kept_folder(root: str) -> Path:
    """Where it is kept: one folder for each folder of pictures, named after it."""
    whole = Path(root).expanduser().resolve()
    return (
        cache_folder()
        / "folders"
        / f"{whole.name[:60]}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]}"
    )


class Records:
    """An array (N, `width`) uint8 in a .npy file, a row for each file of `listing`; zeros where nothing is known."""

    def __init__(self, path: Path, listing: Listing, width: int) -> None:
        self._path = path
        self._settled = listing.changed < time.time_ns() - SETTLED
        self.rows: NDArray[np.uint8] = np.zeros((len(listing), width), dtype=np.uint8)
        with suppress(*UNREADABLE):
            found = np.load(path, allow_pickle=False)
            if found.shape == self.rows.shape and found.dtype == np.uint8:
                self.rows = found

    def save(self) -> None:
        """Whole or not at all, without files changed a moment ago. Raises OSError where it cannot be written."""
        temporary = self._path.with_name(f".{self._path.name}-{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                np.save(file, self.rows * self._settled[:, None])
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, track: Track) -> Iterator[None]:
    """Inside, no other process is at it: it waits, or is waited for."""
    with path.open("ab") as file:
        if not _taken(file):
            label = "waiting for another process that decodes these pictures"
            for _ in track(_attempts(file), total=1, label=label):
                pass
        yield  # closing the file lets go of the lock


def _attempts(file: IO[bytes]) -> Iterator[None]:
    """Ends, with one item, when the lock is held."""
    while not _taken(file):
        time.sleep(0.1)
    yield


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_older(folder: Path, stem: str, key: str) -> None:
    """Removes what is kept as `stem` for another state of the folder. A process that reads it can go on."""
    for path in folder.glob(f"{stem}-*"):
        if not path.name.startswith(f"{stem}-{key}"):
            path.unlink(missing_ok=True)
