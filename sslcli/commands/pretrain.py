"""`sslcli pretrain`: trains an encoder without labels, by any method. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sslcli.commands.encoder_files import initial_encoder, write_encoder
from sslcli.commands.same_data import require_same_data
from sslcli.data.config import DataConfig
from sslcli.engine.optim import OptimConfig
from sslcli.engine.run import Run, read_records
from sslcli.engine.runtime import RuntimeConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Preprocessing
from sslcli.nets.encoders import EncoderConfig
from sslcli.seeding import derive_seed
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.engine.device import Compute
    from sslcli.engine.train import Pictures

PHASE = "pretrain"


@dataclass(kw_only=True)
class Config:
    """Every knob of pretraining."""

    method: MethodConfig = setting(REQUIRED, "what is learned from")
    encoder: EncoderConfig = setting(REQUIRED, "the network that survives")
    data: DataConfig = setting(REQUIRED, "the pictures")
    optim: OptimConfig = setting(REQUIRED, "the optimizer")
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)
    epochs: int = setting(22, "passes over the training pictures")
    batch_size: int = setting(128, "pictures a step")
    seed: int = setting(0, "of weights, order and views: the same seed gives the same run")
    log_every: int = setting(20, "steps between two records of the loss (a record holds the mean since the last)")
    knn_every: int = setting(11, "epochs between two kNN accuracies on validation, where labels exist; 0: never")
    save_every: float = setting(1.0, "epochs between two checkpoints; may be a fraction", changes_results=False)
    keep_last: int = setting(2, "checkpoints kept, the newest included", changes_results=False)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "22 is the default")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2", "128 is the default")
        require(self.log_every >= 1, "log_every", self.log_every, "at least 1", "20 is the default")
        require(self.knn_every >= 0, "knn_every", self.knn_every, "0 or more", "0 never measures it")
        require(self.save_every > 0, "save_every", self.save_every, "positive", "1 saves once an epoch")
        require(self.keep_last >= 1, "keep_last", self.keep_last, "at least 1", "2 is the default")


def settle(config: Config) -> Config:
    """The same config with nothing in it that would mean something else tomorrow, or in another folder."""
    return replace(config, data=config.data.settled())


def label(config: Config, choices: dict[str, str]) -> str:
    """The part of the run folder's path that tells what is run."""
    return f"{choices['method']}-{choices['data']}"


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the run's last checkpoint, or from the start; leaves the encoder, figures and final metrics."""
    from sslcli.data.batches import Batches
    from sslcli.data.statistics import channel_moments
    from sslcli.engine.checkpoint import Phase
    from sslcli.engine.device import Compute
    from sslcli.engine.environment import environment
    from sslcli.engine.minimize import Minimizer, Player
    from sslcli.engine.tensorboard import tensorboard_writer
    from sslcli.engine.train import Periods, seed_generators, train
    from sslcli.evaluation.monitor import Monitor

    compute = Compute.choose(config.runtime)
    if config.runtime.tensorboard:
        run.mirror = tensorboard_writer(run.folder)
    splits = config.data.load(console.track)
    require_same_data(run.folder, splits, f"start a new run: sslcli rerun '{run.folder}'")
    for warning in splits.warnings:
        console.warn(warning)

    mean, std = channel_moments(splits.pretraining)
    preprocessing = Preprocessing(splits.train.resolution, splits.train.channels, mean, std)
    encoder = initial_encoder(config.encoder, preprocessing.channels, preprocessing.resolution, config.seed)
    seed_generators(derive_seed(config.seed, "method"))
    method = config.method.build(encoder, preprocessing)
    for module in method.modules().values():
        compute.place(module)
    if config.runtime.compile:
        encoder.compile()

    pictures = Batches(splits.pretraining, config.batch_size, config.seed, compute.device)
    num_steps = config.epochs * pictures.steps_per_epoch
    in_steps = pictures.steps_per_epoch
    periods = Periods(num_steps, config.log_every, in_steps, max(1, round(config.save_every * in_steps)))
    players = {
        name: Player(config.optim.build(modules), config.optim.clip_norm) for name, modules in method.players().items()
    }
    monitor = Monitor(
        encoder, method.preprocessing, splits.train, splits.val, config.knn_every * in_steps, num_steps,
        compute.device, compute.dtype, console.warn,
    )  # fmt: skip
    run.update(
        environment=environment(compute),
        data={
            "fingerprint": splits.fingerprint,
            "pictures": len(splits.pretraining),
            "warnings": list(splits.warnings),
        },
        derived={
            "num_steps": num_steps,
            "steps_per_epoch": in_steps,
            "peak_learning_rate": config.optim.peak_learning_rate(config.batch_size),
            "parameters": sum(p.numel() for p in encoder.parameters()),
        },
    )
    save_views(run, method, pictures, derive_seed(config.seed, PHASE, 0))

    with console.training(type(method).__name__, num_steps) as watch:
        images_per_second = train(
            method,
            pictures,
            Minimizer(players, compute),
            lambda step: config.optim.learning_rate(step, num_steps, in_steps, config.batch_size),
            monitor,
            Phase(run, PHASE, config.keep_last),
            periods,
            compute,
            config.seed,
            watch,
        )
    write_encoder(run.folder, encoder, config.encoder, method.preprocessing, config.seed)
    finish(run, compute, images_per_second)
    report(run, console)


def save_views(run: Run, method: Method, pictures: Pictures, seed: int) -> None:
    """The contact sheet of the first step's views: bad augmentation is silent otherwise."""
    from sslcli.engine.train import seed_generators
    from sslcli.report.figures import save_views as save_contact_sheet

    images = pictures.at(0)
    seed_generators(seed)
    views = method.views(images)
    views = views.view(-1, len(images), *views.shape[1:])
    run.figures.mkdir(exist_ok=True)
    shown = slice(0, 12)
    normalization = (method.preprocessing.mean, method.preprocessing.std)
    save_contact_sheet(run.figures / "views.png", images[shown].cpu().numpy(), views[:, shown].cpu(), *normalization)


def finish(run: Run, compute: Compute, images_per_second: float) -> None:
    """The curves, and run.json's final entries."""
    from sslcli.report.figures import save_curves

    records = read_records(run.folder)
    save_curves(run.figures / "curves.png", records)
    metrics: dict[str, Any] = {}
    for record in records:
        metrics.update({k: v for k, v in record.items() if k not in ("phase", "step", "epoch", "timing")})
    throughput = {"images_per_second": round(images_per_second, 1)} if images_per_second else {}
    run.update(status="finished", metrics=metrics, peak_memory_bytes=compute.peak_memory_bytes(), **throughput)


def report(run: Run, console: Console) -> None:
    """The final table."""
    from sslcli.console import duration

    facts = run.facts
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in facts["metrics"].items()]
    rows += [
        ("images/s", f"{facts.get('images_per_second', 0):.0f}"),
        ("time", duration(facts["seconds"])),
        ("peak memory", f"{facts['peak_memory_bytes'] / 2**20:.0f} MiB"),
    ]
    console.table("", ("pretrained", ""), rows)
    console.say(f"run: {run.folder}")
