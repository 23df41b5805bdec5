"""Writes to a terminal that may be closed at any moment."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Iterator
from typing import IO, Any, cast

from sslcli.system import HANGUP


class _Terminal:
    """Passes text on to a terminal; a closed one is a SIGHUP, which stops and saves."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _hanging_up():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _hanging_up():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _hanging_up() -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        if reason.errno != errno.EIO:
            raise
        # The system's own SIGHUP may come later, or to another process only.
        if HANGUP is not None:
            signal.raise_signal(HANGUP)


def open_stream(stream: IO[str]) -> IO[str]:
    """Returns the stream; a terminal wrapped, so that closing it raises nothing."""
    return cast("IO[str]", _Terminal(stream)) if stream.isatty() else stream
