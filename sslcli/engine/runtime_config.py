"""Configures where and how a run computes: device, precision, logging.

Does not import torch.

These settings do not change what is trained, except in the last digits; `precision` may change
results by percents.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sslcli.errors import require
from sslcli.settings import setting


class DeviceChoice(Enum):
    """Names the device; `auto` is cuda where there is one, else mps, else cpu."""

    auto = "auto"
    cuda = "cuda"
    mps = "mps"
    cpu = "cpu"


class Precision(Enum):
    """Names the arithmetic of the forward pass; weights and losses stay float32.

    `auto`: bf16 where the hardware computes faster in it, else fp32.
    """

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Parallel(Enum):
    """Names what each of several processes holds: all weights, or its part of the large ones."""

    replicate = "replicate"
    shard = "shard"


MOST_THREADS = 1024
"""OpenMP crashes where the system cannot start the requested number of threads."""


@dataclass(kw_only=True)
class RuntimeConfig:
    """Holds where and how a run computes; not part of its identity."""

    device: DeviceChoice = setting(
        DeviceChoice.auto, "auto, cuda, mps or cpu", changes_results=False
    )
    precision: Precision = setting(
        Precision.auto, "auto, fp32, bf16 or fp16 (cuda only)", changes_results=False
    )
    compile: bool = setting(
        False, "torch.compile the encoder: slow to start, faster later", changes_results=False
    )
    parallel: Parallel = setting(
        Parallel.replicate,
        "several processes: each holds all weights (replicate), or its part of the large ones "
        "(shard)",
        changes_results=False,
    )
    threads: int = setting(0, "CPU threads of torch; 0: as torch chooses", changes_results=False)
    outputs: str = setting(
        "outputs", "folder under which runs are made and looked for", changes_results=False
    )
    tensorboard: bool = setting(
        False, "short for runtime.trackers=[tensorboard]", changes_results=False
    )
    trackers: list[str] = setting(
        [],
        "programs that get what the run records: tensorboard, mlflow, wandb, trackio (extras)",
        changes_results=False,
    )

    def __post_init__(self) -> None:
        shards = self.parallel is Parallel.shard
        must_be, fix = "false where runtime.parallel is shard", "leave one of the two out"
        require(not (self.compile and shards), "runtime.compile", True, must_be, fix)
        half = self.precision is Precision.fp16
        must_be, fix = "bf16 or fp32 where runtime.parallel is shard", "use runtime.precision=bf16"
        require(not (half and shards), "runtime.precision", "fp16", must_be, fix)
        must_be, fix = f"from 0 to {MOST_THREADS}", "0 lets sslcli choose"
        good = 0 <= self.threads <= MOST_THREADS
        require(good, "runtime.threads", self.threads, must_be, fix)

    @property
    def all_trackers(self) -> list[str]:
        """Returns the trackers' names."""
        also = self.tensorboard and "tensorboard" not in self.trackers
        return ["tensorboard"] * also + self.trackers
