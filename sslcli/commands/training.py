"""How a method is trained on a run's data: the common part of `pretrain` and `inpaint`, read top to bottom."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslcli import processes
from sslcli.commands.encoder_files import initial_encoder, write_encoder
from sslcli.commands.phases import train_phase
from sslcli.commands.preparation import prepare
from sslcli.commands.restoration import Decoding, RestorationMonitor, save_restorations
from sslcli.commands.view_features import NUM_VIEWED, view_features
from sslcli.data.batches import Batches
from sslcli.data.images import Splits, evenly
from sslcli.data.statistics import channel_moments
from sslcli.engine.device import Compute
from sslcli.engine.profile import Profiling, require_enough
from sslcli.engine.run import Run, Validation, read_records
from sslcli.engine.train import Pictures, Watch, seed_generators
from sslcli.errors import SslcliError
from sslcli.evaluation.monitor import Monitor
from sslcli.method import Method, Preprocessing, Restorer
from sslcli.report.figures import save_curves
from sslcli.report.figures import save_views as save_contact_sheet
from sslcli.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sslcli.commands.pretrain import Config
    from sslcli.console import Console

PHASE = "pretrain"

VALIDATION = (Validation("knn_accuracy"), Validation("restored_psnr", given="damaged_psnr"))
"""By what pretraining runs are chosen: the first that was measured. A training loss is none: it does not compare across
temperatures, batch sizes or views."""


@dataclass(frozen=True)
class Trained:
    method: Method
    splits: Splits
    compute: Compute
    images_per_second: float


def train_method(
    config: Config, run: Run, console: Console, watched: Callable[[Watch], Watch] = lambda watch: watch
) -> Trained | None:
    """Trains from the run's last checkpoint, or from the start, and writes the encoder; None where that is left to another
    process, which trained with this one. `watched` wraps who looks on."""
    compute, splits = prepare(run, config.runtime, config.data, console)
    mean, std = channel_moments(splits.pretraining)
    method = build_method(config, Preprocessing(splits.train.resolution, splits.train.channels, mean, std))
    warn_of_wide_code(config, method, console)
    for module in method.modules().values():
        compute.place(module, sees_all=module in method.whole_batch_parts())
    warn_of_own_statistics(method, console)
    if config.runtime.compile:
        if isinstance(method, Restorer):
            message = f"runtime.compile=true does nothing for {type(method).__name__}, which asks its encoder for codes"
            raise SslcliError(message, "leave it out")
        method.encoder.compile()

    pictures = Batches(splits.pretraining, config.batch_size, config.seed, compute.device)
    num_steps = config.epochs * pictures.steps_per_epoch
    in_steps = pictures.steps_per_epoch
    run.update(
        derived={
            "num_steps": num_steps,
            "steps_per_epoch": in_steps,
            "peak_learning_rate": config.optim.peak_learning_rate(config.batch_size),
            "parameters": sum(p.numel() for p in method.encoder.parameters()),
        },
    )
    save_views(run, method, pictures, derive_seed(config.seed, PHASE, 0))

    profile = run.folder / "profile"
    with contextlib.ExitStack() as profiling:
        if config.profile:
            require_enough(num_steps)
            watched = profiled(watched, profile, compute, profiling)
        images_per_second = train_phase(
            PHASE,
            method,
            pictures,
            config.optim,
            evaluation(config, method, splits, compute, num_steps, in_steps, console),
            num_steps,
            recording=config,
            run=run,
            compute=compute,
            seed=config.seed,
            console=console,
            label=type(method).__name__,
            watched=watched,
        )
    if config.profile and not profile.exists():
        console.warn("profile=true: fewer steps were left than it needs when the run was resumed; nothing is written")
    leads = processes.rank() == 0
    processes.leave()
    if not leads:
        return None
    write_encoder(run.folder, method.encoder, config.encoder, method.preprocessing, config.seed)
    return Trained(method, splits, compute, images_per_second)


def profiled(
    watched: Callable[[Watch], Watch], folder: Path, compute: Compute, until: contextlib.ExitStack
) -> Callable[[Watch], Watch]:
    """`watched`, and where the time goes is written into `folder`; the profiler is stopped with `until`."""
    return lambda watch: until.enter_context(Profiling(watched(watch), folder, compute.device))


def build_method(config: Config, preprocessing: Preprocessing) -> Method:
    """The config's method as it is before training, on the CPU."""
    encoder = initial_encoder(config.encoder, preprocessing.channels, preprocessing.resolution, config.seed)
    seed_generators(derive_seed(config.seed, "method"))
    return config.method.build(encoder, preprocessing)


def warn_of_wide_code(config: Config, method: Method, console: Console) -> None:
    units, shape = config.encoder.bottleneck, method.preprocessing
    num_inputs = shape.channels * shape.resolution**2
    if units is not None and units > num_inputs:
        console.warn(
            f"encoder.bottleneck={units} is wider than the picture's {num_inputs} values: nothing is compressed"
        )


def warn_of_own_statistics(method: Method, console: Console) -> None:
    """Of batch norms that do not share their statistics among several processes, by the parts they are in."""
    if processes.size() == 1:
        return
    own = [
        name
        for name, part in method.modules().items()
        if part not in method.whole_batch_parts()
        and any(isinstance(norm, _BatchNorm) and not isinstance(norm, nn.SyncBatchNorm) for norm in part.modules())
    ]
    if own:
        instead = "; encoder.norm=group, where there is that choice, has none" if "encoder" in own else ""
        console.warn(
            f"batch norm ({', '.join(own)}) takes the statistics of each process's own pictures: results are not those of one "
            f"process{instead}"
        )


def evaluation(
    config: Config, method: Method, splits: Splits, compute: Compute, num_steps: int, in_steps: int, console: Console
) -> Callable[[int], dict[str, float]]:
    """What is measured on validation during training: the features, and restorations where the method makes them."""
    monitor = Monitor(
        method.encoder, method.preprocessing, splits.train, splits.val, config.knn_every * in_steps, num_steps,
        compute.device, console.warn,
        lambda: view_features(method, splits.val.images[evenly(len(splits.val), NUM_VIEWED)], compute),
    )  # fmt: skip
    if not isinstance(method, Restorer):
        return monitor
    restoration = RestorationMonitor(method, method.modules(), splits.val, compute)
    return lambda step: {**monitor(step), **restoration(step)}


def save_views(run: Run, method: Method, pictures: Pictures[Tensor], seed: int) -> None:
    """The contact sheet of the first step's views: bad augmentation is silent otherwise."""
    images = pictures.at(0)
    seed_generators(seed)
    views = method.views(images)
    views = views.view(-1, len(images), *views.shape[1:])
    run.figures.mkdir(exist_ok=True)
    shown = slice(0, 12)
    shape = method.preprocessing
    if isinstance(method, Restorer):  # whose views are pictures in [0, 1], whatever its encoder is fed
        shape = shape.without_normalization()
    normalization = (shape.mean, shape.std)
    save_contact_sheet(run.figures / "views.png", images[shown].cpu().numpy(), views[:, shown].cpu(), *normalization)


def finish(trained: Trained, run: Run, **metrics: float) -> None:
    """The figures, and run.json's final entries: the last value of everything recorded, and `metrics`."""
    records = read_records(run.folder)
    save_curves(run.figures / "curves.png", records)
    if isinstance(trained.method, Restorer):
        save_restorations(run.figures, trained.method, trained.splits.val, trained.compute)
    last: dict[str, Any] = {}
    for record in records:
        last.update({k: v for k, v in record.items() if k not in ("phase", "step", "epoch", "timing")})
    if isinstance(trained.method, Decoding):
        shape, code = trained.method.preprocessing, trained.method.encoder.code_shape
        last["compression_ratio"] = shape.channels * shape.resolution**2 / math.prod(code)
    speed = trained.images_per_second
    throughput = {"images_per_second": round(speed, 1)} if speed else {}
    peak = trained.compute.peak_memory_bytes()
    validation = next((metric for metric in VALIDATION if metric.metric in last), None)
    run.finish({**last, **metrics}, validation, peak_memory_bytes=peak, **throughput)
