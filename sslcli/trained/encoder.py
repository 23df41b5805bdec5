"""Builds, loads and writes a run's encoder.

`encoder.safetensors` holds the weights, `encoder.json` what is needed to build and feed it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from sslcli.choices import answerable, name_in, package_in, package_of_part
from sslcli.errors import SslcliError
from sslcli.files import write_atomically
from sslcli.generators import kept_generators, seed_generators
from sslcli.method import Preprocessing
from sslcli.nets.description import FORMAT, JSON, WEIGHTS
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.sound_encoder import require_encoder
from sslcli.nets.stored import load_weights
from sslcli.seeding import derive_seed
from sslcli.text import shell_path
from sslcli.trained.encoder_files import EncoderFiles, without_weights
from sslcli.trained.given_weights import give_weights


def load_trained(files: EncoderFiles) -> Encoder:
    """Returns the trained encoder, or that with given weights, in eval mode.

    Raises SslcliError unless every weight of a trained one is there and none is left over.
    """
    with kept_generators():  # a notebook's own random numbers must not change
        encoder = build_untrained(files)
    if files.has_given_weights:
        give_weights(encoder, files.config, files.preprocessing.channels)
        return encoder
    if not files.weights.exists():
        raise SslcliError(
            f"{files.folder} has no {WEIGHTS}",
            f"let its pretraining finish: sslcli resume {shell_path(files.folder)}",
        )
    load_weights(encoder, files.weights.parent)
    return encoder.eval()


def build_untrained(files: EncoderFiles) -> Encoder:
    """Returns the same encoder as it was before training, in eval mode."""
    shape = files.preprocessing
    return build_initial(files.config, shape.channels, shape.resolution, files.seed).eval()


def build_initial(config: EncoderConfig, channels: int, resolution: int, seed: int) -> Encoder:
    """Returns an encoder with the random weights that a run of `seed` starts from.

    Raises SslcliError where an installed package's encoder fails, or is none.
    """
    seed_generators(derive_seed(seed, "encoder"))
    with answerable(ENCODERS, config):
        encoder = config.build(channels, resolution)
        if package_of_part(ENCODERS, config) is not None:
            require_encoder(encoder, channels, resolution)
    return encoder


def write_encoder(
    folder: Path,
    encoder: Encoder,
    config: EncoderConfig,
    preprocessing: Preprocessing,
    seed: int,
    labels: int = 0,
) -> None:
    """Writes both files of an encoder that learned from `labels` labels."""
    name = name_in(ENCODERS, config)
    package = package_in(ENCODERS, name)
    description: dict[str, Any] = {
        "format": FORMAT,
        "encoder": name,
        **({} if package is None else {"package": package}),
        "config": without_weights(config),
        "width": encoder.width,
        "seed": seed,
        "labels": labels,
        "resolution": preprocessing.resolution,
        "channels": preprocessing.channels,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
    if preprocessing.range is not None:
        description["range"] = list(preprocessing.range)
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()
    }
    write_atomically(folder / WEIGHTS, save(state))
    write_atomically(folder / JSON, (json.dumps(description, indent=2) + "\n").encode())


def was_trained(files: EncoderFiles) -> bool:
    """Tells whether any weight differs from the run's initial ones.

    With compare=[none], stack-pretrain writes an untrained encoder.
    """
    before, after = (make(files).state_dict() for make in (build_untrained, load_trained))
    return any(not after[name].equal(weight) for name, weight in before.items())
