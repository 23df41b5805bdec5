"""Understands the headers of tar files, many at once, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
MARK, MARK_WORD = int.from_bytes(b"\0ustar\0\0", "little"), 256 // 8
"""Stands in every header; the word of eight bytes that it is in, with others around it."""
MARK_BYTES = np.uint64(0x0000FFFFFFFFFF00)
MODULUS = 2**16
FILES, EXTENSIONS = b"0\0" + b"7", b"xXLK"
"""Kinds of members: files, and what is said of the member that follows."""
IS_FILE = np.isin(np.arange(256), list(FILES))
IS_EXTENSION = np.isin(np.arange(256), list(EXTENSIONS))


@dataclass(frozen=True)
class Headers:
    """Holds N headers: the `numbers` of their blocks, `content` (N, 512), and members' `sizes`."""

    numbers: NDArray[np.int64]
    content: NDArray[np.uint8]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: NDArray[np.int64], content: NDArray[np.uint8]) -> Headers:
        return cls(numbers, content, _sizes(content[:, 124:136]))

    def __len__(self) -> int:
        return len(self.numbers)

    def chosen(self, which: NDArray[np.bool_]) -> Headers:
        return Headers(self.numbers[which], self.content[which], self.sizes[which])

    def first(self, count: int) -> Headers:
        return Headers(self.numbers[:count], self.content[:count], self.sizes[:count])


def marked(blocks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the numbers of those of (B, 512) blocks that look like headers."""
    return np.flatnonzero(blocks.view("<u8")[:, MARK_WORD] & MARK_BYTES == MARK)


def count_whole(headers: Headers) -> int:
    """Counts headers up to the last whose extensions, and what they belong to, are there."""
    whole = len(headers)
    while whole and headers.content[whole - 1, 156] in EXTENSIONS:
        whole -= 1
    return whole


def _sizes(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the sizes that (N, 12) characters tell; the largest are not written in digits."""
    sizes = octal(fields)
    for row in np.flatnonzero(fields[:, 0] & 0x80).tolist():
        # No file has more; what only looks like a header may tell anything.
        sizes[row] = min(int.from_bytes(fields[row, 1:].tobytes(), "big"), 2**60)
    return sizes


def sums_of(headers: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the checksums of (N, 512) headers: all bytes, the sum itself being eight spaces.

    They are so modulo `MODULUS`.
    """
    words = headers.view("<u8")
    # Most of a header is zeros, in the same places: a tenth of the words is left.
    used = np.flatnonzero(np.bitwise_or.reduce(words, axis=0))
    sums = _pairs(words[:, used]).sum(axis=1, dtype=np.uint64)
    sums -= _pairs(headers[:, 148:156].copy().view("<u8")[:, 0])
    # Four sums of 16 bits each are added in the upper bits of the product.
    sums *= np.uint64(0x0001000100010001)
    whole: NDArray[np.int64] = (sums >> 48).astype(np.int64)
    return (whole + 8 * ord(" ")) % MODULUS


def _pairs(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns each word's bytes as sums of two, in 16 bits each."""
    odd: NDArray[np.uint64] = words >> np.uint64(8)
    odd &= 0x00FF00FF00FF00FF
    odd += words & 0x00FF00FF00FF00FF
    return odd


def octal(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the numbers that (N, W) characters spell; what are no digits do not count."""
    digits = fields.T.copy()  # (W, N): long rows are fast
    digits -= ord("0")
    are_digits = digits < 8
    width = int(are_digits.all(axis=1).argmin())
    if width and not are_digits[width:].any():  # as nearly everyone writes them
        weights = 8.0 ** np.arange(width - 1, -1, -1)
        plain: NDArray[np.int64] = (weights @ digits[:width].astype(np.float64)).astype(np.int64)
        return plain
    values = np.zeros(len(fields), dtype=np.int64)
    for column, is_digit in zip(digits, are_digits, strict=True):
        values = np.where(is_digit, values * 8 + column, values)
    return values


def names_of(headers: NDArray[np.uint8]) -> list[bytes]:
    """Returns the names in (N, 512) headers, with the folders before them."""
    names: list[bytes] = np.ascontiguousarray(headers[:, :100]).view("S100")[:, 0].tolist()
    # Of the POSIX kind: others keep times in this place.
    long = np.flatnonzero((headers[:, 345] != 0) & (headers[:, 262] == 0))
    for row in long.tolist():
        folder = headers[row, 345:500].tobytes().partition(b"\0")[0]
        names[row] = folder + b"/" + names[row]
    return names if b"\0" not in b"".join(names) else [name.partition(b"\0")[0] for name in names]
