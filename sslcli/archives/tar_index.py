"""Finds what lies where in a tar file, without unpacking it.

Headers are understood many at once, as arrays: of small members there are millions. Over large ones
it jumps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.tar_extensions import extended
from sslcli.errors import SslcliError
from sslcli.system import READ_ONLY, read_piece
from sslcli.text import printable

BLOCK = 512
SMALLEST, LARGEST = 2**14, 2**20
"""Bytes that are read at once: few where members are large and jumped over."""
SPARSE = 2**18
"""Bytes between two members from which on the next is jumped to."""
LABEL, LONGEST_LABEL = b".cls", 64
"""Members whose content the index holds: those of this ending, and their most bytes."""
FILES, EXTENSIONS, LINKS = b"0\0" + b"7", b"xXLK", b"12"
OTHERS = b"5346g"
"""Kinds of members that are no files: folders, devices, and what is said of all members."""
IS_FILE = np.isin(np.arange(256), list(FILES))
IS_EXTENSION = np.isin(np.arange(256), list(EXTENSIONS))
FIX = "copy it again, or pack it again"
WRONG_KINDS = {
    "links": "pack the files themselves: tar --dereference --hard-dereference",
    "sparse": "pack it again without --sparse",
}


@dataclass(frozen=True)
class TarIndex:
    """Lists the M files in a tar file: where each starts, and its size in bytes, (M,) int64.

    `text`: their names, with \\0 between them. `labels`: the content of the small files whose name
    ends in .cls, by number, and of others that were asked for.
    """

    text: bytes
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    labels: dict[int, bytes]

    @cached_property
    def names(self) -> list[str]:
        return os.fsdecode(self.text).split("\0") if len(self.starts) else []


class Members(NamedTuple):
    """Lists some members of a tar file, as `TarIndex` does."""

    names: list[bytes]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    labels: dict[int, bytes]


def index_tar(path: Path, called: str | None = None) -> TarIndex:
    """Reads all headers of a tar file; raises SslcliError where it is damaged, or cut off.

    `called`: what errors call it; None: its path.
    A checksum of every header is compared. OSError where it cannot be read.
    """
    names: list[bytes] = []
    starts, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    labels: dict[int, bytes] = {}
    for members in TarWalk(path, called or str(path)):
        labels.update((len(names) + number, text) for number, text in members.labels.items())
        names += members.names
        starts.append(members.starts)
        sizes.append(members.sizes)
    return TarIndex(b"\0".join(names), np.concatenate(starts), np.concatenate(sizes), labels)


class TarWalk:
    """Yields the members of a tar file, some at a time, from its begin to its end."""

    def __init__(self, path: Path, called: str) -> None:
        self._path = path
        self._called = called
        self._position = 0

    def __iter__(self) -> Iterator[Members]:
        number = os.open(self._path, READ_ONLY)
        try:
            self._size = os.fstat(number).st_size
            yield from self._walk(number)
        finally:
            os.close(number)

    def _walk(self, number: int) -> Iterator[Members]:
        length, ended = LARGEST, False
        while not ended:
            base = self._position
            if base + BLOCK > self._size:
                raise self._damaged("ends without the mark of its end: it was cut off", base)
            data = read_at(number, length, base)
            blocks = np.frombuffer(data, np.uint8, len(data) // BLOCK * BLOCK).reshape(-1, BLOCK)
            headers, end = self._headers(blocks)
            whole = self._whole_members(blocks, headers)
            if whole < len(headers):  # what belongs to the last one lies behind these blocks
                end = int(headers[whole])
                if end == 0 and base + len(data) < self._size:
                    length = 4 * max(length, len(data))
                    continue
                if end == 0:
                    raise self._damaged("ends within a member: it was cut off", base)
            ended = whole == len(headers) and end < len(blocks)
            if ended:
                self._require_end(number, base + end * BLOCK)
            if whole:
                yield self._members(number, blocks, headers[:whole])
            self._position = base + end * BLOCK
            sparse = end > len(blocks) + SPARSE // BLOCK
            length = SMALLEST if sparse else min(LARGEST, 4 * length)

    def _headers(self, blocks: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
        """Returns the numbers of the blocks that are headers, and of the one that comes next."""
        marked = np.flatnonzero(blocks[:, 257] == ord("u"))
        marked = marked[(blocks[marked, 258:262] == np.frombuffer(b"star", np.uint8)).all(axis=1)]
        following = marked + 1 + -(-_sizes(blocks[marked, 124:136]) // BLOCK)
        if len(marked) and marked[0] == 0 and (following[:-1] == marked[1:]).all():
            chain, end = marked, int(following[-1])
        else:  # what looks like a header may lie within a file
            after = dict(zip(marked.tolist(), following.tolist(), strict=True))
            numbers, end = [], 0
            while end in after:
                numbers.append(end)
                end = after[end]
            chain = np.array(numbers, dtype=np.int64)
        self._require_sound(blocks, chain)
        if end < len(blocks) and blocks[end].any():
            where = self._position + end * BLOCK
            raise self._damaged("is damaged, or no tar file: there is no header", where)
        return chain, end

    def _require_sound(self, blocks: NDArray[np.uint8], headers: NDArray[np.int64]) -> None:
        wrong = np.flatnonzero(_sums(blocks[headers]) != octal(blocks[headers, 148:156]))
        if len(wrong):
            where = self._position + int(headers[wrong[0]]) * BLOCK
            raise self._damaged("is damaged: a header's checksum is wrong", where)

    def _whole_members(self, blocks: NDArray[np.uint8], headers: NDArray[np.int64]) -> int:
        """Counts headers up to the last whose extensions, and what they belong to, are there."""
        kinds = blocks[headers, 156]
        whole = len(headers)
        while whole and kinds[whole - 1] in EXTENSIONS:
            whole -= 1
        return whole

    def _members(
        self, number: int, blocks: NDArray[np.uint8], headers: NDArray[np.int64]
    ) -> Members:
        kinds = blocks[headers, 156]
        sizes = _sizes(blocks[headers, 124:136])
        files, extensions = IS_FILE[kinds], IS_EXTENSION[kinds]
        self._require_kinds(blocks[headers[~files & ~extensions]])
        names = _names(blocks[headers[files]])
        starts = self._position + (headers[files] + 1) * BLOCK
        told = extended(blocks, headers, extensions, sizes)
        for wrong, row in told.refused:
            where = self._position + int(headers[row]) * BLOCK
            raise self._damaged(wrong, where, WRONG_KINDS.get("sparse", FIX))
        ranks = np.cumsum(files) - 1
        for row, name in told.names.items():
            if files[row]:
                names[ranks[row]] = name
        members = Members(names, starts, sizes[files], {})
        self._add_labels(number, blocks, headers[files], members)
        return members

    def _require_kinds(self, others: NDArray[np.uint8]) -> None:
        """Raises SslcliError for members that are no files, and might stand for some."""
        for header in others:
            kind = bytes(header[156:157])
            name = printable(os.fsdecode(_names(header[None])[0]))
            if kind in LINKS:
                message = f"{self._called} holds a link, {name}, and no file of this name"
                raise SslcliError(message, WRONG_KINDS["links"])
            if kind not in OTHERS:
                message = f"{self._called} holds {name} of an unknown kind, {kind!r}"
                raise SslcliError(message, WRONG_KINDS["sparse"])

    def _add_labels(
        self, number: int, blocks: NDArray[np.uint8], headers: NDArray[np.int64], members: Members
    ) -> None:
        sizes = members.sizes.tolist()
        rows = [row for row, name in enumerate(members.names) if name.endswith(LABEL)]
        rows = [row for row in rows if sizes[row] <= LONGEST_LABEL]
        places = headers[rows] + 1
        texts = blocks[np.minimum(places, len(blocks) - 1), :LONGEST_LABEL].tobytes()
        behind = places.searchsorted(len(blocks))
        for index, row in enumerate(rows):
            if index < behind:
                start = index * LONGEST_LABEL
                members.labels[row] = texts[start : start + sizes[row]]
            else:
                members.labels[row] = read_at(number, sizes[row], int(members.starts[row]))

    def _require_end(self, number: int, where: int) -> None:
        """Raises SslcliError where anything but zeros follows the mark of the end."""
        while rest := read_piece(number, LARGEST, where):
            if rest.count(0) != len(rest):
                fix = "pack it again, whole; archives that are joined by cat must be unpacked first"
                raise self._damaged("goes on behind the mark of its end", where, fix)
            where += len(rest)

    def _damaged(self, what: str, where: int, fix: str = FIX) -> SslcliError:
        return SslcliError(f"{self._called} {what}, at byte {where:,} of {self._size:,}", fix)


def read_at(number: int, count: int, start: int) -> bytes:
    """Returns up to `count` bytes of an open file; fewer only where it ends."""
    pieces, done = [], 0
    while done < count and (piece := read_piece(number, count - done, start + done)):
        pieces.append(piece)
        done += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sizes(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the sizes that (N, 12) characters tell; the largest are not written in digits."""
    sizes = octal(fields)
    for row in np.flatnonzero(fields[:, 0] & 0x80).tolist():
        sizes[row] = int.from_bytes(fields[row, 1:].tobytes(), "big")
    return sizes


def _sums(headers: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the checksums of (N, 512) headers: all bytes, the sum itself being eight spaces."""
    # Two sums of bytes in each half of a word: as fast as the headers can be read.
    pairs = headers.view("<u8")
    odd = pairs >> 8
    odd &= 0x00FF00FF00FF00FF
    odd += pairs & 0x00FF00FF00FF00FF
    lanes = odd.sum(axis=1, dtype=np.uint64).view("<u2").reshape(-1, 4)
    written = headers[:, 148:156].sum(axis=1, dtype=np.int64)
    sums: NDArray[np.int64] = lanes.sum(axis=1, dtype=np.int64) - written + 8 * ord(" ")
    return sums


def octal(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the numbers that (N, W) characters spell; what are no digits do not count."""
    digits = fields - ord("0")
    are_digits = digits < 8
    width = int(are_digits.all(axis=0).argmin())
    if width and not are_digits[:, width:].any():  # as nearly everyone writes them
        weights = 8.0 ** np.arange(width - 1, -1, -1)
        plain: NDArray[np.int64] = (digits[:, :width].astype(np.float64) @ weights).astype(np.int64)
        return plain
    values = np.zeros(len(fields), dtype=np.int64)
    for column, is_digit in zip(digits.T, are_digits.T, strict=True):
        values = np.where(is_digit, values * 8 + column, values)
    return values


def _names(headers: NDArray[np.uint8]) -> list[bytes]:
    """Returns the names in (N, 512) headers, with the folders before them."""
    names: list[bytes] = np.ascontiguousarray(headers[:, :100]).view("S100")[:, 0].tolist()
    # Of the POSIX kind: others keep times in this place.
    long = np.flatnonzero((headers[:, 345] != 0) & (headers[:, 262] == 0))
    for row in long.tolist():
        folder = headers[row, 345:500].tobytes().partition(b"\0")[0]
        names[row] = folder + b"/" + names[row]
    return names if b"\0" not in b"".join(names) else [name.partition(b"\0")[0] for name in names]
