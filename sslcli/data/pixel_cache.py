"""Keeps records of a folder's picture files, and decoded pixels, between runs."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from numpy.typing import NDArray

from sslcli.archives.remote import is_remote
from sslcli.data.data_config import cache_folder
from sslcli.data.images import Track
from sslcli.data.scan import Listing
from sslcli.files import expanded, replacing

DECODER, OF_8_BITS = "d4", "d2"
"""The version of the decoding, and that of grey and RGB of 8 bits in files that are no TIFF.

d1 took damaged pictures for whole ones, and so did d2 of 16 bits; it took a channel of a TIFF for
all, its width for its height, and made colours grey that nobody asked to. d3 took the first
channel of a TIFF whose 8-bit channels lie in one directory, and, made 8 bits, of any among others.
"""
NO_TIFF = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
STABLE_AFTER = 2 * 10**9
"""Nanoseconds since its last change after which a file counts as unchanging.

One changed again within the clock's tick, to the same size, would look the same.
"""
UNREADABLE = (OSError, ValueError, EOFError)


def picture_cache_folder(root: str) -> Path:
    """Returns the cache of one folder of pictures, named after it."""
    whole = Path(root) if is_remote(root) else expanded(root).resolve()
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]
    return cache_folder() / "folders" / f"{whole.name[:60]}-{digest}"


def cache_key(listing: Listing, in_8_bits: bool = False) -> str:
    """Names a state of the files, and how they are decoded, in the names of caches."""
    is_older = in_8_bits and all(name.lower().endswith(NO_TIFF) for name in listing.names)
    return f"{listing.key}-{OF_8_BITS if is_older else DECODER}"


class Records:
    """Keeps (N, `width`) uint8 in a .npy file, a row for each file of `listing`.

    Rows are zeros where nothing is known.
    """

    def __init__(self, path: Path, listing: Listing, width: int) -> None:
        self._path = path
        self._is_stable = listing.changed < time.time_ns() - STABLE_AFTER
        self.rows: NDArray[np.uint8] = np.zeros((len(listing), width), dtype=np.uint8)
        with suppress(*UNREADABLE):
            found = np.load(path, allow_pickle=False)
            if found.shape == self.rows.shape and found.dtype == np.uint8:
                self.rows = found

    def save(self) -> None:
        """Writes the records of files that have not just changed, whole or not at all.

        Raises OSError where it cannot be written.
        """
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            np.save(file, self.rows * self._is_stable[:, None])


def kept_records(listing: Listing, stem: str, width: int, in_8_bits: bool = False) -> Records:
    """Returns what is kept of a listing's files under the name `stem`."""
    folder, key = picture_cache_folder(listing.kept_as), cache_key(listing, in_8_bits)
    return Records(folder / f"{stem}-{key}.records", listing, width)


def keep(records: Records, listing: Listing, stem: str, in_8_bits: bool = False) -> None:
    """Saves them in place of those of other states; where it cannot, it is done the next time."""
    folder, key = picture_cache_folder(listing.kept_as), cache_key(listing, in_8_bits)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        remove_older(folder, stem, key)
        records.save()


@contextmanager
def locked(path: Path, track: Track) -> Iterator[None]:
    """Keeps other processes out while inside; waits for one that is inside.

    Raises OSError.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        label = "waiting for another process that decodes these pictures"
        for _ in track(_acquire(lock), total=1, label=label):
            pass
    except NotImplementedError as error:
        raise OSError(errno.ENOLCK, str(error)) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock) -> Iterator[None]:
    """Ends, with one item, when the lock is held."""
    lock.acquire(poll_interval=0.1)
    yield


def remove_older(folder: Path, stem: str, key: str) -> None:
    """Removes caches named `stem` of other states; a process that reads one can go on."""
    for path in folder.glob(f"{stem}-*"):
        if not path.name.startswith(f"{stem}-{key}"):
            path.unlink(missing_ok=True)
