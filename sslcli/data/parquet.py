"""Loads pictures whose bytes lie in parquet files, as Hugging Face's data sets are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.remote import is_remote
from sslcli.data.folder import Cache
from sslcli.data.images import Track, untracked
from sslcli.data.packed_config import PackedConfig, PackedListing, names_below
from sslcli.data.parquet_bytes import ParquetBytes, read_parts
from sslcli.data.parquet_file import ParquetPart
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.settings import REQUIRED, setting

SUFFIX = ".parquet"


@dataclass(frozen=True)
class ParquetListing(PackedListing):
    """Lists N pictures in parquet files: the `row` of each in its file, (N,) int64.

    `sizes` are estimates.
    """

    cells: ParquetBytes
    row: NDArray[np.int64]

    def block_numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the number of each row's row group."""
        return self.cells.groups(self.file[rows], self.row[rows])

    def read(self, row: int) -> bytes:
        return self.cells.read(int(self.file[row]), int(self.row[row]))


@dataclass(kw_only=True)
class ParquetConfig(PackedConfig):
    """Reads pictures whose bytes lie in parquet files, such as Hugging Face's data sets.

    A column holds them as bytes, or as pairs of bytes and a path; others what they are known by.
    Classes have the names that Hugging Face keeps in the file. Pictures are decoded as those of
    data=folder are. Paths of pictures in a table are read by data=table.
    """

    root: str | None = setting(
        REQUIRED,
        "the .parquet files: one, a folder of them, a glob, or braces: train-{00..19}.parquet; "
        "where the names say train, val or test, these are the parts",
    )
    picture: str | None = setting(
        None, 'the column of pictures; null: "image", "img", or the only one of bytes'
    )

    suffixes = (SUFFIX,)

    def list_files(self, track: Track = untracked) -> tuple[Listing, StoredParts[PictureFiles]]:
        files = self.files()
        _require_local(files)
        paths = [path for of_part in files.values() for path in of_part]
        optional = {**self.kinds(), **self.group_column()}
        cells = read_parts(paths, self.picture, optional, self.workers, track)
        parts = cells.parts
        listing = _listing(self.pattern(), cells, self.mixed)
        if self.cache is Cache.none:
            cells.require_kept(self.mixed)
        columns = _joined_columns(parts)
        names = {meaning: name or meaning for meaning, name in optional.items()}
        counts = [len(part) for part in parts]
        return listing, self.parts_of_files(listing, files, counts, columns, names)


def _require_local(files: dict[str, list[str]]) -> None:
    away = [path for of_part in files.values() for path in of_part if is_remote(path)]
    if away:
        message = f"{away[0]} is remote, and data=parquet reads files of this machine"
        raise SslcliError(message, "copy them here; data=shards reads remote tar files")


def _joined_columns(parts: Sequence[ParquetPart]) -> dict[str, list[str]]:
    """Returns the columns of all files; raises SslcliError where some have one, and others not."""
    for part in parts:
        odd = sorted(part.columns.keys() ^ parts[0].columns.keys())
        if odd:
            message = f"{parts[0].path} and {part.path} have not both the column {odd[0]!r}"
            raise SslcliError(message, f"data.{odd[0]}=… names a column that all files have")
    return {
        meaning: [text for part in parts for text in part.columns[meaning]]
        for meaning in parts[0].columns
    }


def _listing(pattern: str, cells: ParquetBytes, mixed: int | None) -> ParquetListing:
    parts = cells.parts
    inside = [
        [f"{row}/{name}" if name else str(row) for row, name in enumerate(part.inner)]
        for part in parts
    ]
    root, names = names_below([part.path for part in parts], inside)
    counts = [len(part) for part in parts]
    return ParquetListing(
        root=root,
        names=tuple(names),
        sizes=np.concatenate([part.sizes for part in parts]),
        changed=np.repeat(np.array([part.state.changed for part in parts]), counts),
        cells=cells,
        file=np.repeat(np.arange(len(parts)), counts),
        row=np.concatenate([np.arange(count) for count in counts]),
        pattern=pattern,
        mixed=mixed,
    )
