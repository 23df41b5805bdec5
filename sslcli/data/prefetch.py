"""Prepares the next batches while a step runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

NUM_PREFETCHED = 2
"""Batches that lie ready or are being prepared, beside the one in use.

One may take long without a wait, and no more memory is filled.
"""


class Prefetcher(Generic[T]):
    """Gives `prepare(step)`, and prepares the next steps in a thread of its own.

    `prepare` is a pure function of the step. What it raises is raised by `at` for that step, and
    not before.
    """

    def __init__(self, prepare: Callable[[int], T]) -> None:
        self._prepare = prepare
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._waiting: dict[int, Future[T]] = {}

    def at(self, step: int) -> T:
        wanted = range(step, step + NUM_PREFETCHED + 1)
        for other in self._waiting.keys() - set(wanted):
            self._waiting.pop(other).cancel()
        for coming in wanted:
            if coming not in self._waiting:
                self._waiting[coming] = self._thread.submit(self._prepare, coming)
        return self._waiting.pop(step).result()
