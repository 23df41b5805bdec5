"""Folders of noisy pictures, and what was read of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from sslcli.archives.file_bytes import read_bytes
from sslcli.data.decode import Decoded, DecodeOptions
from sslcli.data.decoders import decode_files
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import Splits, untracked

T = TypeVar("T")
RNG = np.random.default_rng(0)


def fill(place: Path, count: int, mode: str = "RGB") -> None:
    place.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        shape = (12, 16) if mode == "L" else (12, 16, 3)
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(
            place / f"{index:03}.jpg", quality=90
        )


class Seen:
    """A track that remembers what was done, and can be told to stop it."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.done: dict[str, int] = {}
        self.stop_after = stop_after

    def __call__(self, items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        word = label.split()[0]
        for item in items:
            self.done[word] = self.done.get(word, 0) + 1
            if word == "decoding" and self.done[word] == self.stop_after:
                raise KeyboardInterrupt
            yield item

    @property
    def read(self) -> int:
        return self.done.get("decoding", 0) + self.done.get("checking", 0)


def config(root: Path, cache: Cache = Cache.memory, **settings: Any) -> FolderConfig:
    return FolderConfig(root=str(root), **{"resolution": 8, **settings}, cache=cache)


def decoded_files(paths: list[str], options: DecodeOptions) -> Decoded:
    sizes = np.zeros(len(paths), dtype=np.int64)
    return decode_files(lambda row: read_bytes(paths[row]), sizes, options, untracked)


def contents(splits: Splits) -> list[Any]:
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    labels = [None if part.labels is None else part.labels.tolist() for part in parts]
    return [
        [part.images[:].tolist() for part in parts],
        labels,
        [part.paths for part in parts],
        splits.fingerprint,
    ]


EVERY = list(Cache)
KEPT = [Cache.disk, Cache.none]
