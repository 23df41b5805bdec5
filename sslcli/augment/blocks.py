"""Works on blocks of a batch's pictures, on a CPU in threads of their own.

An operation of torch that is shared among threads ends when its last thread does, and views are
about 150 short operations (benchmarks.regions). Cut by pictures, a batch waits once, with the same
values.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch
from torch import Tensor

LEAST, CPU_MOST, MOST = 2**19, 2**21, 2**26
"""Numbers in a block.

On a CPU: at least 2 MiB, below which a thread is not worth it, and at most 8 MiB, near its cache.
Elsewhere so many that no batch but a very large one is cut; several copies of them are in memory,
whatever the batch.
"""


def in_blocks(work: Callable[[Tensor], None], num_images: int, numbers: int, device: str) -> None:
    """Calls `work` with the row numbers of each block of images.

    All of them hold `numbers` numbers, on a device of type `device`. Draws nothing: random numbers
    of threads would come in any order.
    """
    rows = torch.arange(num_images)
    if device != "cpu":
        for block in rows.chunk(math.ceil(numbers / MOST)):
            work(block)
        return
    threads = torch.get_num_threads()
    shared = min(threads, numbers // LEAST)
    blocks = rows.chunk(max(1, shared, math.ceil(numbers / CPU_MOST)))
    for _ in map(work, blocks) if threads == 1 else _pool(threads).map(work, blocks):
        pass


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    started = Barrier(threads + 1)

    def start() -> None:
        torch.get_num_threads()  # else the first operation would set the number of all threads
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "views", initializer=start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)  # what one thread sets is also the default of later ones
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads
