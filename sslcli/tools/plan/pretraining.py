"""States what `pretrain` and `inpaint` would train; of files, none is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.data_config import DataConfig
from sslcli.data.decode import DecodeOptions
from sslcli.data.folder import DEFAULT_RESOLUTION, Cache, FolderConfig, is_quick_and_small
from sslcli.data.images import Track
from sslcli.data.scan import Listing
from sslcli.engine.device import Compute
from sslcli.engine.train import Pictures
from sslcli.experiments.pretrain_config import Config
from sslcli.method import LabelReader, Method, Preprocessing
from sslcli.tools.plan.subject import Subject, planned_compute
from sslcli.trained.data import load_splits
from sslcli.trained.method import build_method


@dataclass(frozen=True)
class Counted:
    """Counts a command's pictures: for pretraining, and those of the training part."""

    pretraining: int
    train: int
    shape: tuple[int, int, int]
    cached: int = 0


def counted(data: DataConfig, track: Track) -> Counted:
    """Counts the pictures as the run would split them.

    Files are listed, and none is opened: pictures of unknown channels are taken for colour.
    """
    if isinstance(data, FolderConfig):
        listing, stored = data.list_files()
        parts = data.divided(stored)
        side, channels = data.resolution or DEFAULT_RESOLUTION, data.channels or 3
        train = len(parts.train)
        more = 0 if parts.unlabelled is None else len(parts.unlabelled)
        return Counted(train + more, train, (side, side, channels), bytes_on_disk(data, listing))
    splits = load_splits(data, track)
    side, channels = splits.train.resolution, splits.train.channels
    return Counted(len(splits.pretraining), len(splits.train), (side, side, channels))


def bytes_on_disk(data: FolderConfig, listing: Listing) -> int:
    """Returns the bytes of the decoded pictures that a run would keep on disk."""
    options = DecodeOptions(data.resolution or DEFAULT_RESOLUTION, data.channels, data.workers)
    quick = is_quick_and_small(listing, np.arange(len(listing)), options)
    if data.cache in (Cache.memory, Cache.none) or (data.cache is Cache.auto and quick):
        return 0
    return len(listing) * options.resolution**2 * (options.channels or 3)


def pretraining(command: str, config: Config, elsewhere: bool, track: Track) -> Subject:
    """States what the command would train. Raises SslcliError where it would, at its start."""
    compute = planned_compute(config.runtime, elsewhere)
    found = counted(config.data, track)
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
        snapshots=sum(config.keeps(epoch) for epoch in range(1, config.epochs + 1)),
    )
