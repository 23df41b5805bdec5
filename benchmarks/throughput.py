"""End-to-end images/s of SimCLR (batches, full views, step, records, checkpoints) beside the bare step (forward,
loss, backward and update on tensors that are ready).

    python -m benchmarks.throughput [--encoder convnet resnet18] [--precision bf16] [--rounds 3]
    python -m benchmarks.throughput --peer "python /path/to/a_peers_script.py --encoder {encoder} --precision {precision}"

The two, and the peer's command, whose last line must end in "N images/s", are run in turn, round by round; ratios are of
medians. 32x32 colour pictures, two views of each; batch 256 for the convnet, 128 for ResNet-18; an image counts once.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from sslcli.augment.views import ViewConfig
from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.checkpoint import Phase
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer, Player
from sslcli.engine.optim import SGDConfig
from sslcli.engine.run import Run
from sslcli.engine.runtime import Precision, RuntimeConfig
from sslcli.engine.train import Periods, train
from sslcli.method import Preprocessing, Progress
from sslcli.methods.simclr import SimCLR, SimCLRConfig
from sslcli.nets.encoders import ENCODERS

BATCH = {"convnet": 256, "resnet18": 128}
STEPS = {"convnet": 60, "resnet18": 6}
WARM_UP = 3


class Stopwatch:
    """Seconds of every step of a training loop, records and checkpoints included."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def step(self, done: int) -> None:
        self.moments.append(time.perf_counter())

    def record(self, record: dict[str, Any]) -> None:
        pass

    def images_per_second(self, batch_size: int) -> float:
        return (len(self.moments) - WARM_UP) * batch_size / (self.moments[-1] - self.moments[WARM_UP - 1])


def pictures() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 255, (4096, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return ImageSet(coarse.repeat_interleave(4, 1).repeat_interleave(4, 2).numpy())


def build(encoder: str, compute: Compute) -> tuple[SimCLR, Minimizer]:
    torch.manual_seed(0)
    # SimCLR's CIFAR augmentation at strength 0.5, as the peer's script has it.
    views = ViewConfig(crop_scale=[0.08, 1.0], brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, solarize=0.0)
    preprocessing = Preprocessing(32, 3, (0.5,) * 3, (0.25,) * 3)
    method = SimCLRConfig(temperature=0.5, views=views).build(ENCODERS[encoder]().build(3, 32), preprocessing)
    for module in method.modules().values():
        compute.place(module)
    optim = SGDConfig(lr=0.06)
    return method, Minimizer({"method": Player(optim.build(list(method.modules().values())), 0.0)}, compute)


def end_to_end(encoder: str, compute: Compute) -> float:
    """The real loop into a real run folder: a record every 10 steps, a checkpoint at the end."""
    method, minimize = build(encoder, compute)
    batch_size, num_steps = BATCH[encoder], STEPS[encoder] + WARM_UP
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.json").write_text("{}")
        with Run(Path(folder)) as run:
            train(
                method, Batches(pictures(), batch_size, 0, compute.device), minimize, lambda _: 0.06, lambda _: {},
                Phase(run, "pretrain", 2), Periods(num_steps, 10, 10**9, 10**9), compute, 0, watch,
            )  # fmt: skip
    return watch.images_per_second(batch_size)


def bare(encoder: str, compute: Compute) -> float:
    """The same step on views that are ready."""
    method, minimize = build(encoder, compute)
    batch_size = BATCH[encoder]
    views = method.views(Batches(pictures(), batch_size, 0, compute.device).at(0))
    watch = Stopwatch()
    for step in range(STEPS[encoder] + WARM_UP):
        minimize.begin(step, 0.06)
        with compute.autocast():
            method.train_step(views, minimize, Progress(step, 100))
        watch.step(step)
    return watch.images_per_second(batch_size)


def peer(command: str, encoder: str, precision: str) -> float:
    names = {"convnet": "conv16", "resnet18": "resnet18"}
    words = shlex.split(command.format(encoder=names[encoder], precision=precision))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1].split()[-2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=["convnet", "resnet18"], choices=list(BATCH))
    parser.add_argument("--precision", default="auto", choices=[p.value for p in Precision])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], help="a peer's command, run in turn; may be given often")
    given = parser.parse_args()
    compute = Compute.choose(RuntimeConfig(precision=Precision(given.precision)))
    for encoder in given.encoder:
        contestants: dict[str, Any] = {
            "end to end": lambda encoder=encoder: end_to_end(encoder, compute),
            "bare step": lambda encoder=encoder: bare(encoder, compute),
        }
        for command in given.peer:
            contestants[command] = lambda command=command, encoder=encoder: peer(command, encoder, compute.precision)
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(given.rounds):
            for name, contestant in contestants.items():
                speeds[name].append(contestant())
        ours = statistics.median(speeds["end to end"])
        print(f"{encoder}, {compute.precision}, {torch.get_num_threads()} threads, batch {BATCH[encoder]}")
        for name, found in speeds.items():
            middle = statistics.median(found)
            spread = f"({min(found):.0f} to {max(found):.0f})"
            print(f"  {name:<12} {middle:8.0f} images/s {spread:<16} end to end / this: {ours / middle:.3f}")


if __name__ == "__main__":
    main()
