"""Warns once when a run has become much slower, with the cause and the remedy."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from sslcli.engine.train import ProgressListener

FEWEST = 3
"""Least number of records before speeds are compared: the first steps are slower."""
FALLEN = 1 / 3


class SlowdownAlarm:
    """Warns where images/s fall below a third of their median so far."""

    def __init__(self, listener: ProgressListener, warn: Callable[[str], None]) -> None:
        self._listener, self._warn = listener, warn
        self._speeds: list[float] = []
        self._warned = False
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def step(self, done: int) -> None:
        self._listener.step(done)

    def record(self, record: dict[str, Any]) -> None:
        self._listener.record(record)
        speed = record["timing"].get("images_per_second")
        if speed is None or self._warned:
            return
        cpu, wall = time.process_time(), time.monotonic()
        cores = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._cpu, self._wall = cpu, wall
        usual = statistics.median(self._speeds) if len(self._speeds) >= FEWEST else 0.0
        if speed < FALLEN * usual:
            self._warned = True
            self._warn(self._reason(speed, usual, cores))
        self._speeds.append(speed)

    def _reason(self, speed: float, usual: float, cores: float) -> str:
        threads = torch.get_num_threads()
        load = os.getloadavg()[0]
        return (
            f"{speed:.0f} images/s, {usual:.0f} before: the run's {threads} threads had "
            f"{cores:.1f} cores, and the machine's load is {load:.1f}. "
            "Other work shares the cores: a run of its own with runtime.threads=1 waits less"
        )
