"""Reads columns of a table as text: CSV, TSV, JSON lines, parquet, and lists of paths."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sslcli.errors import SslcliError, unknown
from sslcli.text import hydra_path

KINDS = ("label", "labels", "target")
"""What a picture may be known by; of several columns the first of these is read."""
OPTIONAL = {*KINDS, "part", "group"}
"""Columns that are used where they are there."""
BETWEEN = "|"
"""Stands between the names in a cell of `labels`."""
LARGEST_FIELD = 2**20
"""Characters of a CSV's cell: a quote that is never closed would swallow the rest of the file."""


@dataclass(frozen=True)
class Table:
    """Holds N rows: `columns` of texts by what they mean (path, label, part, group, …)."""

    file: Path
    columns: Mapping[str, list[str]]
    names: Mapping[str, str]
    """What the file calls the columns, by the same meanings."""

    def __len__(self) -> int:
        return len(self.columns["path"])

    def place(self, row: int) -> str:
        """Names a row for an error."""
        return f"row {row + 1} of {self.file.name}"


Rows = Iterator[Sequence[str]]


class Column(NamedTuple):
    """Names a column that is read by its number; in one of `several`, lists are read too."""

    number: int
    several: bool


Names = Callable[[Sequence[str]], list[Column]]
"""Takes the names of a table's columns; returns those that are read."""


def read_table(file: Path, path: str, optional: Mapping[str, str | None]) -> Table:
    """Reads the column `path`, and those of `optional`, by what they mean.

    Of the latter, None stands for the column of that meaning, if there is one. Raises SslcliError
    for a file that cannot be read, a column that is not there, and rows that do not fit.
    """
    kind = file.suffix.lower()
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise SslcliError(f"data.root {what}: {file}", f"give a table: {' '.join(READERS)}")
    if kind not in READERS:
        message = f"{hydra_path('data.root', file)} is no table that can be read"
        raise SslcliError(message, f"its name must end in {', '.join(READERS)}")
    found: dict[str, int] = {}
    called: dict[str, str] = {}

    def choose(names: Sequence[str]) -> list[Column]:
        found.update(columns_of(file, names, {"path": path, **optional}))
        called.update({meaning: names[number] for meaning, number in found.items()})
        return [Column(number, meaning == "labels") for meaning, number in found.items()]

    columns: list[list[str]] = []
    try:
        for row in READERS[kind](file, choose):
            columns = columns or [[] for _ in row]
            for column, text in zip(columns, row, strict=True):
                column.append(text)
    except UnicodeDecodeError as reason:
        message = f"{file} is not UTF-8: {reason.reason} at byte {reason.start}"
        raise SslcliError(message, "save it as UTF-8") from reason
    except OSError as reason:
        raise SslcliError(f"{file} cannot be read: {reason}", "see to its permissions") from reason
    if not columns:
        raise SslcliError(f"{file} has no rows", "a row is a picture")
    by_meaning = dict(zip(found, columns, strict=True))
    table = Table(file, by_meaning, called)
    for number, path_text in enumerate(by_meaning["path"]):
        if not path_text or "\0" in path_text:
            raise SslcliError(f"{table.place(number)} has no path", "give every row a path")
    for meaning in OPTIONAL & by_meaning.keys():
        by_meaning[meaning][:] = [text.strip() for text in by_meaning[meaning]]
    return table


def columns_of(
    file: Path, names: Sequence[str], wanted: Mapping[str, str | None]
) -> dict[str, int]:
    """Returns the numbers of the wanted columns, by what they mean; None as in `read_table`."""
    twice = {name for name in names if names.count(name) > 1}
    numbers: dict[str, int] = {}
    for meaning, name in wanted.items():
        if name is None and (meaning not in names or (meaning in KINDS and numbers.keys() & KINDS)):
            continue
        column = meaning if name is None else name
        if column not in names:
            key = {"group": "data.groups"}.get(meaning, f"data.{meaning}")
            raise unknown(f"column of {file.name} for {key}:", column, names)
        if column in twice:
            message = f"{file} has several columns {column!r}"
            raise SslcliError(message, "rename all but one")
        numbers[meaning] = names.index(column)
    return numbers


def _separated(file: Path, choose: Names, delimiters: str) -> Rows:
    # utf-8-sig: spreadsheets write a mark before the first name, which is no part of it.
    with file.open(encoding="utf-8-sig", newline="") as text:
        first = text.readline()
        delimiter = max(delimiters, key=first.count)
        text.seek(0)
        csv.field_size_limit(LARGEST_FIELD)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            names = [name.strip() for name in next(reader, [])]
            chosen = choose(names)
            for cells in reader:
                if not cells:
                    continue  # an empty line
                if len(cells) != len(names):
                    message = (
                        f"line {reader.line_num} of {file} has {len(cells)} cells, and the first "
                        f"line {len(names)} names"
                    )
                    raise SslcliError(message, 'mend the line; put text with commas into ""')
                yield [cells[column.number] for column in chosen]
        except csv.Error as reason:
            message = f"line {reader.line_num} of {file} cannot be read: {reason}"
            raise SslcliError(message, "mend the line") from reason


def _csv(file: Path, choose: Names) -> Rows:
    return _separated(file, choose, ",;\t")


def _tsv(file: Path, choose: Names) -> Rows:
    return _separated(file, choose, "\t")


def _json_lines(file: Path, choose: Names) -> Rows:
    with file.open(encoding="utf-8-sig") as text:
        names: list[str] = []
        chosen: list[Column] = []
        known: set[str] = set()
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            place = f"line {number} of {file}"
            try:
                row = json.loads(line)
            except ValueError as reason:
                raise SslcliError(f"{place} is no JSON: {reason}", "mend the line") from reason
            if not isinstance(row, dict):
                message = f"{place} is no JSON object: {line.strip()[:40]}"
                raise SslcliError(message, 'each line must be {"path": …}')
            if not names:
                names = list(row)
                chosen = choose(names)
                known.update(names)
            new = [name for name in row if name not in known and row[name] is not None]
            if new:
                _require_unused(new, names, chosen, choose, place)
                known.update(new)
            lacking = [names[number] for number, _ in chosen if names[number] not in row]
            if lacking:
                message = f"{place} lacks {lacking[0]!r}, which the first line has"
                raise SslcliError(message, "give every line the same names, or null")
            yield [as_text(row[names[number]], place, several) for number, several in chosen]


def _require_unused(
    new: list[str], names: list[str], chosen: list[Column], choose: Names, place: str
) -> None:
    """Raises SslcliError for a name that would have been read if the first line had it."""
    together = [*names, *new]
    late = [together[column.number] for column in choose(together) if column not in chosen]
    if late:
        message = f"{place} has {late[0]!r}, which the first line lacks"
        raise SslcliError(message, "give every line the same names, or null")


def _parquet(file: Path, choose: Names) -> Rows:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as reason:
        fix = "pip install 'sslcli[parquet]'"
        raise SslcliError(f"{file}: reading parquet needs pyarrow", fix) from reason
    try:
        with ParquetFile(file) as table:
            names = table.schema_arrow.names
            chosen = choose(names)
            columns = [names[column.number] for column in chosen]
            for batch in table.iter_batches(columns=columns):
                values = [batch.column(name).to_pylist() for name in columns]
                for row in zip(*values, strict=True):
                    yield [
                        as_text(value, str(file), column.several)
                        for value, column in zip(row, chosen, strict=True)
                    ]
    except ArrowException as reason:
        message = f"{file} cannot be read: {reason}"
        raise SslcliError(message, "write it again, or convert it to CSV") from reason


def _path_list(file: Path, choose: Names) -> Rows:
    """A path on each line, and no names."""
    choose(["path"])
    with file.open(encoding="utf-8-sig") as text:
        for line in text:
            if line.strip():
                yield [line.rstrip("\r\n")]


def as_text(value: Any, place: str, several: bool = False) -> str:
    """Returns a value as a CSV would hold it; None and nan are empty.

    A list is read where there may be `several`. Raises SslcliError for any other, or an object.
    """
    if several and isinstance(value, list):
        names = [as_text(name, place) for name in value]
        bad = [name for name in names if BETWEEN in name]
        if bad:
            message = f"{place} has the name {bad[0]!r}, and {BETWEEN} stands between names"
            raise SslcliError(message, "rename it")
        return BETWEEN.join(names)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (str, int, float)):
        return str(value)
    message = f"{place} has a {type(value).__name__} where a text or a number must be"
    raise SslcliError(message, "give each picture one value")


READERS: dict[str, Callable[[Path, Names], Rows]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".txt": _path_list,
}
