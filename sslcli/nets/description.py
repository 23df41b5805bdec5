"""Reads what describes a trained encoder in its folder. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sslcli.choices import missing
from sslcli.config import to_dataclass
from sslcli.errors import SslcliError
from sslcli.method import Preprocessing
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.preprocessing import Range

FORMAT = 1
JSON = "encoder.json"
WEIGHTS = "encoder.safetensors"


@dataclass(frozen=True)
class EncoderDescription:
    """States how an encoder is built, what it is fed, and what it has learned from."""

    config: EncoderConfig
    preprocessing: Preprocessing
    seed: int
    """The run's seed, from which its initial weights can be built again."""
    labels: int = 0
    """The number of labels that it learned from: 0 by a self-supervised method."""


def read_description(folder: Path) -> EncoderDescription:
    """Returns what the folder's encoder.json says.

    Raises SslcliError where it is absent, damaged, or of another format.
    """
    path = folder / JSON
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
            int(described["resolution"]),
            int(described["channels"]),
            mean,
            std,
            _range_of(described.get("range")),
        )
        seed, labels = int(described["seed"]), int(described.get("labels", 0))
        return EncoderDescription(config, preprocessing, seed, labels)
    except FileNotFoundError:
        raise SslcliError(f"{folder} has no {JSON}", "name a trained encoder's folder") from None
    except (ValueError, KeyError, TypeError) as reason:
        raise SslcliError(
            f"{path} is damaged: {reason!r}", "restore it from the run that wrote it"
        ) from None


def _range_of(described: list[float] | None) -> Range | None:
    """Returns the values that mean 0 and 1; none are described where they are 0 and 255."""
    if described is None:
        return None
    low, high = map(float, described)
    return low, high
