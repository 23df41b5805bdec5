"""Reads pictures and columns of parquet files, as Hugging Face's data sets are laid out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.file_bytes import FileState
from sslcli.data.table_file import as_text, columns_of
from sslcli.errors import SslcliError, unknown
from sslcli.text import hydra_word

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
            others = [name for name in schema.names if name != column]
            chosen = columns_of(Path(path), others, optional)
            names = _class_names(schema)
            columns = {
                meaning: _texts(path, file, name, names.get(name), several=meaning == "labels")
                for meaning, name in ((key, others[number]) for key, number in chosen.items())
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
