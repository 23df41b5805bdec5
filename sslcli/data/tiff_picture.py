"""Reads TIFF pictures of many channels, of 16 bits, or of floats, through tifffile."""

from __future__ import annotations

import io
import logging
import re
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sslcli.data.deep_picture import DeepPicture, MissingPackage, upright
from sslcli.data.stored_picture import (
    BITS,
    MIN_IS_WHITE,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    SEPARATE_PLANES,
    orientation_of,
)

EXTRA_SAMPLES, SAMPLES = 338, 277
MIN_IS_BLACK, RGB = 1, 2
OF_BRIGHTNESS = (MIN_IS_WHITE, MIN_IS_BLACK, RGB)
GREY = (MIN_IS_WHITE, MIN_IS_BLACK)
DESCRIPTION = 270
STACK = re.compile(r'ImageJ=.*\nimages=(?!1\b)|\{"shape":.*"truncated": true', re.DOTALL)
"""What the descriptions of ImageJ, and of tifffile, say where pages have no directory."""
NAMED_FRAMES = "TZ"
"""The axes of a series that are certainly no channels: time and depth."""
NO_ALPHA, PREMULTIPLIED, ALPHAS = 0, 1, (1, 2)
"""What the extra samples of a TIFF may mean: not said, or alpha, premultiplied or not."""
MADE_16 = "its {} bits a channel become 16"
PLACE_ON_EARTH = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
"""GeoTIFF's tags, and GDAL's, which say where a picture lies, and which value means no data."""


class Complaints(logging.Handler):
    """Keeps what a library logs as errors, a thread's apart: without a handler it is printed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self.since_start().append(record.getMessage())

    def since_start(self, start: bool = False) -> list[str]:
        """Returns what this thread's reading was complained of; `start` begins anew."""
        if start or not hasattr(self._of_thread, "lines"):
            self._of_thread.lines = []
        lines: list[str] = self._of_thread.lines
        return lines


COMPLAINTS = Complaints()
for _library in ("PIL.TiffImagePlugin", "tifffile"):
    logging.getLogger(_library).addHandler(COMPLAINTS)


def read_tiff(data: bytes) -> DeepPicture | None:
    """Returns the picture; None where Pillow reads all of it: grey or RGB of 8 bits.

    Raises ValueError where the pages may be channels as well as frames, and for what is missing.
    """
    if is_plain_tiff(data):
        return None
    try:
        import tifffile
    except ImportError:
        return _read_grey(data, MissingPackage("tifffile", "tiff"))
    complaints = COMPLAINTS.since_start(start=True)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        page: Any = series.keyframe
        if int(page.photometric) not in OF_BRIGHTNESS:
            raise ValueError(f"its pixels are {page.photometric.name}, which are no brightness")
        _require_samples(page)
        try:
            values = series.asarray()
        except Exception as error:  # of several types, by the compression
            if "imagecodecs" not in str(error):
                raise
            return _read_grey(data, ValueError(f"{error}: pip install imagecodecs"))
        pixels, notes = _arranged(values, series.axes)
        extra = tuple(map(int, page.extrasamples))
        bits = int(page.bitspersample)
        is_white_0 = int(page.photometric) == MIN_IS_WHITE
        turn = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
        tags = tuple(
            (tag.code, int(tag.dtype), tag.count, tag.value, True)
            for tag in page.tags
            if tag.code in PLACE_ON_EARTH
        )
    if complaints:  # tifffile goes on without what it cannot read
        raise ValueError(f"it is damaged: {complaints[0]}")
    if 0 in pixels.shape or pixels.dtype == np.bool_:
        raise ValueError(f"its {pixels.shape} values are {pixels.dtype}")
    if 8 < bits < 16 and pixels.dtype == np.uint16:
        pixels, notes = of_16_bits(pixels, bits), (*notes, MADE_16.format(bits))
    alpha = None
    if len(extra) == 1 and extra[0] in ALPHAS and pixels.shape[2] in (2, 4):
        if pixels.dtype.name not in ("uint8", "uint16"):
            raise ValueError(f"its alpha is {pixels.dtype}: save it without")
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
        pixels = _unmultiplied(pixels, alpha) if extra[0] == PREMULTIPLIED else pixels
    if is_white_0 and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    turned = None if alpha is None else upright(alpha, int(turn))
    return DeepPicture(upright(pixels, int(turn)), turned, tags, notes)


def _require_samples(page: Any) -> None:
    """Raises ValueError where the tags disagree on how many samples a pixel has: it is damaged."""
    samples, described = int(page.samplesperpixel), BITS in page.tags and page.tags[BITS].count
    too_few = int(page.photometric) == RGB and samples < 3
    if too_few or (described > 1 and described != samples):
        raise ValueError(f"it is damaged: {samples} samples a pixel, and bits of {described}")


def is_plain_tiff(data: bytes) -> bool:
    """Tells whether Pillow reads the picture and cuts nothing off."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            tags: Any = image.tag_v2
            deep = max(tags.get(BITS, (1,))) > 8 or image.mode == "F"
            extra = tags.get(EXTRA_SAMPLES, ())
            unknown = tags.get(PHOTOMETRIC) in OF_BRIGHTNESS and NO_ALPHA in extra
            # Of grey in a plane of its own Pillow takes what is opaque for transparent.
            planes = tags.get(PLANAR) == SEPARATE_PLANES and tags.get(SAMPLES) == 2
            if deep or unknown or planes:
                return False
            return not (_may_hold_more(image) and _may_be_channels(data))
    except UnidentifiedImageError:
        return False


def _may_hold_more(image: Image.Image) -> bool:
    """Tells whether 8 bits of grey may not be all: a second page, which it goes to, is as large.

    Or the file says so: some programs put many pages behind one directory, that of the first.
    """
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    if tags.get(PHOTOMETRIC) not in GREY or tags.get(BITS) != (8,):
        return False
    if STACK.match(str(tags.get(DESCRIPTION, ""))):
        return True
    first = (image.mode, image.size)
    try:
        image.seek(1)
    except Exception:  # there is none, or its directory is damaged, which the first page is not
        return False
    return (image.mode, image.size) == first


def _may_be_channels(data: bytes) -> bool:
    """Tells whether grey pages may be channels; without tifffile they may."""
    try:
        import tifffile
    except ImportError:
        return True
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return pages_belong_together(file)


def has_named_frames(data: bytes) -> bool:
    """Tells whether a TIFF's pages are times or depths, by their names; without tifffile not."""
    try:
        import tifffile
    except ImportError:
        return False
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return _name_frames(file.series[0].axes)


def _name_frames(axes: str) -> bool:
    """Tells whether axes name frames, and no channels beside them."""
    return bool(set(axes) & set(NAMED_FRAMES)) and "C" not in axes


def pages_belong_together(file: Any) -> bool:
    """Tells whether the first page of an opened TIFF is not the whole picture, or may not be.

    Of 8 bits a colour that is RGB, or whose axes name frames, the first page is the picture.
    """
    page, series = file.pages[0], file.series[0]
    if series.size == page.size:  # other pages are smaller copies
        return False
    if int(page.bitspersample) > 8:
        return True
    return int(page.photometric) in GREY and not _name_frames(series.axes)


def _arranged(array: NDArray[Any], axes: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Returns (H, W, C) of an array whose axes have tifffile's names, and notes."""
    kept = [index for index, length in enumerate(array.shape) if length > 1 or axes[index] in "YX"]
    names = "".join(axes[index] for index in kept)
    array = array.reshape([array.shape[index] for index in kept])
    frames = [name for name in names if name not in "YXSC"]
    channels = [name for name in names if name in "SC"]
    if frames or len(channels) > 1:
        shape = "x".join(map(str, array.shape))
        fix = "save the channels interleaved, (H, W, C), or name them: metadata={'axes': 'CYX'}; "
        fix += "save each frame as a file of its own"
        raise ValueError(f"its {shape} values ({names}) may be frames or channels: {fix}")
    if not channels:
        return array[..., None], ()
    return np.moveaxis(array, names.index(channels[0]), -1), ()


def of_16_bits(values: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Scales values of fewer bits, so that the largest is 65,535."""
    most = 2**bits - 1
    scaled: NDArray[np.int64] = (values.astype(np.int64) * 65535 + most // 2) // most
    return scaled.astype(np.uint16)


def _unmultiplied(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Undoes the product with alpha, as Pillow does of 8 bits; what has alpha 0 stays."""
    white, share = int(np.iinfo(pixels.dtype).max), np.maximum(alpha, 1).astype(np.int64)[..., None]
    colours = ((pixels.astype(np.int64) * white + share // 2) // share).clip(0, white)
    return np.where(alpha[..., None] > 0, colours, pixels).astype(pixels.dtype)


def _read_grey(data: bytes, otherwise: ValueError) -> DeepPicture:
    """Reads what Pillow can: grey of 12 or 16 bits, or of floats; else raises `otherwise`."""
    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise otherwise from None
    with opened as image:
        if image.mode not in ("I;16", "I;16B", "F"):
            raise otherwise
        kind = np.float32 if image.mode == "F" else np.uint16
        bits = int(image.tag_v2.get(BITS, (16,))[0])
        pixels = np.asarray(image).astype(kind)[..., None]
        notes: tuple[str, ...] = ()
        if bits < 16:
            pixels, notes = of_16_bits(pixels, bits), (MADE_16.format(bits),)
        if image.tag_v2.get(PHOTOMETRIC) == MIN_IS_WHITE and image.mode != "F":
            pixels = np.uint16(65535) - pixels
        return DeepPicture(upright(pixels, orientation_of(image)), notes=notes)
