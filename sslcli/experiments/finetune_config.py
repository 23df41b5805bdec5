"""Defines the settings of `sslcli finetune run=…`.

It trains a run's encoder and a linear classifier together. With init=random it trains the same
network from random weights: the supervised baseline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from sslcli.data.data_config import DataConfig
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import require
from sslcli.experiments.chosen_encoder import ChosenEncoder
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.experiments.subject_config import found_encoder, label_of, require_one_subject
from sslcli.files import expanded
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.settings import REQUIRED, part, setting
from sslcli.trained.data import evaluation_folder_label
from sslcli.trained.encoder_files import require_unlabelled, resolve_encoder_run


class Initial(Enum):
    """Names the initial weights: the run's, or random ones of the same network."""

    run = "run"
    random = "random"


@dataclass(kw_only=True)
class TrainingConfig:
    """Holds the settings by which encoder and classifier are trained."""

    epochs: int = setting(
        30, "at most so many passes over the labelled pictures, or as many as make `steps`"
    )
    steps: int = setting(
        600, "so many steps may be made in any case: with few labels an epoch has few"
    )
    patience: int = setting(
        15, "evaluations on validation in a row without a better one, after which it ends"
    )
    batch_size: int = setting(64, "pictures a step, at most as many as there are")
    head_rate: float = setting(
        10.0, "the classifier's learning rate as a multiple of the encoder's, which is optim.lr"
    )
    frozen_epochs: int = setting(0, "first epochs in which the classifier alone is trained")
    crop_scale: list[float] = setting(
        [0.6, 1.0], "the part of a picture's area that a training crop keeps: from, to"
    )
    flip: float = setting(0.5, "probability of mirroring a training picture")

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("steps", 1),
            ("patience", 1),
            ("batch_size", 2),
            ("frozen_epochs", 0),
        ):
            value = getattr(self, name)
            require(
                value >= least,
                f"training.{name}",
                value,
                f"at least {least}",
                f"leave training.{name} out",
            )
        require(self.head_rate > 0, "training.head_rate", self.head_rate, "positive", "try 1 or 10")
        fewer = self.frozen_epochs < self.epochs
        require(
            fewer,
            "training.frozen_epochs",
            self.frozen_epochs,
            "below training.epochs",
            "0 freezes nothing",
        )
        scale = self.crop_scale
        good = len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1
        require(
            good,
            "training.crop_scale",
            list(scale),
            "two fractions of the area, from and to",
            "try [0.6,1.0]",
        )
        require(
            0 <= self.flip <= 1,
            "training.flip",
            self.flip,
            "a probability",
            "0 never mirrors, 0.5 is usual",
        )


@dataclass(kw_only=True)
class Config(ChosenEncoder, RecordingConfig):
    """Holds the settings of fine-tuning."""

    run: str | None = setting(
        None,
        "the run whose encoder is trained on: its folder, the beginning of its name, or `last`",
    )
    encoder: EncoderConfig | None = setting(
        None, "in place of a run: an encoder with given weights (encoder.weights)", added_later=True
    )
    init: Initial = setting(
        Initial.run,
        "begin with the run's weights, or, as the supervised baseline, with random ones",
    )
    data: DataConfig | None = setting(None, "other data than the run's: transfer")
    data_root: str | None = setting(
        None, "where the run's own data are now, if they moved", changes_results=False
    )
    labels: float = setting(
        1.0, "labels that are learned from: a part (0.01), or a number per class (10); 1 is all"
    )
    seed: int = setting(
        0, "of the draw of those labels, of their order, the crops, and random weights"
    )
    optim: OptimConfig = setting(REQUIRED, "the optimizer")
    training: TrainingConfig = part(TrainingConfig, "how encoder and classifier are trained")
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)
    save_every: float = setting(
        5.0, "epochs between two checkpoints, and at least 20 steps", changes_results=False
    )
    keep_last: int = setting(1, "checkpoints kept, the newest included", changes_results=False)

    def __post_init__(self) -> None:
        require(
            self.labels > 0,
            "labels",
            self.labels,
            "positive",
            "try 0.01, 0.1, 10 (per class) or 1 (all)",
        )
        begins = self.at is None or self.init is Initial.run
        fix = "leave `at` out, or begin with the run's weights: init=run"
        require(begins, "at", self.at, "null where init=random, which begins with no weights", fix)
        super().__post_init__()


def resolve(config: Config) -> Config:
    """Returns the config with `run`, or weights, and the data's root as absolute paths.

    Raises SslcliError where the run has no encoder as it is chosen.
    """
    random, outputs = config.init is Initial.random, config.runtime.outputs
    require_one_subject(config.run, config.encoder, config.data, random)
    source = None
    if config.run is not None:
        folder = resolve_encoder_run(config.run, outputs)
        config.read(folder)
        if not random:
            require_unlabelled(folder)
        source = str(folder.absolute())
    else:
        config.require_nothing_chosen()
    data = None if config.data is None else config.data.with_absolute_root()
    root = config.data_root and str(expanded(config.data_root).absolute())
    encoder = found_encoder(config.encoder, outputs, unlabelled=not random)
    return replace(config, run=source, encoder=encoder, data=data, data_root=root)


def folder_label(config: Config, choices: dict[str, str]) -> str:
    """Returns the part of the run folder's path that names method, data and weights."""
    if config.run is None:
        assert config.encoder is not None, "resolve requires one of them"
        trained_on = label_of(config.encoder, choices)
    else:
        trained_on = config.label(evaluation_folder_label(config.run, choices))
    return trained_on if config.init is Initial.run else f"{trained_on}-{config.init.name}"
