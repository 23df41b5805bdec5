"""Decodes a folder's pictures into memory, or on demand from their files.

Each function gives the same pixels as `disk.decode_to_disk`. It takes the listing, the rows of it
that are wanted, how they are decoded, and a track.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import (
    RECORD,
    Decoded,
    DecodeOptions,
    looked_at,
    num_channels,
    read_each,
    reason_of,
    record_of,
    store_outcome,
)
from sslcli.data.decoders import Decoders, decode_files
from sslcli.data.images import LazySubset, Track
from sslcli.data.pixel_cache import Records, keep, kept_records
from sslcli.data.scan import Listing
from sslcli.errors import RunFailed


def decode_to_memory(
    listing: Listing, rows: NDArray[np.int64], options: DecodeOptions, track: Track
) -> Decoded:
    """Decodes the pictures at every start."""
    read = lambda index: listing.read(int(rows[index]))  # noqa: E731
    return decode_files(read, listing.sizes[rows], options, track)


def decode_on_demand(
    listing: Listing, rows: NDArray[np.int64], options: DecodeOptions, track: Track
) -> Decoded:
    """Checks every file's header once, and decodes the pictures anew for every batch.

    The outcome of the checks is cached.
    """
    in_8_bits = options.depth is None
    records = kept_records(listing, options.checked_name, RECORD, in_8_bits)
    missing = rows[records.rows[rows, -1] == 0]
    bad = _check(listing, missing, records, options, track)
    if len(missing) > len(bad):
        keep(records, listing, options.checked_name, in_8_bits)
    found = records.rows[rows]
    files = FilePixels(listing, options, num_channels(found, options))
    bad_by_index = {i: bad[row] for i, row in enumerate(rows.tolist()) if row in bad}
    return Decoded(LazySubset(files, rows), found, bad_by_index)


def _check(
    listing: Listing,
    rows: NDArray[np.int64],
    records: Records,
    options: DecodeOptions,
    track: Track,
) -> dict[int, str]:
    """Adds the rows' records; returns why some are no pictures, by row."""

    def check(index: int) -> bytes:
        data = listing.read(int(rows[index]))
        return record_of(data, looked_at(data, options))

    bad: dict[int, str] = {}
    outcomes = track(
        read_each(check, len(rows), options.workers), total=len(rows), label="checking pictures"
    )
    for row, outcome in zip(rows.tolist(), outcomes, strict=True):
        store_outcome(outcome, row, records.rows, bad)
    return bad


class FilePixels:
    """Decodes the pictures of a listing when asked for, in threads.

    Raises RunFailed for one that is broken.
    """

    def __init__(self, listing: Listing, options: DecodeOptions, channels: int) -> None:
        side = options.resolution
        self.shape: tuple[int, ...] = (len(listing), side, side, channels)
        self._listing = listing
        self._dtype = options.dtype
        self._decoders = Decoders(options, channels, listing.sizes)
        # For good: what is filtered for a time is so for all threads, and would be seen to be
        # undone by them.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[Any]:
        rows = np.arange(len(self))[chosen]
        images = np.empty((len(rows), *self.shape[1:]), dtype=self._dtype)

        def store(index: int, _: bytes, pixels: NDArray[Any], __: int) -> None:
            images[index] = pixels

        read = lambda index: self._listing.read(int(rows[index]))  # noqa: E731
        for row, outcome in zip(rows, self._decoders.each(read, store, len(rows)), strict=True):
            if outcome is not None:
                raise RunFailed(
                    f"{self._listing.path(int(row))} could not be decoded: {reason_of(outcome)}",
                    "repair it and go on, or remove it and begin again; data.cache=disk finds such "
                    "pictures before it trains",
                ) from outcome
        return images
