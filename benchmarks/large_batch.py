"""What a large batch costs: peak memory and time of a SimCLR step in chunks, and of NT-Xent in blocks.

    python -m benchmarks.large_batch [--batch 2048] [--encoder resnet18]

Each row runs in a process of its own, whose peak is the most it ever held, less what it held before the step. The whole batch
of a ResNet-18 needs some 12 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from sslcli import losses
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OPTIMIZERS
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.method import Preprocessing, Progress
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoders import ENCODERS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        kind, amount = given.row.split("=")
        row = step(given.encoder, given.batch, int(amount)) if kind == "step" else loss(int(amount))
        print(json.dumps(row))
        return
    rest = ["--batch", str(given.batch), "--encoder", given.encoder]
    chunked, whole = (measured([*rest, "--row", f"step={chunk}"]) for chunk in (given.chunk, 0))
    print(
        f"{given.encoder}, batch {given.batch}, 32 px: peak of a step beyond what was there before it; seconds a step"
    )
    print(f"  whole      {whole['mib']:8.0f} MiB {whole['seconds']:7.1f} s")
    ratios = chunked["mib"] / whole["mib"], chunked["seconds"] / whole["seconds"]
    print(f"  chunks {given.chunk:3d} {chunked['mib']:8.0f} MiB {chunked['seconds']:7.1f} s")
    print(f"  ratio: {ratios[0]:.3f} of the memory, {ratios[1]:.2f} of the time")
    blocked = measured(["--row", "loss=512"])
    print(
        f"NT-Xent, 2N = 32,768, D = 128, blocks of 512: {blocked['mib']:.0f} MiB, {blocked['seconds']:.1f} s"
    )
    print(
        f"  at 2N = 2,048: loss differs by {blocked['loss']:.1e}, gradient by {blocked['gradient']:.1e} of its largest"
    )


def measured(words: list[str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_batch", *words], capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


def step(encoder: str, batch: int, chunk: int) -> dict[str, float]:
    compute = Compute.choose(RuntimeConfig())
    shape = Preprocessing(32, 3, (0.5,) * 3, (0.25,) * 3)
    torch.manual_seed(0)
    method = SimCLRConfig(chunk_size=chunk or None).build(ENCODERS[encoder]().build(3, 32), shape)
    for module in method.modules().values():
        compute.to_device(module)
    minimize = Minimizer.of(method, OPTIMIZERS["sgd"](), compute, lambda _: 1e-3)
    images = torch.randint(0, 256, (batch, 32, 32, 3), dtype=torch.uint8)

    def once(images: torch.Tensor) -> tuple[float, int]:
        """Seconds, and what was held before."""
        minimize.begin(0)
        views = method.views(images)
        before, began = held(), time.perf_counter()
        with compute.autocast():
            method.train_step(views, minimize, Progress(0, 1))
        minimize.end()
        return time.perf_counter() - began, before

    once(images[:64])  # what torch sets up the first time
    seconds, before = once(images)
    return {"mib": (peak() - before) / 2**20, "seconds": seconds}


def loss(block: int) -> dict[str, float]:
    torch.manual_seed(0)
    z = [torch.randn(1024, 128, requires_grad=True) for _ in range(2)]
    whole, blocked = losses.nt_xent(*z, 0.2), losses.nt_xent(*z, 0.2, block)
    expected, found = torch.autograd.grad(whole, z), torch.autograd.grad(blocked, z)
    largest = max(float(g.abs().max()) for g in expected)
    apart = max(float((a - b).abs().max()) for a, b in zip(expected, found, strict=True)) / largest
    large = [torch.randn(16_384, 128, requires_grad=True) for _ in range(2)]
    before, began = held(), time.perf_counter()
    losses.nt_xent(*large, 0.2, block).backward()
    seconds = time.perf_counter() - began
    return {
        "mib": (peak() - before) / 2**20, "seconds": seconds,
        "loss": abs(float(whole - blocked)), "gradient": apart,
    }  # fmt: skip


def held() -> int:
    """Bytes that this process holds now; `peak` begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    """The most it held since then."""
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
