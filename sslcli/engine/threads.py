"""Chooses how many threads a run uses where other work shares the machine.

A step of a small network has many parallel regions, and each waits for its slowest thread. With a
thread for a core that another process keeps busy, a run is slower than with one thread fewer, on
two cores 2.3 times: measured by benchmarks.neighbours.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from sslcli.engine.runs_here import runs_here
from sslcli.system import busy_seconds

SAMPLE = 0.25
"""Seconds over which the load of the cores is measured."""
MOSTLY = 0.4
"""The share of time from which a core counts as used by others."""
LAUNCHER_CHOSE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Cores:
    """Counts the cores that this process may use, and those that others keep busy."""

    allowed: int
    busy: float

    @property
    def free(self) -> int:
        """Returns the number of cores that are free, at least one."""
        others = int(self.busy) + (self.busy % 1 > MOSTLY)
        return max(1, self.allowed - others)


@dataclass(frozen=True)
class Threads:
    """States the number of threads, and why others make it smaller.

    `open`: whether fewer may be tried (`trial.fastest_threads`).
    """

    number: int
    reason: str | None = None
    open: bool = False


def choose_threads(at_once: int = 1) -> Threads:
    """Chooses a run's number of threads, beside at least `at_once` - 1 other runs.

    Runs divide the cores; what other processes keep busy is left to them. What OMP_NUM_THREADS says
    (torchrun sets it) stays.
    """
    usual = torch.get_num_threads()
    if any(name in os.environ for name in LAUNCHER_CHOSE):
        return Threads(usual)
    runs_here()  # before the measurement, during which a run that starts now counts this one
    cores = measure_cores()
    runs = max(at_once, runs_here())
    number = max(1, min(usual, cores.free, cores.allowed // runs))
    if number == usual:
        return Threads(usual, open=usual > 1)
    others = (
        f"{runs} runs divide {cores.allowed} cores"
        if cores.allowed // runs <= number
        else f"other work keeps {cores.busy:.1f} of {cores.allowed} cores busy"
    )
    threads = "1 thread" if number == 1 else f"{number} threads"
    reason = f"{others}: {threads} (runtime.threads={usual} uses them all the same)"
    return Threads(number, reason, open=number > 1)


def measure_cores() -> Cores:
    allowed = allowed_cores()
    before, own_before, began = busy_seconds(), time.process_time(), time.monotonic()
    time.sleep(SAMPLE)
    after, own = busy_seconds(), time.process_time() - own_before
    if before is None or after is None:  # not on Linux
        return Cores(allowed, 0.0)
    return Cores(allowed, max(0.0, (after - before - own) / (time.monotonic() - began)))


def allowed_cores() -> int:
    """Counts the cores of the affinity mask, or of a container's quota if smaller."""
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, no quota ("max"), or another system
        return cores
