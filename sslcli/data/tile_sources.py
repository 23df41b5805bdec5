"""Reads parts of large pictures: whole once, or, of tiled TIFFs, only the parts that are wanted."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sslcli.data.deep_files import read_deep
from sslcli.data.scan import Listing
from sslcli.data.stored_picture import plain_pixels, seen_size
from sslcli.data.tiled_tiff import TiledTiff
from sslcli.preprocessing import Range
from sslcli.threads import available_cores

Box = tuple[int, ...]
"""Left, top, right, bottom, in pixels of the picture seen upright."""
LOOKED_AT = 64
"""Pixels a side of a tile, about, by which it is told whether it is empty."""
NEAR = 8 / 255
"""How far a value may be from the tile's median to count as nearly the same colour."""
MOST_BYTES = 2**30
"""Bytes of whole pictures that are kept, beyond the last one."""


@dataclass
class Source:
    """Holds a picture that is opened, or decoded, when it is first asked for."""

    lock: Lock = field(default_factory=Lock)
    is_opened: bool = False
    tiff: TiledTiff | None = None
    pixels: NDArray[Any] | None = None


class Sources:
    """Reads boxes of the pictures of a listing, from any thread.

    Pictures are decoded whole, and the last ones are kept: a few, as threads work on neighbouring
    ones. Of a tiled TIFF in a folder that tifffile decodes, only what a box touches is read.
    `range_`: `data.range`, which stands for a DICOM's window.
    """

    def __init__(self, listing: Listing, workers: int | None, range_: Range | None = None) -> None:
        self.listing = listing
        self._range = range_
        self._most = 1 + (workers or available_cores())
        self._lock = Lock()
        self._kept: OrderedDict[int, Source] = OrderedDict()

    def size(self, row: int) -> tuple[int, int]:
        """Returns height and width of a picture, seen upright, from its header if it has one."""
        tiff = self._tiff(row)
        if tiff is not None:
            return tiff.size
        source = self._file(row) or io.BytesIO(self.listing.read(row))
        try:
            with Image.open(source) as image:
                width, height = seen_size(image)
                return height, width
        except UnidentifiedImageError:
            height, width = self._whole(row).shape[:2]
            return height, width

    def read(self, row: int, box: Box) -> bytes:
        """Returns a file with the pixels of a box, of the picture's depth and channels."""
        pixels = self.pixels(row, box)
        content = io.BytesIO()
        if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
            grey = pixels.shape[2] == 1
            Image.fromarray(pixels[..., 0] if grey else pixels).save(
                content, "PNG", compress_level=0
            )
        else:
            np.save(content, pixels)
        return content.getvalue()

    def pixels(self, row: int, box: Box) -> NDArray[Any]:
        """Returns the pixels of a box, (h, w, C)."""
        left, top, right, bottom = box
        tiff = self._tiff(row)
        if tiff is not None:
            return tiff.pixels(box)
        whole = self._whole(row)
        return np.ascontiguousarray(whole[top:bottom, left:right] if right else whole)

    def empty_part(self, row: int, box: Box) -> float:
        """Returns the part of a box whose pixels are near the median in every channel.

        Of a large one, evenly spaced pixels are looked at.
        """
        pixels = self.pixels(row, box)
        down, across = (max(1, length // LOOKED_AT) for length in pixels.shape[:2])
        pixels = pixels[::down, ::across]
        values = pixels.reshape(-1, pixels.shape[2]).astype(np.float32)
        # What means white is known of 8 bits alone; too low a guess leaves no tile out.
        scale = 255.0 if pixels.dtype == np.uint8 else float(np.abs(values).max()) or 1.0
        away = np.abs(values - np.median(values, axis=0)) / scale
        return float((away <= NEAR).all(axis=1).mean())

    def _file(self, row: int) -> Path | None:
        """Returns the path of a picture that is a file of its own."""
        return Path(self.listing.path(row)) if type(self.listing) is Listing else None

    def _source(self, row: int) -> Source:
        with self._lock:
            source = self._kept.setdefault(row, Source())
            self._kept.move_to_end(row)
            self._forget()
        return source

    def _tiff(self, row: int) -> TiledTiff | None:
        file = self._file(row)
        if file is None:
            return None
        source = self._source(row)
        with source.lock:
            if not source.is_opened:
                source.tiff, source.is_opened = TiledTiff.open(file), True
            return source.tiff

    def _whole(self, row: int) -> NDArray[Any]:
        source = self._source(row)
        with source.lock:
            if source.pixels is None:
                source.pixels = whole_pixels(self.listing.read(row), self._range)
            return source.pixels

    def _forget(self) -> None:
        """Forgets the oldest pictures beyond the number and the bytes that are kept."""
        decoded = [source.pixels for source in self._kept.values() if source.pixels is not None]
        total = sum(pixels.nbytes for pixels in decoded)
        while len(self._kept) > self._most or (len(self._kept) > 1 and total > MOST_BYTES):
            _, oldest = self._kept.popitem(last=False)
            total -= 0 if oldest.pixels is None else oldest.pixels.nbytes


def whole_pixels(data: bytes, range_: Range | None = None) -> NDArray[Any]:
    """Returns a picture's pixels (H, W, C), upright, laid on white where transparent.

    What is cut from them is a file that `range_` is applied to, if there is one.
    """
    deep = read_deep(data, range_)
    if deep is None:
        return plain_pixels(data)
    if deep.is_unit and range_ is not None:
        low, high = range_
        return low + deep.pixels.astype(np.float64) * (high - low)
    return deep.on_white
