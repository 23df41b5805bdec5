"""Begins an experiment with given weights, and records what became of them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.data.statistics import channel_moments
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.features import require_fit
from sslcli.experiments.session import Need, Session, open_session
from sslcli.experiments.subject_config import COMPARED
from sslcli.files import write_atomically
from sslcli.method import MethodConfig, Preprocessing
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.given_config import PUBLIC, Fed
from sslcli.nets.vit_config import Pool
from sslcli.nets.weight_guess import network_in
from sslcli.runs.folder import Run
from sslcli.trained.encoder import build_initial, load_trained, write_encoder
from sslcli.trained.encoder_files import EncoderFiles, pooled_where_it_can, read_encoder, run_of
from sslcli.trained.given_weights import Given, give_weights
from sslcli.trained.weights_file import read_tables, weights_path

if TYPE_CHECKING:
    from sslcli.console import Console

FILE = "weights.json"
"""What became of every tensor of the weights that the run was given, by what they are for."""
KEPT = "encoder"
"""The folder, in a run's, of an encoder that it was given and not trained."""


class GivenConfig(Protocol):
    """Is the config of an evaluation of an encoder with given weights."""

    @property
    def encoder(self) -> EncoderConfig | None: ...
    @property
    def data(self) -> DataConfig | None: ...
    @property
    def runtime(self) -> RuntimeConfig: ...


def first_encoder(
    config: EncoderConfig,
    session: Session,
    seed: int,
    what: str = "encoder",
    method: MethodConfig | None = None,
) -> tuple[Encoder, Preprocessing, int]:
    """Returns the encoder that a run begins with, and what it is fed, on the CPU.

    The third is the number of labels that its weights are known to have learned from. `what`:
    names given weights in the record. `method`: what trains it, whose views may be smaller than
    the stored pictures.
    """
    splits = session.splits
    shape = data_preprocessing(splits)
    shape = shape if method is None else method.fed(shape)
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
    return Preprocessing(splits.train.resolution, splits.train.channels, mean, std, splits.range)


def given_encoder(config: EncoderConfig, session: Session, seed: int, what: str) -> EncoderFiles:
    """Describes an encoder with given weights as if it were a run's.

    Raises SslcliError where the weights do not fit.
    """
    _, shape, labels = first_encoder(config, session, seed, what)
    return EncoderFiles(Path(str(config.weights)), config, shape, seed, labels)


def keep_given(files: EncoderFiles, session: Session) -> None:
    """Writes an encoder with given weights into the run's folder, as a run's own is written."""
    folder = session.run.folder / KEPT
    folder.mkdir(exist_ok=True)
    encoder, shape = load_trained(files), files.preprocessing
    write_encoder(folder, encoder, files.config, shape, files.seed, files.labels)
    session.console.say(f"encoder: {folder}")


def open_given(
    command: str,
    run: Run,
    config: GivenConfig,
    console: Console,
    seed: int = 0,
    need: Need = require_labels,
) -> tuple[Session, EncoderFiles]:
    """Opens a session on pictures, labelled as a rule, with an encoder of given weights.

    Raises SslcliError where labels or a test part are missing, or the weights do not fit.
    """
    assert config.encoder is not None, "resolve requires it, and the data"
    assert config.data is not None, "resolve requires it"
    session = open_session(run, config.runtime, config.data, console)
    need(session.splits, command)
    require_test(session.splits, command)
    return session, given_encoder(config.encoder, session, seed, "encoder")


def compared_encoder(
    weights: str, like: EncoderFiles, session: Session, seed: int, what: str, pool: Pool | None
) -> EncoderFiles:
    """Describes an encoder to compare with: a run's own, or that of a file of weights.

    That has the network `like` another, or else one that is recognised in the file; a vit's
    features are pooled by `pool`, null: as it was trained. Raises SslcliError where it has
    neither, or is a run's and does not fit the pictures.
    """
    run = run_of(weights)
    if run is not None:
        files = read_encoder(run)
        require_fit(session.splits.train.images, files.preprocessing)
        return replace(files, config=pooled_where_it_can(files.config, pool))
    network = replace(like.config, weights=weights, weights_part=None, weights_fed=Fed.auto)
    try:
        return given_encoder(network, session, seed, what)
    except SslcliError:
        other = None if weights == PUBLIC else network_in(read_tables(weights_path(Path(weights))))
        if other is None:
            raise
    network = replace(pooled_where_it_can(other, pool), weights=weights)
    return given_encoder(network, session, seed, what)


ROWS = ("trained_encoder", "untrained_encoder", "supervised_ceiling")
"""Rows of an evaluation whose names no baseline may have."""


def names_of(baselines: Sequence[str]) -> list[str]:
    """Returns a name for each baseline: a word itself, of a file or run what tells it apart.

    No file or run has a name that a word or another row has.
    """
    names: list[str] = []
    for baseline in baselines:
        if baseline in COMPARED:
            names.append(baseline)
            continue
        run = run_of(baseline)
        name = re.sub(r"[^\w-]+", "_", Path(baseline).stem if run is None else run.name)
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        taken = {*names, *COMPARED, *ROWS}
        names.append(next(each for each in itertools.chain([name], numbered) if each not in taken))
    return names


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
