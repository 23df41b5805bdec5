"""Makes the parts of a data set of the pictures that were decoded for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet, select
from sslcli.data.scan import Listing, PictureFiles
from sslcli.errors import SslcliError

if TYPE_CHECKING:
    from sslcli.data.decode import Decoded


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
    whole = ImageSet(pixels, part.labels, paths, digests, part.groups, part.targets, aspects)
    good = [i - start for i in range(start, stop) if i not in decoded.bad]
    if not good:
        message = f"no {name} picture could be decoded: {paths[0]}: {decoded.bad[start]}"
        raise SslcliError(message, "repair them")
    return whole if len(good) == len(part) else whole.subset(np.array(good, dtype=np.int64))
