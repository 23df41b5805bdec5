"""Decodes picture files to pixels: grey or colour, upright, square, 8 bits."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sslcli.data.depth import Depth, refuse_deep, refuse_part
from sslcli.data.depth import depth_of as depth_of
from sslcli.data.images import Pixels
from sslcli.data.resize import MIDDLE, Framing
from sslcli.data.stored_picture import FLOATS, is_grey, load_upright, to_grey_or_rgb
from sslcli.threads import map_in_threads

T = TypeVar("T")

GREY, COLOUR = 1, 2
RECORD = 17
"""Bytes that are kept of a file that was read: the first 16 of its SHA-256, and GREY or COLOUR.

Zeros: not known.
"""


@dataclass(frozen=True)
class DecodeOptions:
    """Says how pictures are decoded.

    `channels` None: 1 where every picture is grey, else 3; `workers` None: a thread a core. `depth`
    None: they are grey or RGB of 8 bits. `cuts`: others become so; else they are refused.
    """

    resolution: int
    channels: int | None
    workers: int | None
    depth: Depth | None = None
    cuts: bool = True
    framing: Framing = MIDDLE

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("uint8" if self.depth is None else self.depth.kind)

    @property
    def stored_channels(self) -> int:
        """Returns how many channels there is room for: grey pictures are found out later."""
        return (self.channels or 3) if self.depth is None else self.depth.channels

    @property
    def picture_bytes(self) -> int:
        return self.resolution**2 * self.stored_channels * self.dtype.itemsize

    def refuse(self, data: bytes) -> None:
        """Raises ValueError for a picture of which grey or RGB of 8 bits may not be taken."""
        refuse = refuse_part if self.cuts else refuse_deep
        refuse(data)

    @property
    def name(self) -> str:
        """Names what is decoded, in the names of caches."""
        plain = f"{self.resolution}x{self.stored_channels}{self.framing.name}"
        plain = plain if self.depth is None else f"{plain}_{self.depth.name}"
        return f"{plain}_cut" if self.cuts else plain

    @property
    def checked_name(self) -> str:
        """Names what is no bad picture, in the names of caches."""
        depth = "" if self.depth is None else f"_{self.depth.channels}x{self.depth.name}"
        return f"checked{depth}{'_cut' if self.cuts else ''}"


@dataclass(frozen=True)
class Decoded:
    """Holds N decoded pictures.

    `images` (N, R, R, C); `records` (N, RECORD) uint8; `bad`: why a picture could not be decoded,
    by index; its pixels mean nothing.
    """

    images: Pixels
    records: NDArray[np.uint8]
    bad: dict[int, str]


def num_channels(records: NDArray[np.uint8], options: DecodeOptions) -> int:
    """Returns the channels asked for; if None, 1 where every good picture is grey, else 3."""
    if options.depth is not None:
        return options.depth.channels
    return options.channels or (3 if num_coloured(records) else 1)


def num_coloured(records: NDArray[np.uint8]) -> int:
    """Counts the pictures that are stored in colour."""
    return int((records[:, -1] == COLOUR).sum())


def record_of(data: bytes, kind: int) -> bytes:
    return hashlib.sha256(data).digest()[: RECORD - 1] + bytes([kind])


def store_outcome(
    outcome: bytes | Exception, row: int, records: NDArray[np.uint8], bad: dict[int, str]
) -> None:
    """Stores a picture's record, or why it could not be decoded."""
    if isinstance(outcome, Exception):
        bad[row] = reason_of(outcome)
    else:
        records[row] = np.frombuffer(outcome, dtype=np.uint8)


def read_each(read: Callable[[int], T], count: int, workers: int | None) -> Iterator[T | Exception]:
    """Yields read(0), ..., read(count - 1) in order, from threads, or what PIL raised.

    A broken file makes it raise almost anything. PIL's warnings are kept from the user.
    """

    def attempt(index: int) -> T | Exception:
        try:
            return read(index)
        except Exception as error:
            return error

    with warnings.catch_warnings():  # here, not in the threads, for whom it would not be safe
        warnings.simplefilter("ignore")
        yield from map_in_threads(attempt, count, workers)


def decoded(data: bytes, options: DecodeOptions, channels: int) -> tuple[NDArray[Any], int]:
    """Returns pixels (R, R, C) of a file's content, and GREY or COLOUR, which the file has.

    Raises what Pillow and other readers raise, and ValueError for pixels that cannot be kept.
    """
    if options.depth is not None:
        pixels, stored = options.depth.pixels(data, options.resolution, options.framing)
        return pixels, GREY if stored == 1 else COLOUR
    options.refuse(data)
    return decoded_pixels(io.BytesIO(data), options.resolution, channels, options.framing)


def looked_at(data: bytes, options: DecodeOptions) -> int:
    """Returns GREY or COLOUR without decoding, where that suffices; raises as `decoded`."""
    if options.depth is not None:
        return decoded(data, options, options.depth.channels)[1]
    options.refuse(data)
    return kind_of(io.BytesIO(data))


def decoded_pixels(
    source: str | Path | IO[bytes],
    resolution: int,
    channels: int,
    framing: Framing = MIDDLE,
) -> tuple[NDArray[np.uint8], int]:
    """Returns pixels (R, R, C), and GREY or COLOUR; raises as `decode`."""
    picture = decode(source, resolution, framing)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels.reshape(resolution, resolution, channels), GREY if picture.mode == "L" else COLOUR


def kind_of(source: IO[bytes]) -> int:
    """Returns GREY or COLOUR, from the header alone; raises what PIL raises."""
    with Image.open(source) as image:
        if image.mode == "F":
            raise ValueError(FLOATS)
        return GREY if is_grey(image) else COLOUR


def decode(
    source: str | Path | IO[bytes], resolution: int, framing: Framing = MIDDLE
) -> Image.Image:
    """Returns the picture in mode L or RGB, `resolution` square.

    Of an animation, it is the first frame. Raises whatever PIL raises for a broken file, and
    ValueError for pixels of unknown range.
    """
    with Image.open(source) as image:
        # A JPEG much larger is decoded at 1/2, 1/4 or 1/8.
        image.draft(None, (2 * resolution, 2 * resolution))
        return framing(to_grey_or_rgb(load_upright(image)), resolution)


def reason_of(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
