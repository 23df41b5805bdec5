"""Begins an experiment with given weights, and records what became of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from sslcli.data.images import Splits
from sslcli.data.statistics import channel_moments
from sslcli.experiments.session import Session
from sslcli.files import write_atomically
from sslcli.method import Preprocessing
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.trained.encoder import build_initial
from sslcli.trained.encoder_files import EncoderFiles
from sslcli.trained.given_weights import Given, give_weights

FILE = "weights.json"
"""What became of every tensor of the weights that the run was given, by what they are for."""


def first_encoder(
    config: EncoderConfig, session: Session, seed: int, what: str = "encoder"
) -> tuple[Encoder, Preprocessing, int]:
    """Returns the encoder that a run begins with, and what it is fed, on the CPU.

    The third is the number of labels that its weights are known to have learned from. `what`:
    names given weights in the record.
    """
    splits = session.splits
    shape = data_preprocessing(splits)
    encoder = build_initial(config, shape.channels, shape.resolution, seed)
    if config.weights is None:
        return encoder, shape, 0
    given = give_weights(encoder, config, shape.channels)
    note(given, session, what)
    if given.fed is not None:
        shape = replace(shape, mean=given.fed.mean, std=given.fed.std)
    return encoder, shape, given.labels


def data_preprocessing(splits: Splits) -> Preprocessing:
    """Returns what an encoder is fed by the statistics of the pictures at hand."""
    mean, std = channel_moments(splits.pretraining)
    return Preprocessing(splits.train.resolution, splits.train.channels, mean, std)


def given_encoder(config: EncoderConfig, session: Session, seed: int, what: str) -> EncoderFiles:
    """Describes an encoder with given weights as if it were a run's.

    Raises SslcliError where the weights do not fit.
    """
    _, shape, labels = first_encoder(config, session, seed, what)
    return EncoderFiles(Path(str(config.weights)), config, shape, seed, labels)


def note(given: Given, session: Session, what: str) -> None:
    """Says what was loaded, once a run, and writes it into the run's folder."""
    path = session.run.folder / FILE
    noted = json.loads(path.read_text()) if path.exists() else {}
    if what in noted:
        return
    for sentence in given.sentences():
        session.console.say(sentence)
    rows = [(f"{kind} {number}", which) for kind, number, which in given.rows() if number != "0"]
    session.console.columns(f"tensors of the {what.replace('_', ' ')}", rows)
    noted[what] = given.record()
    write_atomically(path, (json.dumps(noted, indent=2, allow_nan=False) + "\n").encode())
    summary = {
        key: noted[what][key] for key in ("file", "hash", "names", "share", "fits_as_well", "fed")
    }
    session.run.update(weights={**session.run.facts.get("weights", {}), what: summary})
