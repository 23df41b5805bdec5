"""Settles what is evaluated or fine-tuned: a run's encoder, or one with given weights."""

from __future__ import annotations

from sslcli.data.data_config import DataConfig
from sslcli.errors import SslcliError, require
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.given_config import PUBLIC
from sslcli.text import hydra_path
from sslcli.trained.encoder_files import (
    require_unlabelled,
    run_of,
    weights_named,
    with_weights_found,
)

RAW_PIXELS, UNTRAINED = "raw_pixels", "untrained"
COMPARED = (RAW_PIXELS, UNTRAINED, PUBLIC)
"""What baselines may name beside files of weights and runs."""


def require_one_subject(
    run: str | None, encoder: EncoderConfig | None, data: DataConfig | None, random: bool = False
) -> None:
    """Raises SslcliError unless a run is named, or an encoder with weights and data.

    `random`: an encoder may have random weights instead.
    """
    both = "encoder=resnet18 encoder.weights=FILE data=…"
    if encoder is None:
        if run is None:
            fix = f"give it on the command line: run=…; or an encoder with weights: {both}"
            raise SslcliError("run is required", fix)
        return
    frozen = encoder.frozen_epochs
    fix = "leave it out; pretrain freezes by it, finetune by training.frozen_epochs"
    require(frozen == 0, "encoder.frozen_epochs", frozen, "0 here", fix)
    if run is not None:
        message = f"{hydra_path('run', run)} and encoder=… name two encoders"
        raise SslcliError(message, "leave one out; encoder=… is for weights of no run")
    if encoder.weights is None and not random:
        message = "encoder.weights is required where encoder=… stands in place of a run"
        raise SslcliError(message, "encoder.weights=FILE, or public; or leave encoder=… out")
    if data is None:
        message = "data is required: an encoder with given weights has none of its own"
        raise SslcliError(message, "name the data: data=…")


def found_encoder(
    encoder: EncoderConfig | None, outputs: str, unlabelled: bool = False
) -> EncoderConfig | None:
    """Returns the encoder's config with the weights of a run as their file.

    Raises SslcliError where these are `unlabelled` by name, and have learned from labels.
    """
    if encoder is None:
        return None
    found = with_weights_found(encoder, outputs)
    if unlabelled and found.weights is not None:
        _require_unlabelled(found.weights)
    return found


def found_baselines(names: list[str], outputs: str, unlabelled: bool = False) -> list[str]:
    """Returns the baselines with the weights of runs as their files.

    Raises SslcliError for one that is named twice, and where they are `unlabelled` by name for a
    run that has learned from labels.
    """
    if len(set(names)) < len(names):
        raise SslcliError(f"baselines name one twice: {names}", "name each once")
    found = [name if name in COMPARED else weights_named(name, outputs) for name in names]
    for weights in found if unlabelled else []:
        _require_unlabelled(weights)
    return found


def _require_unlabelled(weights: str) -> None:
    run = run_of(weights)
    if run is not None:
        require_unlabelled(run)


def label_of(encoder: EncoderConfig, choices: dict[str, str]) -> str:
    """Returns the part of a run folder's path that names a given encoder and the data."""
    begins = "untrained" if encoder.weights is None else "given"
    return f"{begins}_{choices['encoder']}-{choices['data']}"
