"""Understands what tar files say of the member that follows: a long name, or times."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
MOST = 2**20
"""Bytes that may be said of a member."""


@dataclass
class Extended:
    """Holds `names` by the row of the member's header; `refused`: why, and the row, of others."""

    names: dict[int, bytes] = field(default_factory=dict)
    refused: list[tuple[str, int]] = field(default_factory=list)


def extended(
    blocks: NDArray[np.uint8],
    headers: NDArray[np.int64],
    extensions: NDArray[np.bool_],
    sizes: NDArray[np.int64],
) -> Extended:
    """Returns what the headers that are `extensions` (N,) say of the next that is none.

    `blocks` (B, 512), of which `headers` (N,) are headers of members of `sizes` (N,) bytes.
    """
    found = Extended()
    rows = np.flatnonzero(extensions)
    rows = rows[~_tells_only_a_time(blocks, headers[rows], sizes[rows])]
    members = np.flatnonzero(~extensions)
    for row in rows.tolist():
        member = int(members[np.searchsorted(members, row)])
        first = int(headers[row]) + 1
        body = blocks[first : first - (-int(sizes[row]) // BLOCK)].tobytes()[: int(sizes[row])]
        kind = bytes(blocks[headers[row], 156:157])
        if kind == b"L":
            found.names[member] = body.rstrip(b"\0")
        elif kind in b"xX" and any(word in body for word in (b"path=", b"size=", b"GNU.sparse")):
            _read_records(body, member, found)
    return found


def _tells_only_a_time(
    blocks: NDArray[np.uint8], headers: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tells of which headers the text is one record of two digits of length, the time of change.

    Python's tarfile, and by it WebDataset, writes such before every member.
    """
    bodies = blocks[np.minimum(headers + 1, len(blocks) - 1)]
    length = (bodies[:, 0].astype(np.int64) - 48) * 10 + bodies[:, 1] - 48
    says_mtime = (bodies[:, 2:9] == np.frombuffer(b" mtime=", np.uint8)).all(axis=1)
    alone: NDArray[np.bool_] = says_mtime & (length == sizes)
    alone &= blocks[headers, 156] == ord("x")
    return alone


def _read_records(body: bytes, member: int, found: Extended) -> None:
    """Reads records such as `30 path=a name\\n`, whose number counts their bytes."""
    while body:
        digits, _, _ = body.partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = body[len(digits) + 1 : length - 1].partition(b"=")
        if not equals or body[length - 1 : length] != b"\n":
            found.refused.append(("is damaged: what is said of a member cannot be read", member))
            return
        if key == b"path":
            found.names[member] = value
        elif key == b"size" or key.startswith(b"GNU.sparse"):
            found.refused.append(("holds a sparse file, or one of 8 GB or more", member))
        body = body[length:]
