"""Codes small whole numbers in few bytes, by what the standard library holds.

Every column has a statistic of its own, so columns are coded one after the other. `lzma` adapts
while it goes, and `huffman` (deflate without matches) writes a table for every column: the first
is smaller for few rows and wide alphabets, the second for many rows and narrow ones.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Symbols = NDArray[np.uint8]
"""(N, D)."""
FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]
"""No context but the column: a number's neighbours, above and beside it, say nothing of it."""
RAW = -15
"""Deflate's largest window, without zlib's header and checksum: the file has its own."""


class Damaged(ValueError):
    """Bytes that are not what was written."""


class Packed(NamedTuple):
    """Names how symbols were coded, and holds the bytes."""

    coding: str
    content: bytes


@dataclass(frozen=True)
class Coding:
    """Writes symbols as bytes, and reads `num_rows` x `num_columns` of them back."""

    pack: Callable[[Symbols], bytes]
    unpack: Callable[[bytes, int, int], bytes]
    """Returns the columns' symbols, one column after the other."""


def packed(symbols: Symbols) -> Packed:
    """Codes symbols by whichever coding gives fewer bytes."""
    every = [Packed(name, coding.pack(symbols)) for name, coding in CODINGS.items()]
    return min(every, key=lambda one: len(one.content))


def unpacked(given: Packed, num_rows: int, num_columns: int) -> Symbols:
    """Returns the symbols (N, D); raises Damaged where the bytes do not hold just so many."""
    if given.coding not in CODINGS:
        raise Damaged(f"they are coded by {given.coding!r}, which is not known")
    try:
        columns = CODINGS[given.coding].unpack(given.content, num_rows, num_columns)
    except (zlib.error, lzma.LZMAError, EOFError) as reason:
        raise Damaged(f"they cannot be decoded: {reason}") from None
    if len(columns) != num_rows * num_columns:
        raise Damaged(f"they are {len(columns):,}, not {num_rows:,} x {num_columns:,} numbers")
    in_columns = np.frombuffer(columns, dtype=np.uint8).reshape(num_columns, num_rows)
    return np.ascontiguousarray(in_columns.T)


def _lzma(symbols: Symbols) -> bytes:
    return lzma.compress(symbols.T.tobytes(), lzma.FORMAT_RAW, filters=FILTERS)


def _from_lzma(content: bytes, num_rows: int, num_columns: int) -> bytes:
    reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
    # One more than there should be: a file of someone else's must not fill the memory.
    return reader.decompress(content, num_rows * num_columns + 1)


def _huffman(symbols: Symbols) -> bytes:
    parts = []
    for column in symbols.T:
        writer = zlib.compressobj(9, zlib.DEFLATED, RAW, 9, zlib.Z_HUFFMAN_ONLY)
        parts.append(writer.compress(column.tobytes()) + writer.flush())
    return b"".join(parts)


def _from_huffman(content: bytes, num_rows: int, num_columns: int) -> bytes:
    return b"".join(_columns_of(content, num_rows, num_columns))


def _columns_of(content: bytes, num_rows: int, num_columns: int) -> Iterator[bytes]:
    for _ in range(num_columns):
        reader = zlib.decompressobj(RAW)
        yield reader.decompress(content, num_rows + 1)
        content = reader.unused_data
    if content:
        raise Damaged(f"{len(content):,} bytes follow the last of them")


CODINGS = {"lzma": Coding(_lzma, _from_lzma), "huffman": Coding(_huffman, _from_huffman)}
