"""End-to-end images/s of every family (batches, views, step, records, checkpoints) beside the bare step (forward, loss,
backward and update on views that are ready), the step's share of the machine's matmul peak, and its memory.

    python -m benchmarks.throughput [--family simclr_convnet denoising …] [--precision bf16] [--rounds 3]
    python -m benchmarks.throughput --family simclr_convnet simclr_resnet18 --against lightly

The two, and for SimCLR the same encoder in lightly's loop (0, 1 and 2 workers, and fp32 without), are run in turn, round by
round; ratios are of medians. 32x32 colour pictures; an image counts once, whatever its views. The peak is the best of three
sizes of square products; a step's work is counted by torch (torch.utils.flop_counter: products and convolutions).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import lightly_loop
from benchmarks.large_batch import held, peak
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig, SGDConfig
from sslcli.engine.runtime_config import Precision, RuntimeConfig
from sslcli.engine.train import Periods, train
from sslcli.method import Learner, Preprocessing, Progress
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig, Reconstruction
from sslcli.methods.simclr import SimCLRConfig
from sslcli.methods.stacked_layer import StackedLayer
from sslcli.nets.encoder_config import (
    Activation,
    ContextConfig,
    ConvNetConfig,
    EncoderConfig,
    MLPConfig,
    ResNet18Config,
    ResNet50Config,
)
from sslcli.nets.layered import LayeredEncoder
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run

WARM_UP = 3
SHAPE = Preprocessing(32, 3, (0.5,) * 3, (0.25,) * 3)
LARGE = Preprocessing(128, 3, (0.5,) * 3, (0.25,) * 3)
# SimCLR's CIFAR augmentation at strength 0.5, as lightly_methods has it.
VIEWS = ViewConfig(
    crop_scale=[0.08, 1.0], brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, solarize=0.0
)


@dataclass(frozen=True)
class Family:
    """`build` makes what is trained, on the CPU; `simclr`: SimCLR's encoder, which is compared in lightly's loop.

    `side`: of the pictures, in pixels.
    """

    build: Callable[[], Learner[Any, Any]]
    batch_size: int
    num_steps: int
    simclr: EncoderConfig | None = None
    optim: OptimConfig = field(default_factory=lambda: SGDConfig(lr=0.06))
    side: int = SHAPE.resolution


def simclr(
    encoder: EncoderConfig, batch_size: int, num_steps: int, shape: Preprocessing = SHAPE
) -> Family:
    def build() -> Learner[Any, Any]:
        network = encoder.build(shape.channels, shape.resolution)
        return SimCLRConfig(temperature=0.5, views=VIEWS).build(network, shape)

    return Family(build, batch_size, num_steps, encoder, side=shape.resolution)


def stacked_layer() -> Learner[Any, Any]:
    encoder = MLPConfig(widths=[1000, 1000], activation=Activation.sigmoid, batch_norm=False).build(
        3, 32
    )
    assert isinstance(encoder, LayeredEncoder)
    corruption = CorruptionConfig(masking=0.25).build()
    return StackedLayer.of(encoder, 2, corruption, Reconstruction.cross_entropy, tied=True)


FOR_A_CARD = {"simclr_resnet50_128px": simclr(ResNet50Config(), 256, 20, LARGE)}
"""What would take a CPU minutes."""
FAMILIES = {
    "simclr_convnet": simclr(ConvNetConfig(), 256, 60),
    "simclr_resnet18": simclr(ResNet18Config(), 128, 6),
    "denoising": Family(
        lambda: DenoisingAutoencoderConfig().build(MLPConfig().build(3, 32), SHAPE), 128, 100
    ),
    "inpaint": Family(
        lambda: ContextEncoderConfig(adversarial=True).build(ContextConfig().build(3, 32), SHAPE),
        128,
        30,
    ),
    "stack": Family(stacked_layer, 128, 150),
}


def synchronize(device: torch.device) -> None:
    """Waits for a card; a CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds of every step of a training loop, records and checkpoints included.

    It waits for the device where the clock begins, and at the last step: between them nothing else does.
    """

    def __init__(self, num_steps: int, device: torch.device) -> None:
        self.moments: list[float] = []
        self._ends, self._device = (WARM_UP, num_steps), device

    def step(self, done: int) -> None:
        if len(self.moments) + 1 in self._ends:
            synchronize(self._device)
        self.moments.append(time.perf_counter())

    def record(self, record: dict[str, Any]) -> None:
        pass

    def images_per_second(self, batch_size: int) -> float:
        return (
            (len(self.moments) - WARM_UP)
            * batch_size
            / (self.moments[-1] - self.moments[WARM_UP - 1])
        )


def pictures(side: int = SHAPE.resolution) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 255, (4096, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return ImageSet(coarse.repeat_interleave(side // 8, 1).repeat_interleave(side // 8, 2).numpy())


def ready(family: Family, compute: Compute) -> tuple[Learner[Any, Any], Minimizer]:
    torch.manual_seed(0)
    learner = family.build()
    for module in learner.modules().values():
        compute.to_device(module)
    return learner, Minimizer.of(learner, family.optim, compute, lambda _: 0.001)


def end_to_end(family: Family, compute: Compute) -> float:
    """The real loop into a real run folder: a record every 10 steps, a checkpoint at the end."""
    learner, minimize = ready(family, compute)
    num_steps = family.num_steps + WARM_UP
    watch = Stopwatch(num_steps, compute.device)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.json").write_text("{}")
        with Run(Path(folder)) as run:
            train(
                learner, Batches(pictures(family.side), family.batch_size, 0, compute.device), minimize, lambda _: {},
                Phase(run, "pretrain", 2, 0), Periods(num_steps, 10, 10**9, 10**9), compute, watch,
            )  # fmt: skip
    return watch.images_per_second(family.batch_size)


def bare(family: Family, compute: Compute) -> float:
    """The same step on views that are ready."""
    learner, minimize = ready(family, compute)
    views = learner.views(
        Batches(pictures(family.side), family.batch_size, 0, compute.device).at(0)
    )
    num_steps = family.num_steps + WARM_UP
    watch = Stopwatch(num_steps, compute.device)
    for step in range(num_steps):
        minimize.begin(step)
        with compute.autocast():
            learner.train_step(views, minimize, Progress(step, 100))
        watch.step(step)
    return watch.images_per_second(family.batch_size)


def lightlys(name: str, bf16: bool, workers: int) -> float:
    """The same encoder and pictures in lightly's loop."""
    from benchmarks.lightly_methods import SimCLR

    family = FAMILIES[name]
    assert family.simclr is not None
    example, images = SimCLR(family.simclr), pictures().images[:]
    return lightly_loop.images_per_second(
        example, images, family.batch_size, family.num_steps, bf16, workers
    )


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """In a fresh process, with nothing that ours was told of memory or threads."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def work(name: str, precision: Precision) -> tuple[int, int]:
    """Floating-point operations of a step, a picture; bytes that a step holds beyond what was there before it: to be asked in
    a process of its own, since memory that was used before is not given back."""
    family, compute = FAMILIES[name], Compute.choose(RuntimeConfig(precision=precision))
    learner, minimize = ready(family, compute)
    views = learner.views(
        Batches(pictures(family.side), family.batch_size, 0, compute.device).at(0)
    )
    before = held()
    with FlopCounterMode(display=False) as counter, compute.autocast():
        learner.train_step(views, minimize, Progress(0, 100))
    return counter.get_total_flops() // family.batch_size, peak() - before


def matmul_peak(compute: Compute) -> float:
    """Operations a second."""
    best = 0.0
    for side in (512, 1024, 2048, *([8192] if compute.device.type == "cuda" else [])):
        a, b = (
            torch.randn(side, side, device=compute.device, dtype=compute.dtype) for _ in range(2)
        )
        for _ in range(5):
            synchronize(compute.device)
            began = time.perf_counter()
            a @ b
            synchronize(compute.device)
            best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--precision", default="auto", choices=[p.value for p in Precision])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--against", type=lightly_loop.peer, help="lightly: SimCLR beside it, where it is installed"
    )
    given = parser.parse_args()
    compute = Compute.choose(RuntimeConfig(precision=Precision(given.precision)))
    fastest = matmul_peak(compute)
    print(
        f"{compute.name}, {compute.precision}, {torch.get_num_threads()} threads; products: {fastest / 1e9:.0f} GFLOP/s"
    )
    for name in given.family:
        measure(
            name,
            Precision(given.precision),
            given.against is not None,
            given.rounds,
            compute,
            fastest,
        )


def measure(
    name: str, precision: Precision, lightly: bool, rounds: int, compute: Compute, fastest: float
) -> None:
    family = FAMILIES[name]
    contestants: dict[str, Callable[[], float]] = {
        "end to end": lambda: end_to_end(family, compute),
        "bare step": lambda: bare(family, compute),
    }
    if lightly and family.simclr:
        for workers in (0, 1, 2):
            contestants[f"lightly, {workers} workers"] = partial(
                apart, lightlys, name, compute.precision == "bf16", workers
            )
        contestants["lightly, fp32"] = partial(apart, lightlys, name, False, 0)
    speeds: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant, run in contestants.items():
            speeds[contestant].append(run())
    ours = statistics.median(speeds["end to end"])
    operations, memory = apart(work, name, precision)
    share = ours * operations / fastest
    print(
        f"{name}, batch {family.batch_size}: {share:.2f} of the products' speed, {memory / 2**20:.0f} MiB a step"
    )
    for contestant, found in speeds.items():
        middle = statistics.median(found)
        spread = f"({min(found):.0f} to {max(found):.0f})"
        print(
            f"  {contestant:<18} {middle:8.0f} images/s {spread:<16} end to end / this: {ours / middle:.3f}"
        )


if __name__ == "__main__":
    main()
