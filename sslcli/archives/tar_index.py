"""Finds what lies where in a tar file, without unpacking it.

Headers are understood many at once, as arrays: of small members there are millions. Over large ones
it jumps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from threading import local
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.tar_extensions import extended
from sslcli.archives.tar_headers import (
    BLOCK,
    IS_EXTENSION,
    IS_FILE,
    MODULUS,
    Headers,
    count_whole,
    marked,
    names_of,
    octal,
    sums_of,
)
from sslcli.errors import SslcliError
from sslcli.system import READ_ONLY, read_ahead, read_piece
from sslcli.text import printable

SMALLEST, LARGEST = 2**14, 2**21
"""Bytes that are read at once: few where members are large and jumped over."""
AHEAD = 2**23
"""Bytes that the system reads meanwhile."""
SPARSE = 2**18
"""Bytes between two members from which on the next is jumped to."""
LABEL, LONGEST_LABEL = b".cls", 64
"""Members whose content the index holds: those of this ending, and their most bytes."""
LINKS = b"12"
OTHERS = b"5346g"
"""Kinds of members that are no files: folders, devices, and what is said of all members."""
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


def index_tar(path: Path, called: str | None = None) -> TarIndex:
    """Reads all headers of a tar file; raises SslcliError where it is damaged, or cut off.

    `called`: what errors call it; None: its path.
    A checksum of every header is compared. OSError where it cannot be read.
    """
    names: list[bytes] = []
    starts, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    walk = TarWalk(path, called or str(path))
    for members in walk:
        names += members.names
        starts.append(members.starts)
        sizes.append(members.sizes)
    return TarIndex(b"\0".join(names), np.concatenate(starts), np.concatenate(sizes), walk.labels)


class Buffers(local):
    """Holds memory of each thread, for one tar file after another: new memory is slow to get."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._content = np.empty((0, BLOCK), np.uint8)

    def read(self, file: FileIO, length: int, base: int) -> memoryview:
        """Returns what begins at `base`, until the next call."""
        if length > len(self._read):
            self._read = bytearray(length)
        data, done = memoryview(self._read)[:length], 0
        file.seek(base)
        while done < length and (count := file.readinto(data[done:])):
            done += count
        return data[:done]

    def chosen(self, blocks: NDArray[np.uint8], numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns some of the blocks (B, 512), until the next call."""
        if len(numbers) > len(self._content):
            self._content = np.empty((len(blocks), BLOCK), np.uint8)
        content = self._content[: len(numbers)]
        return blocks.take(numbers, axis=0, out=content, mode="clip")


BUFFERS = Buffers()


class TarWalk:
    """Yields the members of a tar file, some at a time, from its begin to its end.

    `labels`: as in `TarIndex`, of the members so far.
    """

    def __init__(self, path: Path, called: str) -> None:
        self._path = path
        self._called = called
        self._position = 0
        self._ahead = 0
        self._count = 0
        self.labels: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[Members]:
        with open(os.open(self._path, READ_ONLY), "rb", buffering=0) as file:  # noqa: PTH123
            self._size = os.fstat(file.fileno()).st_size
            yield from self._walk(file)

    def _walk(self, file: FileIO) -> Iterator[Members]:
        length, ended, number = LARGEST, False, file.fileno()
        while not ended:
            base = self._position
            if base + BLOCK > self._size:
                raise self._damaged("ends without the mark of its end: it was cut off", base)
            data = BUFFERS.read(file, length, base)
            if length == LARGEST and base + length + AHEAD // 2 > self._ahead:
                # Rarely: the system looks at every page that is asked for, also where it has it.
                start = max(self._ahead, base + length)
                self._ahead = base + length + AHEAD
                read_ahead(number, self._ahead - start, start)
            blocks = np.frombuffer(data, np.uint8, len(data) // BLOCK * BLOCK).reshape(-1, BLOCK)
            headers, end = self._headers(blocks)
            whole = count_whole(headers)
            if whole < len(headers):  # what belongs to the last one lies behind these blocks
                end = int(headers.numbers[whole])
                if end == 0 and base + len(data) < self._size:
                    length = 4 * max(length, len(data))
                    continue
                if end == 0:
                    raise self._damaged("ends within a member: it was cut off", base)
            ended = whole == len(headers) and end < len(blocks)
            if ended:
                self._require_end(number, base + end * BLOCK)
            if whole:
                yield self._members(number, blocks, headers.first(whole))
            self._position = base + end * BLOCK
            sparse = end > len(blocks) + SPARSE // BLOCK
            length = SMALLEST if sparse else min(LARGEST, 4 * length)

    def _headers(self, blocks: NDArray[np.uint8]) -> tuple[Headers, int]:
        """Returns the headers among the blocks, and the number of the one that comes next."""
        numbers = marked(blocks)
        found = Headers.of(numbers, BUFFERS.chosen(blocks, numbers))
        following = found.numbers + 1 + -(-found.sizes // BLOCK)
        if len(found) and found.numbers[0] == 0 and (following[:-1] == found.numbers[1:]).all():
            end = int(following[-1])
        else:  # what looks like a header may lie within a file
            after = dict(zip(found.numbers.tolist(), following.tolist(), strict=True))
            chain, end = [], 0
            while end in after:
                chain.append(end)
                end = after[end]
            found = found.chosen(np.isin(found.numbers, chain))
        wrong = np.flatnonzero(sums_of(found.content) != octal(found.content[:, 148:156]) % MODULUS)
        if len(wrong):
            where = self._position + int(found.numbers[wrong[0]]) * BLOCK
            raise self._damaged("is damaged: a header's checksum is wrong", where)
        if end < len(blocks) and blocks[end].any():
            where = self._position + end * BLOCK
            raise self._damaged("is damaged, or no tar file: there is no header", where)
        return found, end

    def _members(self, number: int, blocks: NDArray[np.uint8], headers: Headers) -> Members:
        kinds = headers.content[:, 156]
        files, extensions = IS_FILE[kinds], IS_EXTENSION[kinds]
        others = ~files & ~extensions
        if others.any():
            self._require_kinds(headers.content[others])
        of_files = headers.chosen(files)
        names = names_of(of_files.content)
        told = extended(blocks, headers.numbers, kinds, extensions, headers.sizes)
        for wrong, row in told.refused:
            where = self._position + int(headers.numbers[row]) * BLOCK
            raise self._damaged(wrong, where, WRONG_KINDS.get("sparse", FIX))
        ranks = np.cumsum(files) - 1
        for row, name in told.names.items():
            if files[row]:
                names[ranks[row]] = name
        starts = self._position + (of_files.numbers + 1) * BLOCK
        members = Members(names, starts, of_files.sizes)
        self._add_labels(number, blocks, of_files.numbers, members)
        self._count += len(names)
        return members

    def _require_kinds(self, others: NDArray[np.uint8]) -> None:
        """Raises SslcliError for members that are no files, and might stand for some."""
        for header in others:
            kind = bytes(header[156:157])
            name = printable(os.fsdecode(names_of(header[None])[0]))
            if kind in LINKS:
                message = f"{self._called} holds a link, {name}, and no file of this name"
                raise SslcliError(message, WRONG_KINDS["links"])
            if kind not in OTHERS:
                message = f"{self._called} holds {name} of an unknown kind, {kind!r}"
                raise SslcliError(message, WRONG_KINDS["sparse"])

    def _add_labels(
        self, number: int, blocks: NDArray[np.uint8], headers: NDArray[np.int64], members: Members
    ) -> None:
        sizes, small = members.sizes.tolist(), members.sizes <= LONGEST_LABEL
        rows = [row for row in np.flatnonzero(small).tolist() if members.names[row].endswith(LABEL)]
        places = headers[rows] + 1
        near = int(places.searchsorted(len(blocks)))
        texts = blocks[places[:near], :LONGEST_LABEL].tobytes()
        for row, start in zip(rows, range(0, len(texts), LONGEST_LABEL), strict=False):
            self.labels[self._count + row] = texts[start : start + sizes[row]]
        for row in rows[near:]:
            text = read_at(number, sizes[row], int(members.starts[row]))
            self.labels[self._count + row] = text

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
