"""Reads encoder.json, and finds runs that have an encoder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sslcli.choices import name_in
from sslcli.config import values_of
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.method import Preprocessing
from sslcli.nets.description import JSON, WEIGHTS, read_description
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.given_config import PUBLIC
from sslcli.nets.vit_config import Pool, ViTConfig
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import read_facts
from sslcli.runs.snapshots import FOLDER as SNAPSHOTS
from sslcli.runs.snapshots import epochs_with, snapshot_folder
from sslcli.text import shell_path

SUFFIXES = (".safetensors", ".pth", ".pt", ".npz", ".bin", ".ckpt", ".tar")
"""Ends of names of files of weights, with which no run's name ends."""
MAX_NAMED = 12
"""Snapshots that an error names."""


@dataclass(frozen=True)
class EncoderFiles:
    """Describes the encoder in a run's folder, without its weights."""

    folder: Path
    config: EncoderConfig
    preprocessing: Preprocessing
    seed: int
    """The run's seed, from which its initial weights can be built again."""
    labels: int = 0
    """The number of labels that it learned from: 0 by a self-supervised method."""
    epoch: int | None = None
    """Set for a snapshot: the epochs after which it was kept."""

    @property
    def has_given_weights(self) -> bool:
        """Tells whether the weights are those that the config names, and not a run's."""
        return self.config.weights is not None

    @property
    def weights(self) -> Path:
        """Returns the file of its weights."""
        return _encoder_folder(self.folder, self.epoch) / WEIGHTS


def without_weights(config: EncoderConfig) -> dict[str, Any]:
    """Returns the values of a config that say what the network is, not what it began with."""
    network = ("bottleneck", "bottleneck_places")
    begins = [field.name for field in fields(EncoderConfig) if field.name not in network]
    return {key: value for key, value in values_of(config).items() if key not in begins}


def resolve_encoder_run(name: str, outputs: str | Path) -> Path:
    """Returns the run named `name` that has an encoder.

    `name`: a folder, the beginning of a run's name under `outputs`, or `last`: the newest run that
    pretrained one, even if another was fine-tuned from it since.
    """
    return resolve_run(name, expanded(outputs), " with an encoder", _has_pretrained)


def with_weights_found(config: EncoderConfig, outputs: str | Path) -> EncoderConfig:
    """Returns the config with the weights of a run, where it names one, as their file."""
    if config.weights is None:
        return config
    return replace(config, weights=weights_named(config.weights, outputs))


def weights_named(name: str, outputs: str | Path) -> str:
    """Returns the file of a run's weights; what names no run stays as it is.

    Raises SslcliError where it is neither a file nor a run.
    """
    path = expanded(name)
    if name == PUBLIC or path.is_file() or path.suffix in SUFFIXES:
        return name
    if (path / JSON).is_file():
        return str(path / WEIGHTS)
    if path.is_dir() and not (path / "run.json").exists():
        return name
    return str(resolve_encoder_run(name, outputs).absolute() / WEIGHTS)


def run_of(weights: str) -> Path | None:
    """Returns the folder of the run whose encoder a file of weights is; None where it is none's."""
    path = Path(weights)
    return path.parent if path.name == WEIGHTS and (path.parent / JSON).is_file() else None


def require_unlabelled(folder: Path) -> None:
    """Raises SslcliError where the run's encoder has learned from labels."""
    labels = read_encoder(folder).labels
    if labels:
        message = f"{folder} learned from {labels:,} labels, which would not be counted"
        raise SslcliError(message, "name a run that learned without labels")


def _has_pretrained(folder: Path) -> bool:
    """Whether the run left an encoder, by a method or without labels."""
    if not (folder / JSON).exists():
        return False
    return read_encoder(folder).labels == 0 or "method" in read_facts(folder).get("choices", {})


def kept_snapshots(run: Path) -> list[int]:
    """Returns, ascending, the epochs whose encoder the run kept."""
    return epochs_with(run / SNAPSHOTS, JSON)


def require_snapshot(run: Path, epoch: int) -> None:
    """Raises SslcliError, naming the snapshots, where there is none of that epoch."""
    kept = kept_snapshots(run)
    if epoch in kept:
        return
    if not kept:
        message = f"{run} kept no snapshot, and so none of epoch {epoch}"
        fix = "leave `at` out for its finished encoder; pretrain snapshots=[…] keeps others"
        raise SslcliError(message, fix)
    some = kept if len(kept) <= MAX_NAMED else [*kept[: MAX_NAMED - 1], "…", kept[-1]]
    message = f"{run} has no snapshot of epoch {epoch}; it has those of {', '.join(map(str, some))}"
    raise SslcliError(message, "name one of them; without `at` the finished encoder is meant")


def _encoder_folder(run: Path, epoch: int | None) -> Path:
    return run if epoch is None else snapshot_folder(run, epoch)


def read_encoder(folder: Path, epoch: int | None = None, pool: Pool | None = None) -> EncoderFiles:
    """Returns the description of a run's encoder, or of its snapshot at `epoch`.

    With `pool`, its features are pooled so, however it was trained. Raises SslcliError where the
    run has none, or one of another format, or one that pools no tokens.
    """
    if epoch is not None:
        require_snapshot(folder, epoch)
    path = _encoder_folder(folder, epoch) / JSON
    if not path.exists():
        raise SslcliError(
            f"{folder} has no encoder: there is no {JSON}",
            f"if it was interrupted: sslcli resume {shell_path(folder)}",
        )
    described = read_description(path.parent)
    return EncoderFiles(
        folder,
        described.config if pool is None else _pooled(folder, described.config, pool),
        described.preprocessing,
        described.seed,
        described.labels,
        epoch,
    )


def pooled_where_it_can(config: EncoderConfig, pool: Pool | None) -> EncoderConfig:
    """Returns the config with its features pooled so, where it has tokens to pool."""
    if pool is None or not isinstance(config, ViTConfig) or config.bottleneck is not None:
        return config
    return replace(config, pool=pool)


def _pooled(folder: Path, config: EncoderConfig, pool: Pool) -> EncoderConfig:
    if not isinstance(config, ViTConfig) or config.bottleneck is not None:
        kind = name_in(ENCODERS, config)
        behind = "" if config.bottleneck is None else " with a bottleneck"
        message = f"pool={pool.name}: the encoder of {folder} is a {kind}{behind}, "
        message += "which has no class token beside patches to choose from"
        raise SslcliError(message, "leave `pool` out, or name a run of encoder=vit")
    return replace(config, pool=pool)
