"""Decodes many pictures: in threads, and many small ones in processes.

Of a small picture Python's own work is the larger part, for which threads wait for one another.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import (
    RECORD,
    Decoded,
    DecodeOptions,
    decoded,
    num_channels,
    record_of,
    store_outcome,
)
from sslcli.data.decoding_process import DecodingProcess
from sslcli.data.images import Track
from sslcli.threads import available_cores, chunks_in_threads

T = TypeVar("T")

Read = Callable[[int], bytes]
Store = Callable[[int, bytes, NDArray[Any], int], T]
"""Keeps a picture, given its index, its file's content, pixels (R, R, C), and GREY or COLOUR."""
Known = dict[int, tuple[NDArray[Any], int]]

SMALL, MANY, FEW = 2**15, 5_000, 64
"""Bytes of a file, on average, and the number of files, for which processes are worth their start.

A process takes a third of a second to start. FEW pictures of many may only be looked at.
"""
MOST_PROCESSES = 8


class Decoders:
    """Decodes pictures as `options` say, with so many `channels`.

    `sizes`: bytes of all files that are to be decoded, now or later. The results are alike however
    it is done: what a process cannot decode, or does not live to decode, is decoded here.
    """

    def __init__(self, options: DecodeOptions, channels: int, sizes: NDArray[np.int64]) -> None:
        self._options, self._channels = options, channels
        self._workers = options.workers or available_cores()
        worth = len(sizes) >= MANY and float(sizes.mean()) <= SMALL
        self._to_start = min(self._workers, MOST_PROCESSES) if worth and self._workers > 1 else 0
        self._lock, self._owner, self._asked = Lock(), os.getpid(), 0
        self._processes: list[DecodingProcess] = []
        self._idle: SimpleQueue[DecodingProcess] = SimpleQueue()

    def each(self, read: Read, store: Store[T], count: int) -> Iterator[T | Exception]:
        """Yields what `store` returns of the files read(0), …, read(count - 1), in order.

        Or what was raised: a broken file makes its reader raise almost anything.
        """
        self._asked += count
        if self._asked >= FEW:
            self._start()

        def work(indices: range) -> list[T | Exception]:
            process = self._idle_process()
            if process is None:
                return [self._outcome(index, read, store, {}) for index in indices]
            contents = {index: _attempt(read, index) for index in indices}
            known = self._known(process, contents)
            return [self._outcome(index, contents.__getitem__, store, known) for index in indices]

        yield from chunks_in_threads(work, count, self._workers)

    def close(self) -> None:
        """Ends the processes; without it they end with this object."""
        for process in self._processes:
            process.close()

    def _start(self) -> None:
        """Starts the processes once; until one is ready, and where none can be, threads decode."""
        with self._lock, suppress(OSError):
            while self._to_start:
                self._to_start -= 1
                process = DecodingProcess(self._options, self._channels, self._idle.put)
                self._processes.append(process)

    def _idle_process(self) -> DecodingProcess | None:
        if os.getpid() != self._owner:  # a fork must not talk to another's processes
            return None
        try:
            return self._idle.get_nowait()
        except Empty:
            return None

    def _known(self, process: DecodingProcess, contents: dict[int, bytes | Exception]) -> Known:
        """Returns pixels and kinds of what the process could decode."""
        whole = {index: data for index, data in contents.items() if isinstance(data, bytes)}
        try:
            found = process.decode(list(whole.values()))
        except OSError:  # it has ended, and is not asked again
            return {}
        self._idle.put(process)
        return {index: one for index, one in zip(whole, found, strict=True) if one is not None}

    def _outcome(
        self, index: int, read: Callable[[int], bytes | Exception], store: Store[T], known: Known
    ) -> T | Exception:
        try:
            data = read(index)
            if isinstance(data, Exception):
                return data
            found = known.get(index) or decoded(data, self._options, self._channels)
            return store(index, data, *found)
        except Exception as error:
            return error


def _attempt(read: Read, index: int) -> bytes | Exception:
    try:
        return read(index)
    except Exception as error:
        return error


def decode_all(
    read: Read, store: Store[T], options: DecodeOptions, channels: int, sizes: NDArray[np.int64]
) -> Iterator[T | Exception]:
    """Yields as `Decoders.each`, for files of `sizes` (N,); PIL's warnings are kept back."""
    decoders = Decoders(options, channels, sizes)
    try:
        with warnings.catch_warnings():  # here, not in the threads, for whom it would not be safe
            warnings.simplefilter("ignore")
            yield from decoders.each(read, store, len(sizes))
    finally:
        decoders.close()


def decode_files(
    read: Read, sizes: NDArray[np.int64], options: DecodeOptions, track: Track
) -> Decoded:
    """Decodes the files read(0), …, of `sizes` (N,), into memory.

    The result is alike for any number of threads.
    """
    count, side = len(sizes), options.resolution
    images = np.empty((count, side, side, options.stored_channels), dtype=options.dtype)
    records = np.zeros((count, RECORD), dtype=np.uint8)
    bad: dict[int, str] = {}

    def store(index: int, data: bytes, pixels: NDArray[Any], kind: int) -> bytes:
        images[index] = pixels
        return record_of(data, kind)

    outcomes = decode_all(read, store, options, images.shape[3], sizes)
    for index, outcome in enumerate(track(outcomes, total=count, label="decoding pictures")):
        store_outcome(outcome, index, records, bad)
    if num_channels(records, options) != images.shape[3]:
        images = images[..., :1].copy()
    return Decoded(images, records, bad)
