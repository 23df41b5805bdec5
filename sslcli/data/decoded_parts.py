"""Cuts decoded pictures into the parts of a data set, and says which could not be decoded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet, select
from sslcli.data.scan import Listing, PictureFiles
from sslcli.errors import SslcliError

if TYPE_CHECKING:
    from sslcli.data.decode import Decoded

MAX_NAMED = 20
"""The most pictures that could not be decoded that are warned about by name."""


def split_decoded(
    listing: Listing,
    files: dict[str, PictureFiles | None],
    decoded: Decoded,
    aspects: NDArray[np.float64] | None = None,
) -> dict[str, ImageSet | None]:
    """Returns each part's pictures, cut from those of all parts, without bad ones.

    `aspects`: width over height of all parts' pictures, where they were squeezed.
    """
    sets: dict[str, ImageSet | None] = {}
    start = 0
    for name, part in files.items():
        if part is None:
            sets[name] = None
            continue
        own = None if aspects is None else aspects[start : start + len(part)]
        sets[name] = _decoded_set(name, part, listing, decoded, start, own)
        start += len(part)
    return sets


def _decoded_set(
    name: str,
    part: PictureFiles,
    listing: Listing,
    decoded: Decoded,
    start: int,
    aspects: NDArray[np.float64] | None,
) -> ImageSet:
    """Returns the good pictures of a part, whose first is `start` in `decoded`."""
    stop = start + len(part)
    paths = tuple(listing.path(row) for row in part.rows.tolist())
    digests = decoded.records[start:stop, :-1]
    pixels = select(decoded.images, slice(start, stop))
    blocks = listing.blocks_of(part.rows)
    whole = ImageSet(
        pixels, part.labels, paths, digests, part.groups, part.targets, blocks, aspects
    )
    good = [i - start for i in range(start, stop) if i not in decoded.bad]
    if not good:
        message = f"no {name} picture could be decoded: {paths[0]}: {decoded.bad[start]}"
        raise SslcliError(message, "repair them")
    return whole if len(good) == len(part) else whole.subset(np.array(good, dtype=np.int64))


def refuse_too_many(bad: list[str], total: int, max_bad: float) -> None:
    """Raises SslcliError where a larger part than `max_bad` of the pictures is bad."""
    if len(bad) > max_bad * total:
        raise SslcliError(
            f"{len(bad)} of {total} pictures could not be decoded, more than "
            f"data.max_bad={max_bad} "
            f"allows: {'; '.join(bad[:3])}{'; ...' if len(bad) > 3 else ''}",
            "repair or remove them, or go on without them: "
            f"data.max_bad={_round_up(len(bad) / total)}",
        )


def bad_picture_warnings(bad: list[str]) -> list[str]:
    """Returns a line for each bad picture, up to MAX_NAMED, then how many more."""
    lines = [f"could not be decoded, left out: {line}" for line in bad[:MAX_NAMED]]
    if len(bad) > MAX_NAMED:
        lines.append(f"and {len(bad) - MAX_NAMED} more pictures could not be decoded")
    return lines


def _round_up(part: float) -> float:
    """Rounds `part` up to two decimal places, below 1."""
    return min(0.99, math.ceil(part * 100) / 100)
