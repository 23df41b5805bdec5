"""Reads pictures of parquet files, of which a row group must be read whole."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import Track
from sslcli.data.parquet_file import ParquetPart, read_part
from sslcli.errors import SslcliError
from sslcli.text import printable
from sslcli.threads import map_in_threads

MOST_KEPT = 2**28
"""Bytes of row groups that stay in memory: a picture cannot be read without its group."""
MOST_OPEN = 8


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


class ParquetBytes:
    """Reads pictures of parquet files, a row group at a time, from any thread.

    The groups read last stay in memory, up to `MOST_KEPT` bytes, and at least two.
    """

    def __init__(self, parts: Sequence[ParquetPart]) -> None:
        self.parts = tuple(parts)
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._files: OrderedDict[int, Any] = OrderedDict()
        self._taken = 0
        self._lock = Lock()

    def require_kept(self, mixed: int | None) -> None:
        """Raises SslcliError where row groups would be read again for nearly every picture.

        `mixed`: how many of them are used at once; None: all.
        """
        taken = [
            int(part.sizes[start:stop].sum())
            for part in self.parts
            for start, stop in pairwise(part.group_starts.tolist())
        ]
        needed = (
            sum(taken) if mixed is None else min(sum(taken), (mixed + 1) * max(taken, default=0))
        )
        if needed > MOST_KEPT:
            message = (
                "data.cache=none would read whole row groups for every picture: "
                f"{needed / 1e9:.2f} GB of them do not stay in memory"
            )
            fix = "data.cache=disk decodes them once, in their order"
            raise SslcliError(
                message, f"{fix}; or fewer at once: data.mixed=8" if not mixed else fix
            )

    def groups(self, files: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the number of each row's row group among those of all files, (N,)."""
        numbers, before = np.zeros(len(rows), dtype=np.int64), 0
        for number, part in enumerate(self.parts):
            here = files == number
            numbers[here] = before + part.group_starts.searchsorted(rows[here], "right") - 1
            before += len(part.group_starts) - 1
        return numbers

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
            kept = self._read_group(number, group)
            self._taken += kept.nbytes
        self._kept[number, group] = kept
        while len(self._kept) > 2 and self._taken > MOST_KEPT:
            self._taken -= self._kept.popitem(last=False)[1].nbytes
        return kept

    def _read_group(self, number: int, group: int) -> Any:
        from pyarrow import ArrowException

        part = self.parts[number]
        status = os.stat(part.path)  # noqa: PTH116
        if (status.st_size, status.st_mtime_ns) != (part.state.size, part.state.modified):
            raise OSError(errno.ESTALE, "it has changed since it was listed", part.path)
        try:
            whole = self._opened(number).read_row_group(
                group, columns=[part.column], use_threads=False
            )
        except ArrowException as reason:
            raise OSError(errno.EIO, f"row group {group} cannot be read: {reason}") from reason
        return whole.column(part.column)

    def _opened(self, number: int) -> Any:
        """Returns the open file: what lies where in it is read once."""
        from pyarrow.parquet import ParquetFile

        file = self._files.pop(number, None)
        if file is None:
            file = ParquetFile(self.parts[number].path, memory_map=True)
        self._files[number] = file
        if len(self._files) > MOST_OPEN:
            self._files.popitem(last=False)[1].close()
        return file
