"""A process that decodes pictures for this one.

It is a new Python and no fork: that would copy locks which threads of torch may hold. It ends when
its input does, however this process ended.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from io import FileIO
from threading import Lock, Thread
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import DecodeOptions, decoded

COMMAND = (
    "import sys; sys.path[:] = {path!r}; from sslcli.data.decoding_process import serve; serve()"
)
READY = b"!"
NUMBER = np.dtype("<i8")


class DecodingProcess:
    """Decodes as `decode.decoded` does, in a process of its own.

    `when_ready` is called with this, from a thread, when it has started; else never. Raises OSError
    where it cannot be started.
    """

    def __init__(
        self,
        options: DecodeOptions,
        channels: int,
        when_ready: Callable[[DecodingProcess], None],
    ) -> None:
        self._shape = (options.resolution, options.resolution, channels)
        self._dtype = options.dtype
        if not sys.executable:
            raise OSError("this Python does not know where it lies")
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(path=[*map(str, sys.path)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # an interrupt is for the user's process alone
        )
        assert isinstance(process.stdin, FileIO)
        assert isinstance(process.stdout, FileIO)
        self.number, self._input, self._output = process.pid, process.stdin, process.stdout
        self._lock = Lock()
        self.close = weakref.finalize(self, _end, process, self._lock, os.getpid())
        known = pickle.dumps((options, channels))
        self._send(np.array([len(known)], NUMBER).tobytes() + known)
        known_by = (self._output, self._lock, weakref.ref(self), when_ready)
        Thread(target=_await, args=known_by, daemon=True).start()

    def decode(self, contents: list[bytes]) -> list[tuple[NDArray[Any], int] | None]:
        """Returns pixels (R, R, C), and GREY or COLOUR, of each; None where it cannot be decoded.

        Raises OSError where the process has ended.
        """
        count = len(contents)
        if not count:
            return []
        sizes = np.array([count, *map(len, contents)], NUMBER)
        kinds, pixels = bytearray(count), np.empty((count, *self._shape), self._dtype)
        with self._lock:
            if self._input.closed:
                raise _ended()
            self._send(b"".join([sizes.tobytes(), *contents]))
            for part in (memoryview(kinds), pixels.data.cast("B")):
                _read_into(self._output, part)
        return [(pixels[row], kind) if kind else None for row, kind in enumerate(kinds)]

    def _send(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self._input.write(rest) :]


def _read_into(source: FileIO, part: memoryview) -> None:
    """Fills `part`; raises OSError where the source ends before."""
    while part:
        count = source.readinto(part)
        if not count:
            raise _ended()
        part = part[count:]


def _ended() -> OSError:
    return BrokenPipeError("a process that decodes pictures has ended")


def _await(
    source: FileIO,
    lock: Lock,
    process: weakref.ref[DecodingProcess],
    when_ready: Callable[[DecodingProcess], None],
) -> None:
    with lock:
        is_ready = source.read(1) == READY
    alive = process()
    if is_ready and alive is not None:
        when_ready(alive)


def _end(process: subprocess.Popen[bytes], lock: Lock, owner: int) -> None:
    """Kills it: it has nothing to lose, and may be in the middle of a picture."""
    if os.getpid() != owner:  # this is a fork, whose end is not its own
        return
    process.kill()
    process.wait()
    with lock:  # a thread that reads finds the end first
        for end in (process.stdin, process.stdout):
            assert end is not None
            end.close()


def serve() -> None:
    """Decodes what the standard input holds, until it ends."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.simplefilter("ignore")
    options, channels = pickle.loads(_exactly(source, _number(source)))
    answers.write(READY)
    answers.flush()
    shape = (options.resolution, options.resolution, channels)
    while count := _number(source):
        sizes = np.frombuffer(_exactly(source, count * NUMBER.itemsize), NUMBER).tolist()
        pixels, kinds = np.zeros((count, *shape), options.dtype), bytearray(count)
        for number, content in enumerate([_exactly(source, size) for size in sizes]):
            try:
                pixels[number], kinds[number] = decoded(content, options, channels)
            except Exception:  # it is tried again there, and then said
                kinds[number] = 0
        answers.write(kinds)
        answers.write(pixels.data)
        answers.flush()


def _number(source: IO[bytes]) -> int:
    """Returns the next number; 0 where the source has ended."""
    return int.from_bytes(source.read(NUMBER.itemsize), "little")


def _exactly(source: IO[bytes], count: int) -> bytes:
    content = source.read(count)
    if len(content) < count:
        sys.exit(0)  # whoever asked has ended
    return content
