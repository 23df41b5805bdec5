"""Pictures that other processes decode: as if it were done here, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sslcli.data import decoders
from sslcli.data.decode import COLOUR, GREY, DecodeOptions, decoded, reason_of
from sslcli.data.decoders import Decoders
from sslcli.data.decoding_process import DecodingProcess
from sslcli.system import is_alive

RNG = np.random.default_rng(0)


def encoded(kind: str, shape: tuple[int, ...] = (12, 10, 3)) -> bytes:
    buffer = BytesIO()
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


FILES = [encoded(("JPEG", "PNG")[n % 2], ((12, 10, 3), (9, 9))[n % 3 == 0]) for n in range(70)]
FILES[5], FILES[40] = b"no picture", FILES[40][:-60]
OPTIONS = DecodeOptions(8, None, 2)


class InThisProcess:
    """Stands in for a process; the third chunk that it is asked for finds it ended, if `ends`."""

    ends = False

    def __init__(
        self, options: DecodeOptions, channels: int, when_ready: Callable[[Any], None]
    ) -> None:
        self.known = options, channels
        self.asked: list[int] = []
        MADE.append(self)
        when_ready(self)

    def decode(self, contents: list[bytes]) -> list[tuple[NDArray[Any], int] | None]:
        self.asked.append(len(contents))
        if self.ends and len(self.asked) > 2:
            raise BrokenPipeError
        found: list[tuple[NDArray[Any], int] | None] = []
        for content in contents:
            try:
                found.append(decoded(content, *self.known))
            except Exception:
                found.append(None)
        return found

    def close(self) -> None:
        self.asked = []


MADE: list[InThisProcess] = []


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[InThisProcess]:
    MADE.clear()
    monkeypatch.setattr(decoders, "DecodingProcess", InThisProcess)
    monkeypatch.setattr(decoders, "MANY", 2)
    return MADE


def read(index: int) -> bytes:
    if index == 33:
        raise FileNotFoundError("gone")
    return FILES[index]


def keep(index: int, data: bytes, pixels: NDArray[Any], kind: int) -> tuple[int, bytes, bytes, int]:
    return index, data, pixels.tobytes(), kind


def one_after_another(work: Callable[[range], list[Any]], count: int, _: int) -> Iterator[Any]:
    """Does what threads do, who would take from each other what the process is asked for."""
    for first in range(0, count, 7):
        yield from work(range(first, min(count, first + 7)))


def outcomes(options: DecodeOptions = OPTIONS) -> list[Any]:
    sizes = np.array([len(content) for content in FILES])
    found = Decoders(options, 3, sizes).each(read, keep, len(FILES))
    return [reason_of(one) if isinstance(one, Exception) else one for one in found]


@pytest.mark.parametrize("ends", [False, True])
def test_outcomes_are_alike_wherever_they_are_decoded(
    processes: list[InThisProcess], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = outcomes(DecodeOptions(8, None, 1))
    assert not processes
    monkeypatch.setattr(InThisProcess, "ends", ends)
    monkeypatch.setattr(decoders, "MOST_PROCESSES", 1)
    monkeypatch.setattr("sslcli.threads.CHUNK", 7)
    assert outcomes() == alone
    processes.clear()
    monkeypatch.setattr(decoders, "chunks_in_threads", one_after_another)
    assert outcomes() == alone
    asked = processes[0].asked
    assert len(asked) == 3 if ends else asked == [7] * 4 + [6] + [7] * 5
    assert [index for index, one in enumerate(alone) if isinstance(one, str)] == [5, 33, 40]
    assert {one[3] for one in alone if isinstance(one, tuple)} == {GREY, COLOUR}


def test_few_pictures_of_many_start_no_process(processes: list[InThisProcess]) -> None:
    sizes = np.array([len(content) for content in FILES])
    some = Decoders(OPTIONS, 3, sizes)
    for _ in range(63):
        [*some.each(read, keep, 1)]
    assert not processes
    [*some.each(read, keep, 1)]
    assert len(processes) == 2


def test_few_or_large_files_start_no_process(
    processes: list[InThisProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "MANY", len(FILES) + 1)
    outcomes()
    monkeypatch.setattr(decoders, "MANY", len(FILES))
    monkeypatch.setattr(decoders, "SMALL", 100)
    outcomes()
    assert not processes
    monkeypatch.setattr(decoders, "SMALL", 10_000)
    outcomes()
    assert len(processes) == 2


def test_where_no_process_can_be_started_threads_decode(
    processes: list[InThisProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = outcomes(DecodeOptions(8, None, 1))

    def refused(*_: object) -> None:
        raise OSError("too many processes")

    monkeypatch.setattr(decoders, "DecodingProcess", refused)
    assert outcomes() == alone


@pytest.fixture
def started() -> DecodingProcess:
    ready: SimpleQueue[DecodingProcess] = SimpleQueue()
    process = DecodingProcess(OPTIONS, 3, ready.put)
    assert ready.get(timeout=120) is process
    return process


@pytest.mark.slow
def test_a_process_decodes_as_this_one_does(started: DecodingProcess) -> None:
    for contents in ([], FILES, FILES[:1], [b""]):
        for content, found in zip(contents, started.decode(contents), strict=True):
            try:
                pixels, kind = decoded(content, OPTIONS, 3)
            except Exception:
                assert found is None
                continue
            assert found is not None
            assert found[1] == kind
            np.testing.assert_array_equal(found[0], pixels)
    started.close()
    with pytest.raises(OSError, match="has ended"):
        started.decode(FILES)


CHILD = """
import os, signal, time
from queue import SimpleQueue
from sslcli.data.decode import DecodeOptions
from sslcli.data.decoding_process import DecodingProcess
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's `&` ignores
ready = SimpleQueue()
process = DecodingProcess(DecodeOptions(8, None, 2), 3, ready.put)
ready.get(timeout=120)
print(process.number, flush=True)
time.sleep(120)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_ends_with_the_one_that_started_it(end: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    number = int(child.stdout.readline())
    assert is_alive(number)
    assert os.getsid(number) != os.getsid(child.pid), "a Ctrl-C would reach it"
    os.kill(child.pid, end)
    child.wait(60)
    child.stdout.close()
    deadline = time.monotonic() + 60
    while is_alive(number):
        assert time.monotonic() < deadline
        time.sleep(0.05)
