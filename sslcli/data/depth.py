"""Decides what pictures of files become that are not grey or RGB of 8 bits."""

from __future__ import annotations

import io
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.deep_files import TIFF, read_deep
from sslcli.data.deep_picture import DeepPicture, MissingPackage
from sslcli.data.images import evenly_spaced
from sslcli.data.resize import MIDDLE, Framing, resized
from sslcli.data.scan import Listing
from sslcli.data.stored_picture import is_grey, plain_pixels
from sslcli.data.tiff_picture import has_named_frames
from sslcli.data.values import (
    TWELVE_BITS,
    Found,
    canonical,
    kind_of,
    look,
    outward,
    to_kind,
    warn_outside,
)
from sslcli.errors import SslcliError
from sslcli.preprocessing import Range
from sslcli.text import printable

NUM_LOOKED_AT = 16
"""Files that say what all are: so few are read before any is decoded."""
WIDTHS = ("uint8", "uint16", "float32")
KINDS = {8: "uint8", 16: "uint16"}
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""What red, green and blue count for a grey picture, as in Pillow."""


@dataclass(frozen=True)
class Depth:
    """Says what every picture becomes: `channels` of `kind`, uint8, uint16 or float32.

    `range`: the values that mean black and white, as in `data.range`. `cuts`: what has more than
    `kind` holds is cut to it; else it is refused. `makes_grey`: so is colour where `channels` is 1.
    """

    kind: str
    channels: int
    range: Range | None = None
    cuts: bool = False
    makes_grey: bool = False

    @property
    def name(self) -> str:
        """Names the depth, in names of files."""
        ends = "" if self.range is None else f"_{self.range[0]:.15g}to{self.range[1]:.15g}"
        return f"{self.kind}{ends}{'_made_grey' if self.makes_grey else ''}"

    def pixels(
        self, data: bytes, resolution: int, framing: Framing = MIDDLE
    ) -> tuple[NDArray[Any], int]:
        """Returns a file's picture as a square, (R, R, C), and how many channels the file has.

        It is upright, and laid on white. Raises whatever a broken file makes its reader raise, and
        ValueError for what does not fit.
        """
        values = _values(data, self.range)
        have, file_channels = kind_of(values.dtype), values.shape[2]
        is_larger = WIDTHS.index(have) > WIDTHS.index(self.kind)
        if is_larger and not self.cuts:
            raise ValueError(f"it is {have}, and others are {self.kind}: {CHOICE}")
        values = self._with_channels(values)
        if not is_larger:
            values = to_kind(values, self.kind)
        return to_kind(resized(values, resolution, framing), self.kind), file_channels

    def _with_channels(self, values: NDArray[Any]) -> NDArray[Any]:
        have = values.shape[2]
        if have == self.channels:
            return values
        if have == 1 and self.channels == 3:
            return values.repeat(3, axis=2)
        if have == 3 and self.channels == 1:
            if not self.makes_grey:
                raise ValueError(f"it is in colour, and those looked at are grey: {COLOUR_CHOICE}")
            grey = values.astype(np.float64) @ LUMINANCE
            whole: NDArray[Any] = grey.round() if values.dtype.kind == "u" else grey
            return whole.astype(values.dtype)[..., None]
        raise ValueError(f"it has {have} channels, and others {self.channels}")


CHOICE = "data.depth=16 keeps 16 bits of all, data.depth=8 eight"
COLOUR_CHOICE = "data.channels=3 keeps all colours, data.channels=1 makes all grey"


def _values(data: bytes, range_: Range | None) -> NDArray[Any]:
    """Returns (H, W, C) of a file's content, as `canonical`."""
    own, ends = _stored(read_deep(data, range_), data, range_)
    return canonical(own, ends)


def _stored(
    found: DeepPicture | None, data: bytes, range_: Range | None
) -> tuple[NDArray[Any], Range | None]:
    """Returns a file's own values (H, W, C), in which `read_deep` has `found` something or not.

    And the range that is meant for them: none, where 0 and 1 are black and white.
    """
    if found is None:
        return plain_pixels(data), range_
    return found.on_white, None if found.is_unit else range_


def refuse_deep(data: bytes) -> None:
    """Raises ValueError for a picture of which 8 bits of grey or RGB are not all."""
    found = read_deep(data)
    if found is not None:
        values = canonical(found.pixels, None)
        what = f"it has {values.shape[2]} channels of {values.dtype}"
        raise ValueError(f"{what}, and others are grey or RGB of 8 bits: {CHOICE}")


def refuse_part(data: bytes) -> None:
    """Raises ValueError for a picture of which Pillow would take one channel, or frame, for all.

    It does so of grey TIFFs alone: of others it reads all channels, or nothing.
    """
    if not data.startswith(TIFF):
        return
    with Image.open(io.BytesIO(data)) as image:
        may_be_part = is_grey(image)
    if not may_be_part or has_named_frames(data):
        return
    found = read_deep(data)
    if found is not None and found.pixels.shape[2] > 1:
        raise ValueError(f"it has {found.pixels.shape[2]} channels, and others are grey or RGB")
    if found is not None and has_alpha_plane(found):
        raise ValueError("what is opaque lies in a plane of its own: save it interleaved")


@dataclass(frozen=True)
class _Sample:
    """Holds what one of the files is."""

    kind: str
    channels: int
    largest: float
    is_deep: bool
    by_pillow: bool
    stored: Found | None
    """The file's own values, beside `data.range`, where that is theirs."""
    notes: tuple[str, ...]


def depth_of(
    listing: Listing,
    rows: NDArray[np.int64],
    channels: int | None,
    range_: Range | None,
    bits: int | None,
) -> tuple[Depth | None, list[str]]:
    """Returns what pictures become, and what the user should know; None: what they always did.

    Some of the files say it, the same in whatever order the `rows` are. `channels`: those that were
    asked for. `bits`: 8 or 16 of them are kept; None: as many as there are. Raises SslcliError
    where the values' meaning is not known.
    """
    rows, makes_grey = np.sort(rows), channels == 1
    samples = _samples(listing, rows[evenly_spaced(len(rows), NUM_LOOKED_AT)], range_)
    deep = [sample for sample in samples if sample.is_deep]
    if range_ is None and (not deep or (bits == 8 and all(one.by_pillow for one in deep))):
        plain_16 = Depth("uint16", channels or _channels(samples), None, True, makes_grey)
        return (plain_16 if bits == 16 and samples else None), []
    if not samples:
        return None, []
    widest = max((sample.kind for sample in samples), key=WIDTHS.index)
    kind = widest if bits is None else KINDS[bits]
    depth = Depth(kind, channels or _channels(samples), range_, bits is not None, makes_grey)
    return depth, _warnings(samples, depth, bits)


def _samples(listing: Listing, rows: NDArray[np.int64], range_: Range | None) -> list[_Sample]:
    """Returns what the files are; broken ones are left out, and named when all are decoded."""
    samples, meaningless = [], []
    for row in rows.tolist():
        try:
            data = listing.read(row)
            found = read_deep(data, range_)
        except MissingPackage as reason:
            message = f"{printable(listing.names[row])} needs {reason.package}"
            raise SslcliError(f"{message}, which is not installed", reason.fix) from None
        except Exception:
            continue
        try:
            own, ends = _stored(found, data, range_)
            values = canonical(own, ends)
        except Exception:
            if found is not None and np.isfinite(found.pixels).all():
                meaningless.append(found.pixels)
            continue
        largest = float(values.max())
        by_pillow = found is None or (
            not has_alpha_plane(found) and _pillow_reads(data, values.shape[2])
        )
        kind, notes = kind_of(values.dtype), () if found is None else found.notes
        stored = None if ends is None else look(own[None], printable(listing.names[row]), ends)
        samples.append(
            _Sample(kind, values.shape[2], largest, found is not None, by_pillow, stored, notes)
        )
    if meaningless and not samples:
        raise _unknown_range(meaningless)
    return samples


def has_alpha_plane(found: DeepPicture) -> bool:
    """Tells whether a TIFF's alpha has 8 bits: beside grey in a plane of its own Pillow errs."""
    return found.alpha is not None and found.alpha.dtype == np.uint8


def _pillow_reads(data: bytes, channels: int) -> bool:
    """Tells whether Pillow reads the picture, and not one of its `channels` for all."""
    try:
        return plain_pixels(data).shape[2] > 1 or channels == 1
    except Exception:
        return False


def _unknown_range(pictures: Sequence[NDArray[Any]]) -> SslcliError:
    least = min(float(pixels.min()) for pixels in pictures)
    largest = max(float(pixels.max()) for pixels in pictures)
    kind = kind_of(pictures[0].dtype)
    message = f"the pictures' values are {kind}, from {least:g} to {largest:g} in {len(pictures)}"
    message += " of them: which mean black and white is not known"
    return SslcliError(message, f"data.range={outward(least, largest)}")


def _channels(samples: Sequence[_Sample]) -> int:
    """Returns 1 where all are grey, 3 where they are grey or RGB, else the commonest number."""
    counts = Counter(sample.channels for sample in samples)
    if set(counts) <= {1, 3}:
        return max(counts, default=3)
    return counts.most_common(1)[0][0]


def _warnings(samples: Sequence[_Sample], depth: Depth, bits: int | None) -> list[str]:
    said = []
    kinds = sorted({sample.kind for sample in samples}, key=WIDTHS.index)
    if len(kinds) > 1 and bits is None:
        mixed = " and ".join(kinds)
        said.append(f"the pictures are {mixed}: all are kept as {depth.kind}; {CHOICE}")
    if depth.range is not None:
        said += _outside(samples, depth.range)
    largest = max(sample.largest for sample in samples)
    if kinds == ["uint16"] and depth.range is None and largest <= TWELVE_BITS:
        few = f"the largest value of {len(samples)} pictures is {largest:g}, of 65,535"
        said.append(f"{few}: if they have 12 bits, data.range=[0,{TWELVE_BITS}]")
    return said


def _outside(samples: Sequence[_Sample], range_: Range) -> list[str]:
    """Returns how much of the samples' values a range cuts; raises SslcliError where it is all."""
    stored = [sample.stored for sample in samples if sample.stored is not None]
    if not stored:
        return []
    name = f"the {len(stored)} pictures looked at"
    said = warn_outside(reduce(operator.add, stored), name, range_)
    notes = sorted({note for sample in samples for note in sample.notes})
    return [f"{line}; {', '.join(notes)}" if notes else line for line in said]
