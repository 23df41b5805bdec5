"""What `sslcli plan` says a step takes, beside what real steps take on the CPU.

    python -m benchmarks.plan [--method simclr] [--encoder resnet18] [--batch 64]

The allocator's peak is counted by torch's profiler. The process's memory is that of a process of its own, beyond what it held
before the learner was built: kernels' own memory and fragments of the heap are in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig, OptimConfig
from sslcli.engine.rehearsal import Rehearsal
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.engine.trial import take_step
from sslcli.method import LabelReader, Learner, Method, Preprocessing, Progress
from sslcli.methods import METHODS
from sslcli.nets.encoders import ENCODERS

STEPS = (0, 99)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(resident(build(given.method, given.encoder), given.batch)))
        return
    method = build(given.method, given.encoder)
    rehearsal = Rehearsal.of(method, AdamWConfig(), compute(), STEPS[-1] + 1, 10)
    planned = rehearsal.needs(lambda device: batch_of(method, given.batch, device)).peak
    learner = build(given.method, given.encoder)
    batch = batch_of(learner, given.batch, torch.device("cpu"))
    allocated = measured_peak(learner, AdamWConfig(), batch, compute(), STEPS)
    words = [sys.executable, "-m", "benchmarks.plan", "--row", "--batch", str(given.batch)]
    words += ["--method", given.method, "--encoder", given.encoder]
    grown = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    print(f"{given.method}, {given.encoder}, batch {given.batch}, 32 px, fp32, AdamW")
    print(f"  planned            {planned / 2**20:9.1f} MiB")
    print(
        f"  allocator's peak   {allocated / 2**20:9.1f} MiB, planned ÷ it {planned / allocated:.3f}"
    )
    print(f"  process grew by    {grown / 2**20:9.1f} MiB, it ÷ planned {grown / planned:.2f}")


def compute() -> Compute:
    return Compute.choose(RuntimeConfig(device=DeviceChoice.cpu, precision=Precision.fp32))


def build(method: str, encoder: str) -> Method:
    shape = Preprocessing(32, 3, (0.5,) * 3, (0.25,) * 3)
    return METHODS[method]().build(ENCODERS[encoder]().build(3, 32), shape)


def batch_of(learner: Learner[Any, Any], num: int, device: torch.device) -> Any:
    images = torch.zeros(num, 32, 32, 3, dtype=torch.uint8, device=device)
    labels = torch.zeros(num, dtype=torch.int64, device=device)
    return (images, labels) if isinstance(learner, LabelReader) else images


def resident(learner: Learner[Any, Any], num: int) -> int:
    """Returns by how many bytes the process grows in the steps; the learner's weights count."""
    before = peak_bytes()
    weights = nn.ModuleDict(learner.modules()).parameters()
    train(learner, AdamWConfig(), batch_of(learner, num, torch.device("cpu")), compute(), STEPS)
    return peak_bytes() - before + sum(4 * weight.numel() for weight in weights)


def peak_bytes() -> int:
    """Returns the most memory that this process held; `getrusage` begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line))


def train(
    learner: Learner[Any, Any],
    optim: OptimConfig,
    batch: Any,
    compute: Compute,
    steps: Sequence[int],
) -> None:
    """Takes these steps, as the loop does."""
    minimize = Minimizer.of(learner, optim, compute, lambda _: 0.1)
    for step in steps:
        take_step(learner, minimize, batch, compute, Progress(step, steps[-1] + 1, 10))


def measured_peak(
    learner: Learner[Any, Any],
    optim: OptimConfig,
    batch: Any,
    compute: Compute,
    steps: Sequence[int],
) -> int:
    """Returns the most bytes that torch's allocator held at once in these steps on the CPU: state, batch, and what is made of them."""
    modules = nn.ModuleDict(learner.modules()).train()
    for module in learner.modules().values():
        compute.to_device(module)
    tensors = [*modules.parameters(), *modules.buffers()]
    tensors += batch if isinstance(batch, tuple) else [batch]
    before = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    peak = now = sum(storage.nbytes() for storage in before.values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train(learner, optim, batch, compute, steps)
    assert profiled.profiler is not None
    events = [one for one in profiled.profiler.kineto_results.events() if one.name() == "[memory]"]
    for event in sorted(events, key=lambda one: one.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


if __name__ == "__main__":
    main()
