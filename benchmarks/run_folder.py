"""What the run folder (records, progress lines, the touched lock, a checkpoint at the end) adds to a step of 10 ms.

    python -m benchmarks.run_folder [--steps 300] [--rounds 3]

The step in engine.train, over the bare step, and over engine.train with a record and a progress line that go nowhere; in
turn, medians of rounds, one thread. By the clock, and by the processor's time, which a machine shared with others disturbs
less (and which no disk shows in).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslcli.console import Console
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.engine.train import Periods, train
from sslcli.method import Metrics, Minimize, Progress
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run

STEP = 0.010
"""Seconds of the processor."""
LOG_EVERY = (1, 20)
Seconds = tuple[float, float]
"""By the clock, and of the processor."""


@dataclass
class Busy:
    """A learner whose step takes 10 ms of the processor and changes nothing."""

    part: nn.Module = field(default_factory=lambda: nn.Linear(1, 1))

    def modules(self) -> dict[str, nn.Module]:
        return {"part": self.part}

    def players(self) -> dict[str, list[nn.Module]]:
        return {"method": [self.part]}

    def learning_rates(self) -> dict[str, float]:
        return {"method": 1.0}

    def views(self, images: Tensor) -> Tensor:
        return images

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        end = time.thread_time() + STEP
        while time.thread_time() < end:
            pass
        return {"loss": views.sum(), "rank_accuracy": views.sum()}

    def satisfied(self) -> bool:
        return False


class Nothing:
    """Pictures that cost nothing."""

    steps_per_epoch, batch_size = 100, 1
    batch = torch.ones(1)

    def at(self, step: int) -> Tensor:
        return self.batch


class Forgetful(Run):
    """Without records, and nobody looks on."""

    def record(self, record: dict[str, Any]) -> None:
        pass

    def step(self, done: int) -> None:
        pass


class Stopwatch:
    """Since it was made: by the clock, and of the processor in all threads."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def a_step(self, num_steps: int) -> Seconds:
        clock, processor = self._began
        return (time.perf_counter() - clock) / num_steps, (
            time.process_time() - processor
        ) / num_steps


def in_the_loop(
    folder: Path, num_steps: int, log_every: int, compute: Compute, forgetful: bool = False
) -> Seconds:
    learner = Busy()
    minimize = Minimizer.of(learner, SGDConfig(), compute, lambda _: 0.1)
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"status": "running"}))
    with (Forgetful if forgetful else Run)(folder) as run, Path(os.devnull).open("w") as nowhere:
        console = Console(nowhere, nowhere)
        with console.logged(folder / "log.txt"), console.training("pretrain", num_steps) as watch:
            stopwatch = Stopwatch()
            train(
                learner, Nothing(), minimize, lambda _: {}, Phase(run, "pretrain", 1, 0),
                Periods(num_steps, log_every, 10**9, 10**9), compute, run if isinstance(run, Forgetful) else watch,
            )  # fmt: skip
            return stopwatch.a_step(num_steps)


def bare(num_steps: int) -> Seconds:
    learner, batch = Busy(), Nothing.batch
    stopwatch = Stopwatch()
    for step in range(num_steps):
        learner.train_step(batch, lambda *_: None, Progress(step, num_steps))
    return stopwatch.a_step(num_steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    compute = Compute.choose(
        RuntimeConfig(device=DeviceChoice.cpu, precision=Precision.fp32, threads=1)
    )
    contestants: dict[str, Callable[[Path], Seconds]] = {
        "the bare step": lambda _: bare(given.steps)
    }
    for every in LOG_EVERY:
        for what, forgetful in (("records that go nowhere", True), ("the run folder", False)):
            contestants[f"log_every={every}, {what}"] = functools.partial(
                in_the_loop,
                num_steps=given.steps,
                log_every=every,
                compute=compute,
                forgetful=forgetful,
            )
    found: dict[str, list[Seconds]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as folder:
        in_the_loop(Path(folder) / "warm-up", 10, 1, compute)
        for turn in range(given.rounds):
            for number, (name, contestant) in enumerate(contestants.items()):
                found[name].append(contestant(Path(folder) / f"{turn}-{number}"))
    medians = {
        name: [statistics.median(values) for values in zip(*pairs, strict=True)]
        for name, pairs in found.items()
    }
    bare_step = medians["the bare step"]
    for name, middle in medians.items():
        by_clock, of_processor = (
            value / least for value, least in zip(middle, bare_step, strict=True)
        )
        print(
            f"  {name:<38} of the bare step {by_clock:.4f} by the clock, {of_processor:.4f} of the processor's time"
        )
    for every in LOG_EVERY:
        without = medians[f"log_every={every}, records that go nowhere"]
        more = [
            100 * (a / b - 1)
            for a, b in zip(medians[f"log_every={every}, the run folder"], without, strict=True)
        ]
        print(
            f"  log_every={every}: the folder adds {more[0]:.2f} % by the clock, {more[1]:.2f} % of the processor's time"
        )


if __name__ == "__main__":
    main()
