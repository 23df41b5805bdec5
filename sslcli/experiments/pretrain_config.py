"""Defines the settings of `sslcli pretrain`.

It trains an encoder without labels, by any method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from sslcli.data.data_config import DataConfig
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import require
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.method import MethodConfig, Preprocessing
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.settings import REQUIRED, setting
from sslcli.trained.encoder_files import with_weights_found


@dataclass(kw_only=True)
class Config(RecordingConfig):
    """Holds the settings of pretraining."""

    method: MethodConfig = setting(REQUIRED, "what is learned from")
    encoder: EncoderConfig = setting(REQUIRED, "the network that survives")
    data: DataConfig = setting(REQUIRED, "the pictures")
    optim: OptimConfig = setting(REQUIRED, "the optimizer")
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)
    epochs: int = setting(22, "passes over the training pictures")
    batch_size: int = setting(128, "pictures a step")
    seed: int = setting(0, "of weights, order and views: the same seed gives the same run")
    knn_every: int = setting(
        11,
        "epochs between two kNN accuracies on validation, where labels exist, and LiDARs; 0: never",
    )
    snapshots: list[int] = setting(
        [],
        "epochs after which the encoder is kept, to be evaluated by at=EPOCH",
        changes_results=False,
    )
    snapshot_every: int = setting(
        0,
        "epochs between two more kept encoders; 0: only those of `snapshots`",
        changes_results=False,
    )
    profile: bool = setting(
        False,
        "profile a few steps: <run>/profile/table.txt, and trace.json for Chrome or Perfetto",
        changes_results=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "22 is the default")
        require(
            self.batch_size >= 2, "batch_size", self.batch_size, "at least 2", "128 is the default"
        )
        require(
            self.knn_every >= 0, "knn_every", self.knn_every, "0 or more", "0 never measures it"
        )
        self._check_snapshots()
        self._check_size()
        if isinstance(self.encoder, EncoderConfig):
            frozen = self.encoder.frozen_epochs
            must_be = f"below epochs={self.epochs}"
            fix = "0 freezes nothing"
            require(frozen < self.epochs, "encoder.frozen_epochs", frozen, must_be, fix)

    def _check_snapshots(self) -> None:
        """Raises SslcliError for an epoch that the run does not reach."""
        good = all(1 <= epoch <= self.epochs for epoch in self.snapshots)
        must_be = f"a list of epochs from 1 to epochs={self.epochs}"
        fix = f"try snapshots=[{self.epochs}]"
        require(good, "snapshots", self.snapshots, must_be, fix)
        every, fix = self.snapshot_every, "0 keeps no more than `snapshots` names"
        must_be = f"from 0 to epochs={self.epochs}"
        require(0 <= every <= self.epochs, "snapshot_every", every, must_be, fix)

    def _check_size(self) -> None:
        """Raises SslcliError, before any picture is read, for views larger than what is stored."""
        if isinstance(self.data, DataConfig) and isinstance(self.method, MethodConfig):
            side = self.data.resolution
            if side is not None:
                self.method.fed(Preprocessing(side, 1, (0.0,), (1.0,)))

    def keeps(self, epoch: int) -> bool:
        """Tells whether the encoder is kept after that many epochs."""
        regular = self.snapshot_every > 0 and epoch % self.snapshot_every == 0
        return regular or epoch in self.snapshots


AnyConfig = TypeVar("AnyConfig", bound=Config)


def resolve(config: AnyConfig) -> AnyConfig:
    """Returns the config with absolute paths of the data's root and of a run's weights."""
    encoder = with_weights_found(config.encoder, config.runtime.outputs)
    return replace(config, data=config.data.with_absolute_root(), encoder=encoder)


def folder_label(config: Config, choices: dict[str, str]) -> str:
    """Returns the part of the run folder's path that names method and data."""
    return f"{choices['method']}-{choices['data']}"
