"""Keeps copies of remote files on this machine, up to a bound, as fsspec fetches them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from sslcli.archives.file_bytes import Archives, FileState, OpenFile
from sslcli.errors import SslcliError
from sslcli.files import replacing

MARKS = (
    "ETag", "etag", "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "created",
    "md5Hash", "crc32c", "content_md5", "version_id", "generation",
)  # fmt: skip
"""What file systems tell of a file that changes with its content; of a plain web server maybe none.

Then a change to the same size is not seen.
"""
FARTHEST = 10**18
"""Bounds the number that stands for such marks: as a time, it lies in the past."""


def is_remote(name: str) -> bool:
    return "://" in name


def remote_glob(pattern: str) -> list[str]:
    """Returns the files that a pattern matches, sorted, with their protocol."""
    system, path = _system(pattern)
    try:
        found = sorted(system.glob(path))
    except OSError as reason:
        raise _unreachable(pattern, reason) from reason
    return [system.unstrip_protocol(name) for name in found]


def remote_state(url: str) -> FileState:
    """Returns a remote file's size, and a number that changes with its content.

    Raises SslcliError where it is not there, or its size is not known.
    """
    system, path = _system(url)
    try:
        told = system.info(path)
    except OSError as reason:
        raise _unreachable(url, reason) from reason
    size = told.get("size")
    if size is None:
        message = f"{url}: the server does not tell its size"
        raise SslcliError(message, "copy the shards to this machine")
    marks = repr([(key, str(told[key])) for key in MARKS if told.get(key) is not None])
    number = int(hashlib.sha256(marks.encode()).hexdigest()[:16], 16) % FARTHEST
    return FileState(int(size), number, number)


def _system(url: str) -> tuple[Any, str]:
    """Returns fsspec's file system for a URL, and the path in it."""
    system = _system_of(url.rpartition("/")[0])
    return system, str(system._strip_protocol(url))


@lru_cache(maxsize=64)
def _system_of(folder: str) -> Any:
    """Returns a file system, one for all threads: fsspec would make one for each."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as reason:
        fix = "pip install 'sslcli[remote]'"
        raise SslcliError(f"{folder}: reading remote files needs fsspec", fix) from reason
    try:
        return url_to_fs(folder)[0]
    except (ImportError, ValueError) as reason:  # of a protocol that is not installed, or unknown
        message = f"{folder} cannot be read: {reason}"
        fix = "install what fsspec needs for it: s3fs, gcsfs, aiohttp"
        raise SslcliError(message, fix) from reason


def _unreachable(url: str, reason: OSError) -> SslcliError:
    what = "is not there" if isinstance(reason, FileNotFoundError) else f"cannot be read: {reason}"
    return SslcliError(f"{url} {what}", "see to the name, the network and your permissions")


class Copies:
    """Keeps whole copies in `folder`, up to `most` bytes: those used last.

    One is fetched at a time, whatever the number of threads and processes.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most

    def path(self, url: str, state: FileState) -> Path:
        """Returns the copy of a file in this state, which is fetched if it is not there.

        Raises SslcliError where it is larger than all copies may be, OSError where it cannot be
        fetched or is not in this state any more.
        """
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{state.size}-{state.modified}"
        path = self.folder / f"{name}.copy"
        if _is_whole(path, state):
            return path
        if state.size > self.most:
            message = (
                f"{url} has {state.size / 1e9:.2f} GB, and copies may have {self.most / 1e9:.2f} GB"
            )
            raise SslcliError(message, f"data.shard_cache={2 * state.size / 1e9:.1f}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            if not _is_whole(path, state):
                self._make_room(state.size)
                self._fetch(url, state, path)
        return path

    def _make_room(self, size: int) -> None:
        """Removes the copies that were used longest ago; who reads one can go on."""
        copies = []
        for path in self.folder.glob("*.copy"):
            status = path.stat()
            copies.append((status.st_mtime_ns, status.st_size, path))
        taken = size + sum(size for _, size, _ in copies)
        for _, freed, path in sorted(copies):
            if taken <= self.most:
                break
            path.unlink(missing_ok=True)
            taken -= freed

    def _fetch(self, url: str, state: FileState, path: Path) -> None:
        system, inside = _system(url)
        if remote_state(url) != state:
            raise OSError(f"{url} has changed since it was listed")
        with replacing(path, durable=False) as temporary:
            system.get_file(inside, str(temporary))
            found = temporary.stat().st_size
            if found != state.size:
                raise OSError(f"{url} came with {found:,} of {state.size:,} bytes")


def _is_whole(path: Path, state: FileState) -> bool:
    """Tells whether there is a copy of this size, and marks it as used now."""
    try:
        os.utime(path)
        return path.stat().st_size == state.size
    except OSError:
        return False


class RemoteArchives(Archives):
    """Reads pieces of remote files, each of which is copied whole when it is needed."""

    most_open = 1  # an open copy takes room, though it was removed

    def __init__(self, urls: Sequence[str], states: Sequence[FileState], copies: Copies) -> None:
        super().__init__(urls, states)
        self._copies = copies

    def _is_as_listed(self, status: os.stat_result, state: FileState) -> bool:
        return status.st_size == state.size  # the copy's; of another state it has another name

    def _open_file(self, file: int) -> OpenFile:
        while True:
            path = self._copies.path(self.paths[file], self.states[file])
            try:
                return OpenFile(str(path))
            except FileNotFoundError:  # another process made room just now
                continue
