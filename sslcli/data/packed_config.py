"""Defines what data share whose files hold many pictures each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.patterns import BETWEEN
from sslcli.archives.remote import is_remote
from sslcli.data.blocks import Blocks
from sslcli.data.columns_config import ColumnsConfig
from sslcli.data.file_sets import file_parts
from sslcli.data.groups import grouped, with_groups
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.split import StoredParts
from sslcli.data.table import parts_of
from sslcli.data.table_file import Table
from sslcli.errors import SslcliError, require
from sslcli.settings import REQUIRED, setting
from sslcli.text import printable

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class PackedTable(Table):
    """Holds a row for each picture."""

    def place(self, row: int) -> str:
        return printable(self.columns["path"][row])


@dataclass(frozen=True)
class PackedListing(Listing):
    """Lists N pictures in files that hold many each: `file` (N,) int64 is the number of its.

    `pattern` is what names the files; `mixed` as in the config.
    """

    file: NDArray[np.int64]
    pattern: str
    mixed: int | None

    @property
    def kept_as(self) -> str:
        return f"{self.root}{os.sep}{self.pattern}"

    def blocks_of(self, rows: NDArray[np.int64]) -> Blocks | None:
        return None if self.mixed is None else Blocks(self.block_numbers(rows), self.mixed)

    def block_numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the number of what must be at hand for each row: its file."""
        return self.file[rows]


@dataclass(kw_only=True)
class PackedConfig(ColumnsConfig):
    """Holds the files of the parts, which are named by patterns."""

    root: str | None = setting(
        REQUIRED,
        "the files: one, a folder of them, a glob, or braces: train-{0000..0019}; "
        "where the names say train, val or test, these are the parts",
    )
    val: str | None = setting(None, "files of validation, where the names of root's do not tell")
    test: str | None = setting(None, "files of the test part, where the names of root's do not")

    mixed: int | None = setting(
        None,
        "an epoch goes through the files in blocks: the pictures of so many shards (parquet: "
        "row groups) are shuffled together, then those of the next; null: all are together",
    )

    suffixes: ClassVar[tuple[str, ...]]
    """What the names of files in a folder end in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        few = self.mixed
        require(few is None or few > 0, "data.mixed", few, "positive", "try 8, or leave it out")
        fix = "leave it out: tiles are cut once, and kept"
        require(few is None or self.tile is None, "data.mixed", few, "left out with data.tile", fix)

    def with_absolute_root(self) -> Self:
        patterns = {"root": self.root, "val": self.val, "test": self.test}
        absolute = {
            name: _absolute(pattern) for name, pattern in patterns.items() if pattern is not None
        }
        return replace(self, **absolute)  # type: ignore[arg-type]

    def picture_folder(self) -> Path | None:
        return None

    def is_there(self) -> bool:
        try:
            return bool(self.files())
        except SslcliError:
            return False

    def files(self) -> dict[str, list[str]]:
        """Returns the files of each part, as `file_parts`."""
        assert self.root is not None
        return file_parts(self.root, {"val": self.val, "test": self.test}, self.suffixes)

    def pattern(self) -> str:
        """Returns what names the files of all parts."""
        named = [pattern for pattern in (self.root, self.val, self.test) if pattern is not None]
        return BETWEEN.join(named)

    def parts_of_files(
        self,
        listing: Listing,
        files: Mapping[str, Sequence[str]],
        counts: Sequence[int],
        columns: Mapping[str, list[str]],
        names: Mapping[str, str],
    ) -> StoredParts[PictureFiles]:
        """Returns the parts that the pictures belong to, with what they are known by.

        `counts` of the pictures in each file; `columns` of all by what they mean, and the `names`
        of the columns. Raises SslcliError as `table.parts_of` and `groups.grouped` do.
        """
        part_of_file = [part for part, of_part in files.items() for _ in of_part]
        parts = np.repeat(np.array(part_of_file, dtype=object), counts)
        known = {"path": list(listing.names), "part": parts.tolist(), **columns}
        stored = parts_of(PackedTable(Path(self.pattern()), known, names))
        if "group" in columns:
            return grouped(stored, columns["group"])
        return stored if self.groups is None else with_groups(stored, listing, self.groups)


def _absolute(pattern: str) -> str:
    pieces = pattern.split(BETWEEN)
    return BETWEEN.join(
        piece if is_remote(piece) else str(Path(piece).expanduser().absolute()) for piece in pieces
    )


def names_below(files: Sequence[str], inside: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """Returns the folder of all files, and the names of the pictures inside them, below it."""
    whole = [file if is_remote(file) else os.path.abspath(file) for file in files]  # noqa: PTH100 (there may be thousands)
    root = os.path.commonpath([os.path.dirname(file) for file in whole])  # noqa: PTH120
    names: list[str] = []
    for file, of_file in zip(whole, inside, strict=True):
        prefix = os.path.relpath(file, root) + os.sep
        names += [prefix + name for name in of_file]
    if is_remote(files[0]):
        root = root.replace(":/", "://", 1)  # of which a path has but one
    return root, names
