"""Decodes a folder's pictures once, into a file that every run maps.

It is a .npy file at the training resolution.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import (
    RECORD,
    Decoded,
    DecodeOptions,
    num_channels,
    record_of,
    store_outcome,
)
from sslcli.data.decoders import decode_all
from sslcli.data.images import LazySubset, Track
from sslcli.data.pixel_cache import (
    UNREADABLE,
    Records,
    cache_key,
    locked,
    picture_cache_folder,
    remove_older,
)
from sslcli.data.scan import Listing
from sslcli.errors import SslcliError
from sslcli.files import replacing
from sslcli.system import write_at

SAVE_EVERY = 10.0
"""Seconds of decoding that may be lost when the process is killed."""


def decode_to_disk(
    listing: Listing, rows: NDArray[np.int64], options: DecodeOptions, track: Track
) -> Decoded:
    """Decodes the rows that the file lacks, and maps the file.

    Raises SslcliError where it cannot be written.
    """
    folder = picture_cache_folder(listing.kept_as)
    stem, key = options.name, cache_key(listing, options.depth is None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{stem}.lock", track):
            remove_older(folder, stem, key)
            file = PixelFile.open_or_create(folder / f"{stem}-{key}.npy", listing, options)
            missing = rows[file.records.rows[rows, -1] == 0]
            bad = file.add(missing, options, track) if len(missing) else {}
    except OSError as error:
        message = f"decoded pictures cannot be kept in {folder}: {error.strerror or error}"
        raise SslcliError(
            message, "set XDG_CACHE_HOME to another place, or choose data.cache=memory or none"
        ) from error
    found = file.records.rows[rows]
    images = file.images[..., : num_channels(found, options)]
    bad_by_index = {i: bad[row] for i, row in enumerate(rows.tolist()) if row in bad}
    return Decoded(LazySubset(images, rows), found, bad_by_index)


@dataclass(frozen=True)
class PixelFile:
    """Maps `images` (N, R, R, C) from `path`, a row for each file of the listing.

    `records` says which rows are filled.
    """

    path: Path
    listing: Listing
    images: NDArray[Any]
    records: Records

    @classmethod
    def open_or_create(cls, path: Path, listing: Listing, options: DecodeOptions) -> PixelFile:
        """Maps the file, or a new one without content, which takes room as it is filled."""
        side, dtype = options.resolution, options.dtype
        shape = (len(listing), side, side, options.stored_channels)
        records = Records(path.with_suffix(".records"), listing, RECORD)
        images = _map_file(path, shape, dtype)
        if images is None:
            records.rows[:] = 0
            records.save()  # first: records of pixels that are gone would be believed
            with replacing(path, durable=False) as temporary:
                np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
            images = _map_file(path, shape, dtype)
        assert images is not None
        return cls(path, listing, images, records)

    def add(
        self, missing: NDArray[np.int64], options: DecodeOptions, track: Track
    ) -> dict[int, str]:
        """Decodes the rows into the file; returns why some could not be, by row."""
        needed = len(missing) * self.images[0].nbytes
        require_room(self.path.parent, needed)
        bad: dict[int, str] = {}
        saved = time.monotonic()
        label = f"decoding pictures, once, into {self.path} ({_format_size(needed)})"
        for row, outcome in track(self._decode(missing, options), total=len(missing), label=label):
            if isinstance(outcome, WriteFailed):
                raise OSError(*outcome.args)
            store_outcome(outcome, row, self.records.rows, bad)
            if time.monotonic() - saved > SAVE_EVERY:
                self._save()
                saved = time.monotonic()
        self._save()
        return bad

    def _decode(
        self, missing: NDArray[np.int64], options: DecodeOptions
    ) -> Iterator[tuple[int, bytes | Exception]]:
        """Decodes and writes the rows; through the map, a full disk would kill the run."""
        size, channels = self.images[0].nbytes, self.images.shape[3]
        header = self.path.stat().st_size - self.images.nbytes

        def store(index: int, data: bytes, pixels: NDArray[Any], kind: int) -> bytes:
            try:
                write_at(file.fileno(), pixels.tobytes(), header + int(missing[index]) * size)
            except OSError as error:
                raise WriteFailed(*error.args) from error
            return record_of(data, kind)

        read = lambda index: self.listing.read(int(missing[index]))  # noqa: E731
        with self.path.open("r+b") as file:
            outcomes = decode_all(read, store, options, channels, self.listing.sizes[missing])
            yield from zip(missing.tolist(), outcomes, strict=True)

    def _save(self) -> None:
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.records.save()


class WriteFailed(Exception):
    """Means that the disk has failed, and not the picture."""


def _map_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    with suppress(*UNREADABLE):
        images = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        if images.shape == shape and images.dtype == dtype:
            return images
    return None


def require_room(folder: Path, needed: int) -> None:
    """Raises SslcliError where the disk does not have `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SslcliError(
            f"the decoded pictures take {_format_size(needed)}, and {folder} has "
            f"{_format_size(free)} left",
            "make room, set XDG_CACHE_HOME to another disk, lower data.resolution, or choose "
            "data.cache=none or memory",
        )


def _format_size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
