"""Defines the settings of `sslcli stack-pretrain`.

It trains a deep network greedily: each layer is a denoising autoencoder of the codes below it. Then
the whole network is fine-tuned with a classifier on top, and compared with less pretraining.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.data_config import DataConfig
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError, require
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.methods.denoising_autoencoder import Reconstruction
from sslcli.nets.encoder_config import Activation, EncoderConfig, LayeredConfig
from sslcli.settings import REQUIRED, part, setting


class Noise(Enum):
    """Names the kinds of corruption, as in CorruptionConfig."""

    masking = "masking"
    gaussian = "gaussian"
    salt_and_pepper = "salt_and_pepper"

    def at(self, level: float) -> CorruptionConfig:
        """Returns this corruption alone, at a level."""
        fields: dict[str, float] = {self.name: level}
        return CorruptionConfig(**fields)


class Pretraining(Enum):
    """Names how layers are trained before fine-tuning: not at all, or as autoencoders."""

    none = "none"
    autoencoder = "autoencoder"
    denoising = "denoising"


@dataclass(kw_only=True)
class FinetuneConfig:
    """Holds the settings of training all layers and a linear classifier together.

    The optimizer is that of pretraining.
    """

    epochs: int = setting(
        100, "at most so many passes over the labelled pictures; 0: no fine-tuning"
    )
    patience: int = setting(20, "epochs without a better validation accuracy after which it ends")
    lr: float = setting(0.1, "learning rate")
    batch_size: int = setting(20, "pictures a step")
    labels: float = setting(
        1.0, "labels it may see: a part (0.01), or a number per class (10); 1 is all"
    )

    def __post_init__(self) -> None:
        for name, least, must_be, fix in (
            ("epochs", 0, "0 or more", "100 is the default"),
            ("patience", 1, "at least 1", "20 is the default"),
            ("batch_size", 1, "at least 1", "20 is the default"),
        ):
            value = getattr(self, name)
            require(value >= least, f"finetune.{name}", value, must_be, fix)
        require(self.lr > 0, "finetune.lr", self.lr, "positive", "0.1 is the default")
        require(
            self.labels > 0,
            "finetune.labels",
            self.labels,
            "positive",
            "try 0.01, 0.1, 10 (per class) or 1 (all)",
        )


@dataclass(kw_only=True)
class Config(RecordingConfig):
    """Holds the settings of stacking; a list of one value holds for every layer."""

    encoder: EncoderConfig = setting(REQUIRED, "the network, a chain of layers: mlp or conv_stack")
    data: DataConfig = setting(REQUIRED, "the pictures")
    optim: OptimConfig = setting(REQUIRED, "the optimizer of the layers' training")
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)
    noise: Noise = setting(Noise.masking, "the kind of corruption")
    corruption: list[float] = setting([0.25], "each layer's: the fraction corrupted, or sigma")
    epochs: list[int] = setting([20], "passes over the pictures, each layer's")
    batch_size: int = setting(20, "pictures a step")
    tied: bool = setting(True, "each layer is decoded by its own weights, transposed")
    reconstruction: Reconstruction = setting(
        Reconstruction.cross_entropy,
        "each layer's loss; cross_entropy needs codes in [0, 1], as a sigmoid gives",
    )
    compare: list[Pretraining] = setting(
        [Pretraining.denoising], "which networks are trained: none, autoencoder, denoising"
    )
    depths: list[int] = setting(
        [],
        "numbers of layers that are fine-tuned, each as a network of its own; []: all layers only",
    )
    seeds: list[int] = setting(
        [0], "of weights, order and corruption: every network is trained once for each"
    )
    finetune: FinetuneConfig = part(
        FinetuneConfig, "with a classifier on top, where there are labels"
    )
    log_every: int = setting(
        200, "steps between two records of the loss (a record holds the mean since the last)"
    )
    save_every: float = setting(
        5.0, "epochs between two checkpoints; may be a fraction", changes_results=False
    )
    keep_last: int = setting(1, "checkpoints kept, the newest included", changes_results=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.encoder, EncoderConfig):
            _check_network(self)
        if isinstance(self.runtime, RuntimeConfig):
            fix = "leave it out; pretrain and linear-eval can"
            require(
                not self.runtime.compile, "runtime.compile", True, "false for stack-pretrain", fix
            )
        for name in ("compare", "seeds", "corruption", "epochs"):
            values = getattr(self, name)
            require(
                len(values) > 0,
                name,
                values,
                "a list with something in it",
                f"see `{name}` in --help",
            )
        for name in ("compare", "seeds", "depths"):
            values = getattr(self, name)
            shown = [getattr(value, "name", value) for value in values]
            require(
                len(set(values)) == len(values), name, shown, "without repetition", "name each once"
            )
        require(
            all(count >= 1 for count in self.epochs),
            "epochs",
            self.epochs,
            "at least 1 each",
            "try epochs=[20]",
        )
        most, must_be = (
            (math.inf, "at least 0") if self.noise is Noise.gaussian else (1.0, "in [0, 1)")
        )
        fits = all(0 <= level < most for level in self.corruption)
        require(fits, "corruption", self.corruption, must_be, "try corruption=[0.25]")
        denoises = max(self.corruption) > 0 or Pretraining.denoising not in self.compare
        require(
            denoises,
            "corruption",
            self.corruption,
            "positive to denoise",
            "compare=[autoencoder] trains without",
        )
        require(
            self.batch_size >= 1, "batch_size", self.batch_size, "at least 1", "20 is the default"
        )

    def of_layer(self, depth: int) -> tuple[float, int]:
        """Returns corruption and epochs of the `depth`-th layer, counted from 1."""
        level, epochs = (
            values[0] if len(values) == 1 else values[depth - 1]
            for values in (self.corruption, self.epochs)
        )
        return float(level), int(epochs)

    def finetuned_depths(self, num_layers: int) -> list[int]:
        """Returns the numbers of layers that are fine-tuned."""
        return self.depths or [num_layers]


def _check_network(config: Config) -> None:
    network = config.encoder
    if not isinstance(network, LayeredConfig) or network.bottleneck is not None:
        raise SslcliError(
            "stack-pretrain needs an encoder that is a plain chain of layers",
            "choose encoder=mlp or encoder=conv_stack, without encoder.bottleneck",
        )
    fix = "leave it out; pretrain can begin with weights"
    begins, frozen = network.weights, network.frozen_epochs
    require(begins is None, "encoder.weights", begins, "null for stack-pretrain", fix)
    fix = "leave it out; pretrain can freeze an encoder"
    require(frozen == 0, "encoder.frozen_epochs", frozen, "0 for stack-pretrain", fix)
    num_layers = len(network.widths)
    for name in ("corruption", "epochs"):
        values = getattr(config, name)
        must_be = f"one value, or one for each of the {num_layers} layers"
        require(
            len(values) in (1, num_layers),
            name,
            values,
            must_be,
            "encoder.widths says how many layers there are",
        )
    for depth in config.depths:
        require(
            1 <= depth <= num_layers,
            "depths",
            depth,
            f"1 to {num_layers}",
            "encoder.widths has one width a layer",
        )
    for name, size in (
        ("batch_size", config.batch_size),
        ("finetune.batch_size", config.finetune.batch_size),
    ):
        must_be = "at least 2 with encoder.batch_norm"
        require(size >= 2 or not network.batch_norm, name, size, must_be, "20 is the default")
    if (
        config.reconstruction is Reconstruction.cross_entropy
        and network.activation is not Activation.sigmoid
    ):
        gives = f"encoder.activation={network.activation.name} gives others"
        message = f"reconstruction=cross_entropy needs codes in [0, 1], and {gives}"
        raise SslcliError(
            message, "set reconstruction=squared_error, or encoder.activation=sigmoid"
        )


def resolve(config: Config) -> Config:
    """Returns the config with the data's root as an absolute path."""
    return replace(config, data=config.data.with_absolute_root())


def folder_label(config: Config, choices: dict[str, str]) -> str:
    """Returns the part of the run folder's path that names network and data."""
    return f"{choices['encoder']}-{choices['data']}"
