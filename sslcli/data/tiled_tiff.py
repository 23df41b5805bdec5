"""Reads boxes of a tiled TIFF, of which nothing else is read."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.stored_picture import ORIENTATION
from sslcli.data.tiff_picture import MIN_IS_BLACK, RGB, pages_belong_together

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class TiledTiff:
    """Holds the first page as tifffile has read it, and where its pieces are in the file."""

    path: Path
    page: Any
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @classmethod
    def open(cls, path: Path) -> TiledTiff | None:
        """Opens a file; None where it is no tiled TIFF, or holds what must be read whole.

        That is what is turned, transparent, of several pages that may be channels, or compressed
        in a way that tifffile alone does not decode.
        """
        if path.suffix.lower() not in SUFFIXES or find_spec("tifffile") is None:
            return None
        import tifffile

        try:
            with tifffile.TiffFile(path) as tiff:
                page: Any = tiff.pages[0]
                if not _is_plain(page) or pages_belong_together(tiff):
                    return None
                # Read now, while the file is open.
                return cls(path, page, tuple(page.dataoffsets), tuple(page.databytecounts))
        except tifffile.TiffFileError:  # no TIFF; who decodes it whole says what it is
            return None

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width."""
        return int(self.page.imagelength), int(self.page.imagewidth)

    def pixels(self, box: tuple[int, ...]) -> NDArray[Any]:
        """Returns the pixels (h, w, C) of left, top, right, bottom, from any thread."""
        page, (left, top, right, bottom) = self.page, box
        tall, wide = page.tilelength, page.tilewidth
        across = -(-page.imagewidth // wide)
        shape = (bottom - top, right - left, page.samplesperpixel)
        region = np.full(shape, page.nodata, dtype=page.dtype)
        for row in range(top // tall, -(-bottom // tall)):
            for column in range(left // wide, -(-right // wide)):
                found = self._piece(row * across + column)
                if found is None:
                    continue  # one that a sparse file leaves out: 0, or what GDAL says is no data
                y, x = row * tall, column * wide
                from_y, from_x = max(top, y), max(left, x)
                to_y, to_x = min(bottom, y + found.shape[0]), min(right, x + found.shape[1])
                part = found[from_y - y : to_y - y, from_x - x : to_x - x]
                region[from_y - top : to_y - top, from_x - left : to_x - left] = part
        return region.astype(region.dtype.newbyteorder("="), copy=False)

    def _piece(self, index: int) -> NDArray[Any] | None:
        """Returns a piece of the file (h, w, C); raises ValueError where the file ends before."""
        length = self.lengths[index]
        if not length:
            return None
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offsets[index])
            data = file.read(length)
        if len(data) < length:
            raise ValueError("the file ends before its pixels do")
        piece: NDArray[Any] = self.page.decode(data, index)[0][0]
        return piece


def _is_plain(page: Any) -> bool:
    """Tells whether the tiles of a page hold grey, RGB or more channels as they are."""
    turned = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
    compression = page.compression.name in ("NONE", "ADOBE_DEFLATE", "DEFLATE")
    extra = not page.extrasamples or set(map(int, page.extrasamples)) == {0}
    plain = int(page.photometric) in (MIN_IS_BLACK, RGB) and page.dtype is not None
    contiguous = page.planarconfig == 1 and page.imagedepth == 1
    whole_bytes = page.bitspersample in (8, 16, 32)
    return bool(
        whole_bytes
        and page.is_tiled
        and turned == 1
        and compression
        and extra
        and plain
        and contiguous
    )
