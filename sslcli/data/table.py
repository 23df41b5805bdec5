"""Loads pictures that a table lists, with their labels, parts and groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.data.columns_config import ColumnsConfig
from sslcli.data.groups import grouped, with_groups
from sslcli.data.images import Track, untracked
from sslcli.data.parts import ORDER, PARTS
from sslcli.data.scan import Listing, PictureFiles, size_and_change
from sslcli.data.split import StoredParts
from sslcli.data.table_targets import in_order, read_targets, unknown_class
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.settings import REQUIRED, setting
from sslcli.text import printable

if TYPE_CHECKING:
    from sslcli.data.table_file import Table

MAX_NAMED = 3


@dataclass(kw_only=True)
class TableConfig(ColumnsConfig):
    """Reads pictures that a table lists: CSV, TSV, JSON lines, parquet, or a list of paths.

    A row is a picture: its path and, in columns of their own, its part (train, val or test), group,
    and one of: its label, its labels (several, or none), its target (a number). Rows of the
    training part without a label or number are pretrained on all the same. Pictures are decoded as
    those of data=folder are.
    """

    root: str | None = setting(
        REQUIRED, "the table: .csv, .tsv, .jsonl, .parquet, or .txt with a path on each line"
    )
    pictures: str | None = setting(
        None, "the folder in which relative paths begin; null: the table's", changes_results=False
    )
    path: str = setting("path", "the column of paths")
    part: str | None = setting(
        None,
        'the column that says train, val or test; null: "part" if there is one, else all are train',
    )

    def list_files(self, track: Track = untracked) -> tuple[Listing, StoredParts[PictureFiles]]:
        table, listing = self.read_rows()
        stored = stored_parts(table, listing.names)
        if "group" in table.columns:
            stored = grouped(stored, table.columns["group"])
        elif self.groups is not None:
            stored = with_groups(stored, listing, self.groups)
        return listing, stored

    def read_rows(self) -> tuple[Table, Listing]:
        """Returns the rows as texts, and their files; checks neither parts nor labels."""
        from sslcli.data.table_file import read_table

        root = self.location()
        optional = {**self.kinds(), "part": self.part, **self.group_column()}
        table = read_table(root, self.path, optional)
        return table, self._listing(root, table.columns["path"])

    def picture_folder(self) -> Path:
        return expanded(self.pictures or self.location().absolute().parent).absolute()

    def _listing(self, table: Path, paths: Sequence[str]) -> Listing:
        base = self.picture_folder()
        if not base.is_dir():
            fix = "data.pictures=path/to/the/folder in which the paths begin"
            raise SslcliError(f"data.pictures is not a folder: {base}", fix)
        names = [os.path.relpath(path, base) if path.startswith(os.sep) else path for path in paths]
        numbers = [size_and_change(f"{base}{os.sep}{name}") for name in names]
        if all(size < 0 for size, _ in numbers):
            message = f"none of the {len(paths)} pictures of {table} is there: {paths[0]!r}"
            raise SslcliError(message, f"paths begin in {base}; another folder: data.pictures=…")
        sizes, changed = np.array(numbers, dtype=np.int64).T.copy()
        return Listing(str(base), tuple(names), sizes, changed)


def stored_parts(table: Table, names: Sequence[str]) -> StoredParts[PictureFiles]:
    """Returns the parts that the rows belong to, with the numbers of their classes.

    `names` of the pictures' files, of which all paths begin in one folder. Raises SslcliError for
    an unknown part, a picture that two rows name, a test or validation row without a label or
    target where others have one, or a class that training has not.
    """
    _require_each_once(table, names)
    return parts_of(table)


def parts_of(table: Table) -> StoredParts[PictureFiles]:
    """Returns as `stored_parts`, of pictures that are known to differ."""
    parts = _parts(table)
    labels, classes = _labels(table, parts)
    targets, names = read_targets(table, parts)
    rows = {part: np.flatnonzero(parts == number) for number, part in enumerate(ORDER)}
    if not len(rows["train"]):
        raise SslcliError(f"{table.file} has no training rows", "give some rows the part 'train'")
    files = {
        part: PictureFiles(
            found,
            None if labels is None else labels[found],
            targets=None if targets is None else targets[found],
        )
        for part, found in rows.items()
        if len(found)
    }
    train, unlabelled = files["train"], None
    unknown = _unknown(train)
    if unknown.any():
        unlabelled = train.subset(np.flatnonzero(unknown)).without_labels()
        train = train.subset(np.flatnonzero(~unknown))
    val, test = files.get("val"), files.get("test")
    return StoredParts(train, val, test, classes, unlabelled, target_names=names)


def _unknown(train: PictureFiles) -> NDArray[np.bool_]:
    """Tells of each picture whether its label or number is not known, (N,)."""
    if train.labels is not None:
        return train.labels < 0
    if train.targets is not None:
        lacks: NDArray[np.bool_] = np.isnan(train.targets[:, 0])
        return lacks
    return np.zeros(len(train), dtype=np.bool_)


def _require_each_once(table: Table, names: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        before = first.setdefault(os.path.normpath(name), row)
        if before != row:
            path = table.columns["path"][row]
            message = (
                f"{table.place(row)}: {printable(path)} is the picture of {table.place(before)} too"
            )
            raise SslcliError(message, "keep one row for each picture")


def _parts(table: Table) -> NDArray[np.int8]:
    """Returns (N,) numbers of the parts in ORDER."""
    if "part" not in table.columns:
        return np.zeros(len(table), dtype=np.int8)
    column, numbers = table.columns["part"], dict[str, int]()
    for text in dict.fromkeys(column):
        part = PARTS.get(text.lower())
        if part is None:
            message = (
                f"{table.place(column.index(text))}: the part is {text!r}, and must be train, val "
                "or test"
            )
            raise SslcliError(message, "data.part=COLUMN names another column")
        numbers[text] = ORDER.index(part)
    return np.fromiter(map(numbers.__getitem__, column), np.int8, len(column))


def _labels(
    table: Table, parts: NDArray[np.int8]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...] | None]:
    """Returns (N,) numbers of the classes, -1 where there is none, and the classes' names."""
    if "label" not in table.columns:
        return None, None
    column = table.columns["label"]
    texts = {text: number for number, text in enumerate(dict.fromkeys(column))}
    codes = np.fromiter(map(texts.__getitem__, column), np.int64, len(column))
    known = list(texts)
    seen = {known[code] for code in np.unique(codes[parts == 0]).tolist()} - {""}
    if not seen:
        message = f"{table.file}: no training row has a label"
        raise SslcliError(message, "data.label=COLUMN names the column of classes")
    classes = in_order(seen)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers.get(text, -1) for text in known], dtype=np.int64)[codes]
    for row in np.flatnonzero(labels < 0).tolist():
        if column[row]:
            raise unknown_class(table.place(row), column[row], classes)
        if parts[row] > 0:
            message = f"{table.place(row)}: a {ORDER[parts[row]]} row without a label"
            raise SslcliError(message, "give it one, or leave the row out")
    return labels, tuple(classes)
