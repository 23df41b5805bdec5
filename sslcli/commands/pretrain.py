"""`sslcli pretrain`: trains an encoder without labels, by any method. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sslcli.commands.recording import require_recording
from sslcli.data.config import DataConfig
from sslcli.engine.optim import OptimConfig
from sslcli.engine.run import Run
from sslcli.engine.runtime import RuntimeConfig
from sslcli.errors import require
from sslcli.method import MethodConfig
from sslcli.nets.encoders import EncoderConfig
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    from sslcli.console import Console


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
    profile: bool = setting(
        False,
        "profile a few steps: <run>/profile/table.txt, and trace.json for Chrome or Perfetto",
        changes_results=False,
    )
    keep_last: int = setting(2, "checkpoints kept, the newest included", changes_results=False)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "22 is the default")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2", "128 is the default")
        require(self.knn_every >= 0, "knn_every", self.knn_every, "0 or more", "0 never measures it")
        require_recording(self)


def settle(config: Config) -> Config:
    """The same config with nothing in it that would mean something else tomorrow, or in another folder."""
    return replace(config, data=config.data.settled())


def label(config: Config, choices: dict[str, str]) -> str:
    """The part of the run folder's path that tells what is run."""
    return f"{choices['method']}-{choices['data']}"


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the run's last checkpoint, or from the start; leaves the encoder, figures and final metrics."""
    from sslcli.commands.training import finish, train_method

    trained = train_method(config, run, console)
    if trained is not None:
        finish(trained, run)
        report(run, console)


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
