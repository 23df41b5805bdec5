"""Writes to a terminal that may be closed at any moment."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import IO, Any, cast


class _Terminal:
    """Passes text on to a terminal, and ignores that it was closed: SIGHUP stops the run, saved."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _ignoring_a_closed_terminal():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _ignoring_a_closed_terminal():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _ignoring_a_closed_terminal() -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        if reason.errno != errno.EIO:
            raise


def open_stream(stream: IO[str]) -> IO[str]:
    """Returns the stream; a terminal wrapped, so that closing it raises nothing."""
    return cast("IO[str]", _Terminal(stream)) if stream.isatty() else stream
