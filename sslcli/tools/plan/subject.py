"""States what a planned command would train: its learner, its pictures, its steps."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sslcli.console import Console
from sslcli.engine.device import Compute
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import DeviceChoice, Parallel, Precision, RuntimeConfig
from sslcli.engine.train import Pictures
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.method import Learner
from sslcli.runs.folder import Run


@dataclass(frozen=True)
class Subject:
    """States what would be trained.

    `num_images` training pictures of `shape` (S, S, C). `build` gives an untrained learner on the
    CPU; `real` that and its batches, for --measure. `fewest_steps`: so many are made whatever the
    epochs are. `cached`: bytes of decoded pictures that the run keeps on disk. `kept` is the part
    of the learner that outlives it, written `encoders` times. `times`: so many such trainings, one
    after another.
    """

    title: str
    build: Callable[[], Learner[Any, Any]]
    real: Callable[[], tuple[Learner[Any, Any], Pictures[Any]]]
    labelled: bool
    optim: OptimConfig
    recording: RecordingConfig
    compute: Compute
    num_images: int
    shape: tuple[int, int, int]
    batch_size: int
    epochs: int
    fewest_steps: int = 0
    cached: int = 0
    kept: Callable[[Any], nn.Module] = attrgetter("encoder")
    encoders: int = 1
    times: int = 1
    batch_key: str = "batch_size"
    """The setting of the batch size."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the steps of an epoch; 1 where a run would refuse the batch."""
        return max(1, self.num_images // batch_size)

    def num_steps(self, batch_size: int) -> int:
        return max(self.epochs * self.steps_per_epoch(batch_size), self.fewest_steps)

    def batch(self, num: int, device: torch.device) -> Any:
        """Returns a batch of `num` black pictures, of the kind that the learner takes."""
        images = torch.zeros(num, *self.shape, dtype=torch.uint8, device=device)
        labels = torch.zeros(num, dtype=torch.int64, device=device)
        return (images, labels) if self.labelled else images


def planned_compute(runtime: RuntimeConfig, elsewhere: bool) -> Compute:
    """Returns the device and precision that are planned for.

    `elsewhere`: a GPU that is not here, where the config does not name a device. There
    `precision=auto` is bf16, as on every GPU that has it.
    """
    named, shards = runtime.device, runtime.parallel is Parallel.shard
    cuda = named is DeviceChoice.cuda or (named is DeviceChoice.auto and elsewhere)
    if not cuda or torch.cuda.is_available():
        return replace(Compute.choose(runtime), shards=shards)
    dtypes = {
        Precision.auto: torch.bfloat16,
        Precision.bf16: torch.bfloat16,
        Precision.fp16: torch.float16,
        Precision.fp32: None,
    }
    return Compute(torch.device("cuda"), dtypes[runtime.precision], shards)


@contextmanager
def passing_run(command: str) -> Iterator[tuple[Run, Console]]:
    """Gives a run that is gone afterwards, and a console that says nothing.

    A planned command opens its data with them.
    """
    facts, silent = {"status": "waiting", "command": command}, Console(io.StringIO(), io.StringIO())
    with (
        tempfile.TemporaryDirectory(prefix="sslcli-plan-") as folder,
        Run.create(Path(folder), {}, facts) as run,
    ):
        yield run, silent
