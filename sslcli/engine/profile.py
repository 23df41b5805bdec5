"""Profiles a few steps at the beginning of a training.

The results are written into `profile/` of the run's folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from sslcli.engine.train import PARTS, ProgressListener
from sslcli.errors import require
from sslcli.files import write_atomically

SKIPPED, WARMING_UP, PROFILED = 5, 2, 10
"""Numbers of steps. The first ones do setup work, and the profiler's own first ones are slow."""
NEEDED = SKIPPED + WARMING_UP + PROFILED


@dataclass
class Profiling:
    """Profiles PROFILED steps, and passes everything on to `listener`.

    A context manager. Shapes and stacks are not recorded: that would slow the steps.
    """

    listener: ProgressListener
    folder: Path
    device: torch.device

    def __post_init__(self) -> None:
        activities = [
            ProfilerActivity.CPU,
            *([ProfilerActivity.CUDA] if self.device.type == "cuda" else []),
        ]
        steps = schedule(wait=SKIPPED, warmup=WARMING_UP, active=PROFILED, repeat=1)
        self._profiler = profile(activities=activities, schedule=steps, on_trace_ready=self._write)

    def __enter__(self) -> Profiling:
        self._profiler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._profiler.stop()

    def step(self, done: int) -> None:
        self._profiler.step()
        self.listener.step(done)

    def record(self, record: dict[str, Any]) -> None:
        self.listener.record(record)

    def _write(self, profiler: profile) -> None:
        if profiler.step_num < NEEDED:  # interrupted
            return
        self.folder.mkdir(exist_ok=True)
        profiler.export_chrome_trace(str(self.folder / "trace.json"))
        averages = profiler.key_averages()
        sort_by = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        times = {e.key: e.cpu_time_total / 1000 / PROFILED for e in averages if e.key in PARTS}
        whose = " of the host" if self.device.type == "cuda" else ""
        of = f"{PROFILED} steps ({self.device})"
        lines = [f"milliseconds a step{whose}, by part, of {of}; the profiler makes them longer"]
        lines += [
            f"  {part:<10} {times.get(part, 0.0):10.2f}  {meaning}"
            for part, meaning in PARTS.items()
        ]
        lines += ["", "by operation", str(averages.table(sort_by=sort_by, row_limit=30))]
        write_atomically(self.folder / "table.txt", "\n".join(lines).encode())


def require_enough(num_steps: int) -> None:
    """Raises SslcliError where a training has fewer steps than the profiler needs."""
    fix = "train for more epochs, or with a smaller batch_size"
    require(
        num_steps >= NEEDED,
        "profile",
        "true",
        f"false for fewer than {NEEDED} steps, here {num_steps}",
        fix,
    )
