"""Tells of one picture what can be known without training: from its header and a small copy."""

from __future__ import annotations

import hashlib
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from sslcli.data.decode import reason_of
from sslcli.data.deep_files import read_deep
from sslcli.data.deep_picture import DeepPicture
from sslcli.data.stored_picture import (
    TURNS,
    load_upright,
    num_frames,
    orientation_of,
    seen_size,
    to_grey_or_rgb,
)
from sslcli.tools.inspect.near_duplicates import SIDE, SMALL, WINDOWS

COPY = 64
"""Side of the small copy: the whole picture, pressed into a square."""
LEAST_COLOUR = 8
"""Levels by which a pixel's channels differ in a picture that is not grey (JPEG's rounding: 3)."""
FACTS = np.dtype(
    [
        ("width", np.int32),
        ("height", np.int32),
        ("channels", np.int16),
        ("bits", np.int16),
        ("floats", np.bool_),
        ("frames", np.int32),
        ("turned", np.bool_),
        ("alpha", np.bool_),
        ("coloured", np.bool_),
        ("deep", np.bool_),
        ("mean", np.float32),
        ("deviation", np.float32),
        ("format", "U8"),
    ]
)
"""Of a picture: width and height upright; channels without alpha, and the bits of each, as stored;
whether EXIF turns it; whether any pixel is coloured; whether it is
deep, of which Pillow does not read all; mean and deviation of the small copy's grey.
"""
NO_WINDOWS = np.zeros((len(WINDOWS), 0, 0), dtype=np.uint8)
TIFF_BITS, TIFF_CHANNELS, TIFF_FORMAT, TIFF_WIDTH, TIFF_HEIGHT = 258, 277, 339, 256, 257
TIFF_FLOATS = 3
PNG_START, PNG_BITS = b"\x89PNG\r\n\x1a\n", 24
CHANNELS = {"1": 1, "L": 1, "LA": 1, "La": 1, "F": 1, "CMYK": 4}
"""Of PIL's modes, without alpha; grey with more bits begins with I, all others have 3."""


class Look(NamedTuple):
    """Holds what one look at a picture gave.

    `facts`: one of FACTS. uint8: `copy` (COPY, COPY, 3), and of WINDOWS `grey` (W, SIDE, SIDE) and
    `small` (W, SMALL, SMALL). `digest`: 16 bytes, of the file's or the array's bytes. `broken`: why
    the pixels cannot be had, though the header can; the copies mean nothing then.
    """

    facts: NDArray[Any]
    copy: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    small: NDArray[np.uint8]
    digest: bytes
    broken: str | None = None


def look_at_bytes(data: bytes) -> Look:
    """Looks at a picture file's content; raises whatever PIL raises for what is none."""
    facts = np.zeros((), dtype=FACTS)
    digest = hashlib.sha256(data).digest()[:16]
    try:
        deep = read_deep(data)
        if deep is not None:
            _describe(facts, deep, data)
            return _looked(facts, _shown(deep.on_white), digest)
        with Image.open(io.BytesIO(data)) as image:
            _read_header(facts, image, data)
            upright = _decoded(image, COPY)
    except Exception as reason:  # PIL raises almost anything
        if not facts["width"]:
            _read_tiff_header(facts, data)
        if not facts["width"]:
            raise
        nothing = np.zeros((COPY, COPY, 3), dtype=np.uint8)
        return Look(facts, nothing, NO_WINDOWS, NO_WINDOWS, digest, reason_of(reason))
    return _looked(facts, upright, digest)


def _decoded(image: Image.Image, side: int) -> Image.Image:
    """Returns a picture upright, in mode L or RGB, of twice `side` pixels or a little more."""
    image.draft(None, (2 * side, 2 * side))
    return to_grey_or_rgb(load_upright(image))


def thumbnail(content: bytes | NDArray[Any], side: int) -> Image.Image:
    """Returns a picture upright, at most `side` pixels wide and high; raises as `look_at_bytes`."""
    deep = read_deep(content) if isinstance(content, bytes) else None
    if deep is not None:
        upright = _shown(deep.on_white)
    elif isinstance(content, bytes):
        with Image.open(io.BytesIO(content)) as image:
            upright = _decoded(image, side)
    else:
        upright = _shown(content if content.ndim == 3 else content[..., None])
    upright.thumbnail((side, side))
    return upright


def look_at_pixels(pixels: NDArray[Any]) -> Look:
    """Looks at an array (H, W) or (H, W, C) of whole numbers or floats."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    facts = np.zeros((), dtype=FACTS)
    facts["height"], facts["width"], facts["channels"] = pixels.shape
    facts["bits"], facts["floats"] = 8 * pixels.itemsize, pixels.dtype.kind == "f"
    facts["frames"], facts["format"] = 1, "array"
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()[:16]
    return _looked(facts, _shown(pixels), digest)


def _shown(pixels: NDArray[Any]) -> Image.Image:
    """Returns pixels (H, W, C) as a picture.

    Of more than 3 channels the first three are shown, of 2 the first. Numbers that are not uint8
    are shown from the picture's least to its largest.
    """
    shown = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    if pixels.dtype != np.uint8:
        numbers = np.nan_to_num(shown.astype(np.float64), posinf=0, neginf=0)
        low, high = numbers.min(), numbers.max()
        shown = np.round((numbers - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(shown[..., 0] if shown.shape[2] == 1 else shown))


def _looked(facts: NDArray[Any], upright: Image.Image, digest: bytes) -> Look:
    size, smooth = (COPY, COPY), Image.Resampling.BILINEAR
    copy = upright.resize(size, smooth, reducing_gap=2.0)
    grey = copy.convert("L")
    colours = np.asarray(copy.convert("RGB"))
    levels = np.asarray(grey)
    facts["coloured"] = copy.mode == "RGB" and int(np.ptp(colours, axis=2).max()) >= LEAST_COLOUR
    facts["mean"], facts["deviation"] = levels.mean(), levels.std()
    windows = [_window(grey, share) for share in WINDOWS]
    small = np.stack([np.asarray(window.reduce(SIDE // SMALL)) for window in windows])
    return Look(facts, colours, np.stack([np.asarray(window) for window in windows]), small, digest)


def _window(grey: Image.Image, share: float) -> Image.Image:
    """Returns the middle of a picture, without a share of it at each side."""
    low, high = share * COPY, (1 - share) * COPY
    return grey.resize((SIDE, SIDE), Image.Resampling.BOX, box=(low, low, high, high))


def _describe(facts: NDArray[Any], deep: DeepPicture, data: bytes) -> None:
    """Fills in the facts of a picture of more than 8 bits, or of other channels than Pillow's."""
    facts["height"], facts["width"], facts["channels"] = deep.pixels.shape
    facts["bits"], facts["floats"] = 8 * deep.pixels.itemsize, deep.pixels.dtype.kind == "f"
    facts["deep"], facts["frames"], facts["alpha"] = True, 1, deep.alpha is not None
    known = {PNG_START[:4]: "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"\x93NUM": "NPY"}
    facts["format"] = known.get(data[:4], "TIFF" if data[:2] in (b"II", b"MM") else "DICOM")
    try:
        with Image.open(io.BytesIO(data)) as image:
            facts["turned"] = orientation_of(image) in TURNS
    except Exception:  # Pillow does not know all that can be read
        facts["turned"] = False


def _read_header(facts: NDArray[Any], image: Image.Image, data: bytes) -> None:
    facts["format"] = image.format or "?"
    facts["channels"] = 1 if image.mode.startswith("I") else CHANNELS.get(image.mode, 3)
    facts["bits"], facts["floats"] = _depth(image, data)
    has_alpha = "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba")
    facts["alpha"] = has_alpha
    facts["frames"] = 1 if image.format == "MPO" else num_frames(image)
    facts["width"], facts["height"] = image.size  # what is known of a damaged PNG
    facts["turned"] = orientation_of(image) in TURNS
    facts["width"], facts["height"] = seen_size(image)


def _depth(image: Image.Image, data: bytes) -> tuple[int, bool]:
    """Returns the bits of a channel, and whether they are a floating-point number."""
    tags: Any = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags:
        return max(tags.get(TIFF_BITS, (1,))), TIFF_FLOATS in tags.get(TIFF_FORMAT, ())
    if data.startswith(PNG_START):
        return data[PNG_BITS], False
    by_mode = {"1": 1, "I": 32, "F": 32}
    return (16 if "16" in image.mode else by_mode.get(image.mode, 8)), image.mode == "F"


def _read_tiff_header(facts: NDArray[Any], data: bytes) -> None:
    """Reads the tags of a TIFF of more channels or bits than PIL knows."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        facts["height"], facts["channels"] = tags[TIFF_HEIGHT], tags.get(TIFF_CHANNELS, 1)
        facts["bits"], facts["frames"], facts["format"] = max(tags.get(TIFF_BITS, (1,))), 1, "TIFF"
        facts["floats"] = TIFF_FLOATS in tags.get(TIFF_FORMAT, ())
        facts["width"] = tags[TIFF_WIDTH]
    except Exception:  # a broken file
        facts["width"] = 0
