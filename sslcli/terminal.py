"""Writes to a terminal or pipe that may be closed at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
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


def hung_up(pipe: int) -> bool:
    """Discards what is written to a closed pipe from now on, and stops the run that wrote to it.

    As a closed terminal does, so that the run saves. False where no run asks for the signal.
    """
    nowhere, closed = os.open(os.devnull, os.O_WRONLY), os.fstat(pipe)
    for descriptor in (pipe, 1, 2):  # `2>&1 |` makes standard error the same pipe
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), closed):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
    if HANGUP is None or signal.getsignal(HANGUP) in (signal.SIG_DFL, None):
        return False
    signal.raise_signal(HANGUP)
    return True
