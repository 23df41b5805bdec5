"""Works on many items in threads, each of which has its share of the processor's cores."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sslcli.processes import num_sharing_cores

T = TypeVar("T")

CHUNK = 32
"""Pictures handed to a thread at once, where every thread gets some.

Small ones take less time than handing them over.
"""


def map_in_threads(
    function: Callable[[int], T], count: int, workers: int | None = None
) -> Iterator[T]:
    """Yields function(0), ..., function(count - 1) in order, from several threads.

    `workers` None: one a core. Threads, because PIL lets go of Python's lock while it decodes and
    resizes: but for small pictures (data/decoders.py) they were as fast as processes, which must
    also be started and send the pixels back.
    """
    return chunks_in_threads(lambda chunk: [function(index) for index in chunk], count, workers)


def chunks_in_threads(
    function: Callable[[range], Iterable[T]], count: int, workers: int | None = None
) -> Iterator[T]:
    """Yields as `map_in_threads` what `function` returns of up to CHUNK numbers at once."""
    workers = workers or available_cores()
    step = min(CHUNK, math.ceil(count / workers) or 1)
    chunks = [range(start, min(start + step, count)) for start in range(0, count, step)]
    with ThreadPoolExecutor(workers) as pool:
        try:
            for results in pool.map(function, chunks):
                yield from results
        finally:  # interrupted: do not work off the rest first
            pool.shutdown(wait=False, cancel_futures=True)


def available_cores() -> int:
    """Returns this process's share of the machine's cores, at least one."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // num_sharing_cores())


def consume(items: Iterable[None]) -> None:
    for _ in items:
        pass
