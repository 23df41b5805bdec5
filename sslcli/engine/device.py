"""Chooses a run's device and precision, and moves networks there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sslcli import system
from sslcli.engine.runtime_config import DeviceChoice, Parallel, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.processes import launched_as, size

CPU_FACTS = Path("/proc/cpuinfo")
"""Linux's; a CPU that is not described there computes in float32."""
BF16_WORDS = {"avx512_bf16", "amx_bf16", "bf16"}
"""A CPU's words for instructions of bf16, without which torch's takes 6 to 100 times as long."""


@dataclass(frozen=True)
class Compute:
    """Holds a device, and the autocast dtype of the forward pass (None: float32).

    `shards`: whether several processes share large weights out among them.
    """

    device: torch.device
    dtype: torch.dtype | None
    shards: bool = False

    @classmethod
    def choose(cls, config: RuntimeConfig) -> Compute:
        """Returns the configured device and precision, and sets torch's threads.

        Raises SslcliError where this machine lacks them: nothing falls back silently.
        """
        if config.threads not in (0, torch.get_num_threads()):
            torch.set_num_threads(config.threads)
        device, num = torch.device(_device_type(config.device)), launched_as().size
        if device.type == "mps" and num > 1:
            message = f"{num} processes were started together, and mps is one device for one"
            fix = "start it without torchrun or srun, or use runtime.device=cpu"
            raise SslcliError(message, fix)
        if device.type == "cuda" and num > 1:
            index = _own_device(launched_as().local, torch.cuda.device_count())
            device = torch.device("cuda", index)
            torch.cuda.set_device(device)
        if device.type == "cpu":
            _keep_freed_memory()
        shards = config.parallel is Parallel.shard and num > 1
        return cls(device, _dtype(config.precision, device.type), shards)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def to_device(self, module: nn.Module, sees_all: bool = False) -> None:
        """Moves a module to the device, in channels-last layout.

        That layout is fastest for convolutions in half precision. With several processes on CUDA
        devices its batch norms share their statistics, unless it is fed the rows of all of them
        (`sees_all`).
        """
        module.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cuda" and size() > 1 and not sees_all:
            share_batch_norm(module)

    @property
    def precision(self) -> str:
        names = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
        return names[self.dtype]

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return str(torch.cuda.get_device_name(self.device))
        return f"{self.device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"

    def peak_memory_bytes(self) -> int | None:
        """Returns the peak memory: torch's on a CUDA device, else the process's, if known."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return system.peak_memory_bytes()


def kept_precision(runtime: RuntimeConfig, before: Mapping[str, object]) -> Precision:
    """Returns the precision for a run that goes on, or is run again: that which it was computed in.

    Results depend on it by more than their last digits. `runtime`'s own where that is not `auto`,
    on another kind of device, and for bf16 on a CPU that has no instructions for it. `before`: the
    environment that the run recorded; may be empty.
    """
    recorded = next((p for p in Precision if p.value == before.get("precision")), None)
    if runtime.precision is not Precision.auto or recorded is None:
        return runtime.precision
    kind = str(before.get("device")).partition(" (")[0]  # as in Compute.name
    device = _device_type(runtime.device)
    same_kind = device == (kind if kind in ("cpu", "mps") else "cuda")
    usable = device != "cpu" or recorded is Precision.fp32 or bool(_cpu_words() & BF16_WORDS)
    other = recorded is not _chosen_by_auto(device)
    return recorded if same_kind and usable and other else runtime.precision


def share_batch_norm(module: nn.Module) -> None:
    """Lets the batch norms in a module share their statistics between all processes.

    Only torch's own classes: timm's contain an activation, which the replacement would drop.
    """
    for name, part in module.named_children():
        if type(part) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))  # type: ignore[no-untyped-call]
        else:
            share_batch_norm(part)


def _keep_freed_memory() -> None:
    """Lets glibc keep freed memory.

    By default it returns every block above 32 MiB to the system at once, and the next step pays
    for new pages: a step of the convnet took 1.2 to 1.7 times as long (2 cores, batch 256). So do
    threads with a heap of their own, which is why all share one.
    """
    m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8  # malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(m_mmap_threshold, 1 << 30)
        mallopt(m_trim_threshold, (1 << 31) - 1)
        mallopt(m_arena_max, 1)


def _own_device(local: int, num_devices: int) -> int:
    """Returns the index of the CUDA device of a machine's `local`-th process.

    That is `local`, or 0 where srun shows each process only its own device.
    """
    if num_devices == 1 and "LOCAL_RANK" not in os.environ:
        return 0
    if local >= num_devices:
        message = (
            f"process {local} of this machine has no device: "
            f"torch finds {num_devices} CUDA devices here"
        )
        raise SslcliError(
            message, f"start at most {num_devices} processes a machine, or use runtime.device=cpu"
        )
    return local


def _device_type(choice: DeviceChoice) -> str:
    present: dict[str, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice is DeviceChoice.auto:
        return next(name for name, there in present.items() if there)
    if not present[choice.value]:
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise SslcliError(
            f"runtime.device is {choice.value}, but torch finds none here",
            f"this machine has: {there}",
        )
    return str(choice.value)


def _dtype(precision: Precision, device: str) -> torch.dtype | None:
    if precision is Precision.auto:
        precision = _chosen_by_auto(device)
    if precision is Precision.fp16 and device != "cuda":
        raise SslcliError(
            f"runtime.precision=fp16 needs cuda, got {device}", "use runtime.precision=bf16 or fp32"
        )
    if precision is Precision.bf16 and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise SslcliError(
            "runtime.precision=bf16: this GPU has no bf16", "use runtime.precision=fp16 or fp32"
        )
    return {Precision.fp32: None, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}[
        precision
    ]


def _chosen_by_auto(device: str) -> Precision:
    """Returns bf16 where the device computes faster in it than in float32.

    A CPU has tiles for it (AMX) or instructions. Intel's alone multiply at half of float32's speed
    (a Xeon of model 207: 171 to 337 GFLOP/s), AMD's faster than float32.
    """
    if device == "cuda":
        fast = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    elif device == "cpu":
        words = _cpu_words()
        slow = {"avx512_bf16"} if "GenuineIntel" in words else set()
        fast = bool(words & (BF16_WORDS - slow))
    else:
        fast = False
    return Precision.bf16 if fast else Precision.fp32


def _cpu_words() -> set[str]:
    return set(CPU_FACTS.read_text().split()) if CPU_FACTS.exists() else set()
