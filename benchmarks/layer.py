"""One denoising layer of 784 -> 1000 units, tied: training steps from end to end (batches, corruption, loss, update,
records) beside the matrix products and the update that such a step cannot do without, and beside the step in plain torch.

    python -m benchmarks.layer [--threads 2] [--rounds 5]

The three are run in turn, round by round; ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.throughput import Stopwatch
from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.batches import Batches
from sslcli.data.sample import FashionSampleConfig
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import Schedule, SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.methods.denoising_autoencoder import Reconstruction
from sslcli.methods.stacked_layer import StackedLayer
from sslcli.nets.encoder_config import Activation, MLPConfig
from sslcli.nets.layered import LayeredEncoder
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run

STEPS = {20: 400, 128: 100, 512: 40}
WARM_UP = 20
CPU = Compute(torch.device("cpu"), None)
OPTIM = SGDConfig(
    lr=0.1, momentum=0, nesterov=False, weight_decay=0, warmup_epochs=0, schedule=Schedule.constant
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    images = FashionSampleConfig().load().train
    print(
        f"torch {torch.__version__}, {given.threads} threads; milliseconds a step, medians of {given.rounds} rounds"
    )
    for batch_size in STEPS:
        kinds: dict[str, Callable[[], float]] = {
            "products": lambda b=batch_size: products(b),  # type: ignore[misc]
            "torch": lambda b=batch_size: bare(b),  # type: ignore[misc]
            "sslcli": lambda b=batch_size: end_to_end(Batches(images, b, 0, "cpu")),  # type: ignore[misc]
        }
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(given.rounds):
            for name, measure in kinds.items():
                times[name].append(1000 * measure())
        median = {name: statistics.median(values) for name, values in times.items()}
        shares = {
            name: statistics.median(
                t / s for t, s in zip(times[name], times["sslcli"], strict=True)
            )
            for name in kinds
        }
        print(
            f"batch {batch_size:>3}: matrix products {median['products']:.2f}, step in torch {median['torch']:.2f}, "
            f"sslcli {median['sslcli']:.2f}; products / sslcli {shares['products']:.2f}, torch / sslcli {shares['torch']:.2f}"
        )


def timed(step: Callable[[], object], num_steps: int) -> float:
    for _ in range(WARM_UP):
        step()
    began = time.perf_counter()
    for _ in range(num_steps):
        step()
    return (time.perf_counter() - began) / num_steps


def products(batch_size: int) -> float:
    """Codes, reconstruction, the codes' gradient, the weight's through both of its uses, and its update."""
    pictures, codes, weight = (
        torch.rand(batch_size, 784),
        torch.rand(batch_size, 1000),
        torch.rand(784, 1000),
    )
    gradient = torch.zeros_like(weight)

    def step() -> None:
        torch.mm(pictures, weight)
        torch.mm(codes, weight.t())
        torch.mm(pictures, weight)
        torch.mm(pictures.t(), codes, out=gradient)
        gradient.addmm_(pictures.t(), codes)
        weight.add_(gradient, alpha=-0.1)

    return timed(step, STEPS[batch_size])


def bare(batch_size: int) -> float:
    """The step as a script would have it, on a batch that is ready."""
    weight = torch.nn.Parameter(torch.empty(1000, 784).uniform_(-0.2, 0.2))
    hidden, visible = (torch.nn.Parameter(torch.zeros(size)) for size in (1000, 784))
    optimizer = torch.optim.SGD([weight, hidden, visible], lr=0.1, fused=True)
    pictures = torch.rand(batch_size, 784)

    def step() -> None:
        corrupted = pictures * (torch.rand_like(pictures) >= 0.25)
        codes = torch.nn.functional.linear(corrupted, weight, hidden).sigmoid()
        outputs = torch.nn.functional.linear(codes, weight.t(), visible)
        loss = binary_cross_entropy_with_logits(outputs, pictures, reduction="sum") / batch_size
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return timed(step, STEPS[batch_size])


def end_to_end(pictures: Batches) -> float:
    config = MLPConfig(widths=[1000], activation=Activation.sigmoid, batch_norm=False)
    encoder = config.build(1, 28)
    assert isinstance(encoder, LayeredEncoder)
    corruption = CorruptionConfig(masking=0.25).build()
    learner = StackedLayer.of(encoder, 1, corruption, Reconstruction.cross_entropy, tied=True)
    num_steps = STEPS[pictures.batch_size] + WARM_UP
    watch = Stopwatch()
    with (
        tempfile.TemporaryDirectory() as folder,
        Run.create(Path(folder), {}, {"status": "running"}) as run,
    ):
        train(
            learner, pictures, Minimizer.of(learner, OPTIM, CPU, lambda _: 0.1), lambda _: {}, Phase(run, "layer", 1, 0),
            Periods(num_steps, 200, num_steps + 1, num_steps + 1), CPU, watch,
        )  # fmt: skip
    return (watch.moments[-2] - watch.moments[WARM_UP - 1]) / (
        num_steps - 1 - WARM_UP
    )  # the last one also saves


if __name__ == "__main__":
    main()
