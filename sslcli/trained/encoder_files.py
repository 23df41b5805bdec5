"""Reads encoder.json, and finds runs that have an encoder. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sslcli.choices import missing
from sslcli.config import to_dataclass
from sslcli.errors import SslcliError
from sslcli.method import Preprocessing
from sslcli.nets.encoder_config import ENCODERS, EncoderConfig
from sslcli.runs.find import resolve_run
from sslcli.text import shell_quoted

FORMAT = 1
JSON = "encoder.json"
WEIGHTS = "encoder.safetensors"


@dataclass(frozen=True)
class EncoderFiles:
    """Describes the encoder in a run's folder, without its weights."""

    folder: Path
    config: EncoderConfig
    preprocessing: Preprocessing
    seed: int
    """The run's, from which its initial weights can be made again."""
    labels: int = 0
    """The number of labels that it learned from: 0 by a self-supervised method."""


def resolve_encoder_run(name: str, outputs: str | Path) -> Path:
    """Returns the run with an encoder that `name` names.

    `name`: a folder, the beginning of a run's name under `outputs`, or `last`: the newest run that
    learned without labels, even if another was fine-tuned from it since.
    """
    return resolve_run(name, Path(outputs).expanduser(), " with an encoder", _has_pretrained)


def require_unlabelled(folder: Path) -> None:
    """Raises SslcliError where the run's encoder has learned from labels.

    A score with few labels would not count those.
    """
    labels = read_encoder(folder).labels
    if labels:
        message = f"{folder} learned from {labels:,} labels, which would not be counted"
        raise SslcliError(message, "name the pretrained run that it began with")


def _has_pretrained(folder: Path) -> bool:
    return (folder / JSON).exists() and read_encoder(folder).labels == 0


def read_encoder(folder: Path) -> EncoderFiles:
    """Returns the description of a run's encoder.

    Raises SslcliError where the run has none, or one of another format.
    """
    path = folder / JSON
    if not path.exists():
        raise SslcliError(
            f"{folder} has no encoder: there is no {JSON}",
            f"if it was interrupted: sslcli resume {shell_quoted(folder)}",
        )
    try:
        described = json.loads(path.read_text())
        if described["format"] != FORMAT:
            raise SslcliError(
                f"{path} has format {described['format']!r}; "
                f"this version of sslcli reads format {FORMAT}",
                "use the version that wrote it",
            )
        if described["encoder"] not in ENCODERS:
            package = described.get("package")
            raise missing(ENCODERS, "encoder", described["encoder"], package)
        config = to_dataclass(ENCODERS[described["encoder"]], described["config"], "encoder")
        mean, std = tuple(map(float, described["mean"])), tuple(map(float, described["std"]))
        preprocessing = Preprocessing(
            int(described["resolution"]), int(described["channels"]), mean, std
        )
        return EncoderFiles(
            folder, config, preprocessing, int(described["seed"]), int(described.get("labels", 0))
        )
    except (ValueError, KeyError, TypeError) as reason:
        raise SslcliError(
            f"{path} is damaged: {reason!r}", "restore it from the run that wrote it"
        ) from None
