"""Reads pictures and columns of parquet files, as Hugging Face's data sets are laid out."""

from __future__ import annotations

import errno
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.file_bytes import FileState
from sslcli.data.images import Track
from sslcli.data.resize import map_in_threads
from sslcli.data.table_file import as_text
from sslcli.errors import SslcliError, unknown
from sslcli.text import hydra_word, printable

MOST_KEPT = 2**28
"""Bytes of row groups that stay in memory: a picture cannot be read without its group."""
PREFERRED = ("image", "img", "picture")


@dataclass(frozen=True)
class ParquetPart:
    """Describes a file of N rows: the `column` of pictures, and where its row groups begin.

    `sizes` (N,) of the pictures in bytes: their group's mean. `inner`: the names that the pictures
    have inside, "" where they have none; `columns` by what they mean: texts, "" for null.
    """

    path: str
    state: FileState
    column: str
    group_starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    inner: list[str]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.sizes)


def read_parts(
    paths: Sequence[str],
    picture: str | None,
    optional: Mapping[str, str | None],
    workers: int | None,
    track: Track,
) -> ParquetBytes:
    """Reads all of the files but their pictures, as `read_part` does, in threads."""
    each = map_in_threads(lambda row: read_part(paths[row], picture, optional), len(paths), workers)
    return ParquetBytes(
        [*track(each, total=len(paths), label="reading what the parquet files hold")]
    )


def read_part(path: str, picture: str | None, optional: Mapping[str, str | None]) -> ParquetPart:
    """Reads all of a file but its pictures.

    `picture`: the column of pictures; None: the only one that can be. `optional` as in
    `read_table`. Raises SslcliError for a file that cannot be read, and for a column that is not
    there or not as it should be.
    """
    pyarrow = _pyarrow(path)
    from pyarrow.parquet import ParquetFile

    try:
        state = FileState.of(path)
        with ParquetFile(path, memory_map=True) as file:
            schema, metadata = file.schema_arrow, file.metadata
            column = _picture_column(path, schema, picture)
            chosen = _columns(path, schema, optional, column)
            names = _class_names(schema)
            columns = {
                meaning: _texts(path, file, name, names.get(name), several=meaning == "labels")
                for meaning, name in chosen.items()
            }
            inner = _inner_names(file, column, metadata.num_rows)
            counts, sizes = _groups(metadata, column)
    except pyarrow.ArrowException as reason:
        message = f"{path} cannot be read as parquet: {reason}"
        raise SslcliError(message, "copy it again, or write it again") from reason
    except OSError as reason:
        message = f"{path} cannot be read: {reason.strerror or reason}"
        raise SslcliError(message, "see to the file and its permissions") from reason
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ParquetPart(path, state, column, starts, np.repeat(sizes, counts), inner, columns)


def _pyarrow(path: str) -> Any:
    try:
        import pyarrow
    except ImportError as reason:
        fix = "pip install 'sslcli[parquet]'"
        raise SslcliError(f"{path}: reading parquet needs pyarrow", fix) from reason
    return pyarrow


def _picture_column(path: str, schema: Any, picture: str | None) -> str:
    """Returns the column of bytes, or of Hugging Face's pairs of bytes and a path."""
    possible = [field.name for field in schema if _holds_bytes(field.type)]
    if picture is not None:
        if picture not in schema.names:
            raise unknown(f"column of {Path(path).name} for data.picture:", picture, schema.names)
        if picture not in possible:
            message = f"the column {picture!r} of {path} holds {schema.field(picture).type}"
            raise SslcliError(message, "name a column of bytes, or of {bytes, path}")
        return picture
    preferred = [name for name in PREFERRED if name in possible] or possible
    if not preferred:
        message = f"{path} has no column of pictures: its columns are {', '.join(schema.names)}"
        fix = "a table of paths is read by data=table"
        raise SslcliError(message, fix if "path" in schema.names else "write the pictures' bytes")
    if len(preferred) > 1:
        message = f"{path} has several columns of bytes: {', '.join(preferred)}"
        raise SslcliError(message, f"name the pictures: {hydra_word('data.picture', preferred[0])}")
    return preferred[0]


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return "bytes" in names and _holds_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _columns(
    path: str, schema: Any, optional: Mapping[str, str | None], picture: str
) -> dict[str, str]:
    chosen: dict[str, str] = {}
    kinds = ("label", "labels", "target")
    for meaning, name in optional.items():
        known = any(kind in chosen for kind in kinds) and meaning in kinds
        if name is None and (meaning not in schema.names or known):
            continue
        column = meaning if name is None else name
        key = {"group": "groups"}.get(meaning, meaning)
        if column not in schema.names or column == picture:
            there = [name for name in schema.names if name != picture]
            raise unknown(f"column of {Path(path).name} for data.{key}:", column, there)
        chosen[meaning] = column
    return chosen


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Returns the names of the classes by column, where Hugging Face's features tell them."""
    told = (schema.metadata or {}).get(b"huggingface")
    if told is None:
        return {}
    try:
        features = json.loads(told)["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError):  # of another version: the numbers stay
        return {}


def _texts(
    path: str, file: Any, column: str, names: Sequence[str] | None, *, several: bool
) -> list[str]:
    values = file.read(columns=[column]).column(column).to_pylist()
    place = f"the column {column!r} of {path}"
    if names is None:
        return [as_text(value, place, several).strip() for value in values]
    texts = []
    for row, value in enumerate(values):
        if value is None or value == -1:  # Hugging Face's mark of what is not known
            texts.append("")
        elif isinstance(value, int) and 0 <= value < len(names):
            texts.append(names[value].strip())
        else:
            message = f"row {row + 1} of {path}: {value!r} is none of the {len(names)} classes"
            raise SslcliError(message, f"the schema names them: {', '.join(names[:5])}, ...")
    return texts


def _inner_names(file: Any, column: str, count: int) -> list[str]:
    """Returns the paths that Hugging Face keeps beside the bytes."""
    kind = file.schema_arrow.field(column).type
    if not hasattr(kind, "num_fields") or kind.num_fields == 0 or kind.get_field_index("path") < 0:
        return [""] * count
    cells = file.read(columns=[f"{column}.path"]).column(column).to_pylist()
    return [str((cell or {}).get("path") or "") for cell in cells]


def _groups(metadata: Any, column: str) -> tuple[list[int], NDArray[np.int64]]:
    """Returns the rows of each row group, and the mean bytes of its pictures."""
    counts, sizes = [], []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(index) for index in range(group.num_columns)]
        taken = sum(
            chunk.total_uncompressed_size
            for chunk in chunks
            if chunk.path_in_schema in (column, f"{column}.bytes")
        )
        counts.append(group.num_rows)
        sizes.append(taken // max(1, group.num_rows))
    return counts, np.array(sizes, dtype=np.int64)


class ParquetBytes:
    """Reads pictures of parquet files, a row group at a time, from any thread.

    The groups read last stay in memory, up to `MOST_KEPT` bytes, and at least two.
    """

    def __init__(self, parts: Sequence[ParquetPart]) -> None:
        self.parts = tuple(parts)
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = Lock()

    def require_all_kept(self) -> None:
        """Raises SslcliError where row groups would be read again for nearly every picture."""
        taken = sum(int(part.sizes.sum()) for part in self.parts)
        if taken > MOST_KEPT:
            message = (
                f"data.cache=none would read whole row groups for every picture: {taken / 1e9:.1f} "
                "GB of pictures do not stay in memory"
            )
            raise SslcliError(message, "data.cache=disk decodes them once, in their order")

    def read(self, number: int, row: int) -> bytes:
        """Returns the bytes in row `row` of file `number`; raises OSError where there are none."""
        part = self.parts[number]
        group = int(part.group_starts.searchsorted(row, "right")) - 1
        with self._lock:
            cells = self._group(number, group)
        cell = cells[row - int(part.group_starts[group])].as_py()
        cell = cell["bytes"] if isinstance(cell, dict) else cell
        if cell is None:
            named = f": only its path, {printable(part.inner[row])}" if part.inner[row] else ""
            raise OSError(errno.ENODATA, f"the row holds no bytes{named}")
        return bytes(cell)

    def _group(self, number: int, group: int) -> Any:
        """Returns the group's cells of the column of pictures."""
        kept = self._kept.pop((number, group), None)
        if kept is None:
            kept = _read_group(self.parts[number], group)
        self._kept[number, group] = kept
        taken = sum(cells.nbytes for cells in self._kept.values())
        while len(self._kept) > 2 and taken > MOST_KEPT:
            taken -= self._kept.popitem(last=False)[1].nbytes
        return kept


def _read_group(part: ParquetPart, group: int) -> Any:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    status = os.stat(part.path)  # noqa: PTH116
    if (status.st_size, status.st_mtime_ns) != (part.state.size, part.state.modified):
        raise OSError(errno.ESTALE, "it has changed since it was listed", part.path)
    try:
        with ParquetFile(part.path, memory_map=True) as file:
            whole = file.read_row_group(group, columns=[part.column], use_threads=False)
    except ArrowException as reason:
        raise OSError(errno.EIO, f"row group {group} cannot be read: {reason}") from reason
    return whole.column(part.column)
