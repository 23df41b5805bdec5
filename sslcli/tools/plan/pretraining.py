"""States what `pretrain` and `inpaint` would train; files are counted, and not decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.data_config import DataConfig
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import Track
from sslcli.engine.device import Compute
from sslcli.engine.train import Pictures
from sslcli.experiments.pretrain_config import Config
from sslcli.method import LabelReader, Method, Preprocessing
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.subject import Subject, planned_compute
from sslcli.trained.data import load_splits
from sslcli.trained.method import build_method


@dataclass(frozen=True)
class Counted:
    """Counts a command's pictures: for pretraining, and those of the training part.

    `labels` (N,) of the training part, numbers of `classes`, where it has some.
    """

    pretraining: int
    train: int
    shape: tuple[int, int, int]
    cached: int = 0
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] | None = None


def counted(data: DataConfig, processes: int, track: Track) -> Counted:
    """Counts the pictures as the run would split them; `cached` for so many processes.

    Files are listed, and opened only to be cut into tiles: pictures of unknown channels and depth
    are taken for colour of 8 bits.
    """
    if isinstance(data, FolderConfig):
        listing, stored = data.cut_files(track)
        found = data.divided(stored)
        parts = [found.train, found.val, found.test, found.unlabelled]
        rows = np.concatenate([part.rows for part in parts if part is not None])
        options, train = data.decoding(), len(found.train)
        on_disk = data.cache_chosen(listing, rows, options, processes) is Cache.disk
        return Counted(
            train + (0 if found.unlabelled is None else len(found.unlabelled)),
            train,
            (options.resolution, options.resolution, options.stored_channels),
            len(rows) * options.picture_bytes if on_disk else 0,
            found.train.labels,
            found.classes,
        )
    splits = load_splits(data, track)
    side, channels = splits.train.resolution, splits.train.channels
    shape, labels = (side, side, channels), splits.train.labels
    return Counted(len(splits.pretraining), len(splits.train), shape, 0, labels, splits.classes)


def pretraining(command: str, config: Config, machine: Machine, track: Track) -> Subject:
    """States what the command would train. Raises SslcliError where it would, at its start."""
    compute = planned_compute(config.runtime, machine.elsewhere)
    found = counted(config.data, machine.processes, track)
    side, _, channels = found.shape
    shape = Preprocessing(side, channels, (0.5,) * channels, (0.25,) * channels)
    kind = config.method.builds()
    labelled = issubclass(kind, LabelReader)
    num = found.train if labelled else found.pretraining

    def build() -> Method:
        return build_method(config.method, config.encoder, shape, config.seed)

    def real() -> tuple[Method, Pictures[Any]]:
        splits, here = load_splits(config.data, track), Compute.choose(config.runtime)
        kind, part = (LabelledBatches, splits.train) if labelled else (Batches, splits.pretraining)
        return build(), kind(part, config.batch_size, config.seed, here.device)

    network = type(config.encoder).__name__.removesuffix("Config")
    return Subject(
        title=f"{command}: {kind.__name__}, {network}, {num:,} pictures of {side} x {side} px",
        build=build,
        real=real,
        labelled=labelled,
        optim=config.optim,
        recording=config,
        compute=compute,
        num_images=num,
        shape=found.shape,
        batch_size=config.batch_size,
        epochs=config.epochs,
        cached=found.cached,
        encoders=1 + sum(config.keeps(epoch) for epoch in range(1, config.epochs + 1)),
    )
