"""Gives each of a sweep's jobs that run on one machine at a time a CUDA device of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sslcli.system import HeldFile

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    chosen = environment.get(VISIBLE)
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    import torch  # a sweep of one job at a time needs none of it

    return [str(number) for number in range(torch.cuda.device_count())]


@contextlib.contextmanager
def own_device(sweep: Path, at_once: int) -> Iterator[dict[str, str]]:
    """Yields what a job's environment gets, while no other job has it.

    {} where one job runs at a time, or there are fewer than two devices. Where more jobs than
    devices run, several share one.
    """
    devices = visible_devices() if at_once > 1 else []
    if len(devices) < 2:
        yield {}
        return
    with _place(sweep, at_once) as place:
        yield {VISIBLE: devices[place % len(devices)]}


@contextlib.contextmanager
def _place(sweep: Path, count: int) -> Iterator[int]:
    """Holds the first free one of `count` places; the last where a launcher runs more jobs."""
    for place in range(count):
        held = HeldFile(sweep / f".place-{place}")
        try:
            if held.take() or place == count - 1:
                yield place
                return
        finally:
            held.release()
