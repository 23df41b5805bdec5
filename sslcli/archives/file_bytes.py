"""Reads the content of files, and pieces of large ones."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sslcli.system import READ_ONLY, read_piece


def read_bytes(path: str | Path) -> bytes:
    """Returns the file's content.

    Raises OSError for what is no file: reading a pipe or device would hang.
    """
    # Unbuffered: twice as fast for small files.
    with open(os.open(path, READ_ONLY), "rb", buffering=0) as file:  # noqa: PTH123
        kind = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(kind):
            number = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
            what = os.strerror(number) if stat.S_ISDIR(kind) else "Not a file, but a pipe or device"
            raise OSError(number, what, str(path))
        return file.read()


class FileState(NamedTuple):
    """Says in which state a file is: its size in bytes; mtime and ctime in ns since 1970."""

    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, path: str | Path) -> FileState:
        """Looks at a file; raises OSError where there is none."""
        return cls._of(os.stat(path))  # noqa: PTH116 (as fast as can be: there may be thousands)

    @classmethod
    def _of(cls, status: os.stat_result) -> FileState:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class OpenFile:
    """Keeps a file open for as long as anyone refers to this."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, READ_ONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):  # it could be opened
            os.close(self.number)


class Archives:
    """Reads pieces of large files, of which up to `most_open` stay open, from any thread."""

    most_open = 64  # systems allow a process 256 or 1,024

    def __init__(self, paths: Sequence[str], states: Sequence[FileState]) -> None:
        self.paths = tuple(paths)
        self.states = tuple(states)
        self._open: OrderedDict[int, OpenFile] = OrderedDict()
        self._lock = Lock()

    def read(self, file: int, start: int, count: int) -> bytes:
        """Returns `count` bytes of the file of that number, from byte `start` on.

        Raises OSError where it cannot be read, is shorter, or is not in the state that it was in.
        """
        opened = self._opened(file)
        if not self._is_as_listed(os.fstat(opened.number), self.states[file]):
            raise OSError(errno.ESTALE, "it has changed since it was listed", self.paths[file])
        pieces, missing = [], count
        while missing:
            piece = read_piece(opened.number, missing, start + count - missing)
            if not piece:
                raise OSError(errno.EIO, "it ends too early", self.paths[file])
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _is_as_listed(self, status: os.stat_result, state: FileState) -> bool:
        return (status.st_size, status.st_mtime_ns) == (state.size, state.modified)

    def _open_file(self, file: int) -> OpenFile:
        return OpenFile(self.paths[file])

    def _opened(self, file: int) -> OpenFile:
        """Returns the open file; another, long unused, is closed when its last reader is done."""
        with self._lock:
            opened = self._open.pop(file, None)
        opened = opened or self._open_file(file)
        with self._lock:
            self._open[file] = opened
            if len(self._open) > self.most_open:
                self._open.popitem(last=False)
        return opened
