"""Decodes a picture whole and upright, and corrects what Pillow misreads."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FLOATS = "its pixels are floating-point numbers, of unknown range"
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for."""
LYING = (5, 6, 7, 8)
"""EXIF's orientations that turn a picture by a quarter."""

GREY_FACTORS = {"L;2": 255 // 3, "L;4": 255 // 15}
"""By which Pillow multiplies grey of 2 and 4 bits, but not the value that is transparent."""

WIDTH, HEIGHT, BITS, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 256, 257, 258, 262, 284, 339
"""Tags of a TIFF."""
MIN_IS_WHITE, SEPARATE_PLANES, SIGNED = 0, 2, 2


def load_upright(image: Image.Image) -> Image.Image:
    """Returns the picture upright (EXIF), in 8 bits but for floating-point numbers.

    Broken EXIF leaves it as it is stored. Raises whatever Pillow raises for pixels that cannot be
    decoded whole, and ValueError for pixels whose range is unknown, or that Pillow would misread.
    """
    stored_as = _storage_mode(image)
    _refuse_misread(image)
    low_bytes = _read_low_bytes(image, stored_as)
    # Outside of what is forgiven: the second time it is asked, Pillow accepts a broken picture.
    image.load()
    picture = _correct(image, stored_as, low_bytes)
    turn = TURNS.get(orientation_of(image))
    return picture if turn is None else picture.transpose(turn)


def is_grey(image: Image.Image) -> bool:
    """Tells whether an opened picture is stored as grey, whatever its pixels are."""
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    return grey or _storage_mode(image) == "LA;16B"  # which Pillow makes RGBA


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Converts to mode L if grey, else RGB; lays transparent pixels on white."""
    if image.mode == "F":
        raise ValueError(FLOATS)
    mode = "L" if is_grey(image) else "RGB"
    if "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba"):
        with_alpha = image.convert("LA" if mode == "L" else "RGBA")
        canvas = Image.new(mode, image.size, "white")
        canvas.paste(with_alpha.convert(mode), mask=with_alpha.getchannel("A"))
        return canvas
    return image if image.mode == mode else image.convert(mode)


def plain_pixels(data: bytes) -> NDArray[np.uint8]:
    """Returns a file's picture, upright, as grey or RGB on white: (H, W, 1 or 3)."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(to_grey_or_rgb(load_upright(image)))
    return pixels.reshape(*pixels.shape[:2], -1)


def _storage_mode(image: Image.Image) -> str:
    """Returns Pillow's name of the storage, such as RGB;16B; empty once decoded."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def orientation_of(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 where it is broken; raises what loading a PNG raises."""
    if image.format == "PNG":
        # Its EXIF may lie behind the pixels, and is not asked for without loading them. Here, as a
        # picture that is loaded again after it has failed counts as whole.
        image.load()
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken EXIF makes Pillow raise almost anything
        return 1


def num_frames(image: Image.Image) -> int:
    """Returns how many frames an opened picture has; 1 where Pillow cannot go through all.

    GDAL puts a mask behind a TIFF's picture, which Pillow does not know.
    """
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # it stands at what it could not read
        image.seek(0)
        return 1


def seen_size(image: Image.Image) -> tuple[int, int]:
    """Returns width and height, upright, of an opened picture that nothing has loaded yet."""
    tags: Any = getattr(image, "tag_v2", None)
    # Pillow gives a TIFF's size as it is seen, by some versions, and others' as it is stored.
    stored = (tags[WIDTH], tags[HEIGHT]) if image.format == "TIFF" else image.size
    return stored[::-1] if orientation_of(image) in LYING else stored


def _refuse_misread(image: Image.Image) -> None:
    tags: Any = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or not tags:
        return
    bits = tags.get(BITS, (1,))
    if tags.get(PLANAR) == SEPARATE_PLANES and len(bits) > 1 and max(bits) > 8:
        raise ValueError(f"its planes of {max(bits)} bits cannot be read: save it interleaved")
    if SIGNED in tags.get(SAMPLE_FORMAT, ()) and max(bits) <= 8:
        raise ValueError("its pixels are signed numbers, of unknown range")


def _read_low_bytes(image: Image.Image, stored_as: str) -> Image.Image | None:
    """Returns the lower bytes of a 16-bit PNG that has a transparent colour.

    Pillow keeps the upper ones only, and would never find the colour.
    """
    file: Any = getattr(image, "fp", None)
    if stored_as != "RGB;16B" or image.format != "PNG" or "transparency" not in image.info:
        return None
    position = file.tell()
    file.seek(0)
    again: Any = Image.open(file)
    again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
    again.load()
    file.seek(position)
    return again  # type: ignore[no-any-return]


def _correct(image: Image.Image, stored_as: str, low_bytes: Image.Image | None) -> Image.Image:
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        grey = _to_eight_bits(image, stored_as)
        if not isinstance(key, int):
            return grey
        return Image.merge("LA", (grey, _alpha_channel(np.asarray(image) != key)))
    if stored_as == "LA;16B":
        return Image.merge("LA", (image.getchannel(0), image.getchannel("A")))
    if stored_as in GREY_FACTORS and image.format == "PNG" and isinstance(key, int):
        image.info["transparency"] = key * GREY_FACTORS[stored_as]
    if image.mode == "RGB" and (
        low_bytes is not None or (isinstance(key, tuple) and max(key) > 255)
    ):
        assert isinstance(key, tuple)
        return _with_transparent_colour(image, key, low_bytes)
    return image


def _with_transparent_colour(
    image: Image.Image, colour: tuple[int, ...], low_bytes: Image.Image | None
) -> Image.Image:
    """Makes `colour`, of 16-bit numbers, transparent."""
    numbers = np.asarray(image).astype(np.int64) * 256
    if low_bytes is None:  # decoded before it was given to us
        colour = tuple(number // 256 * 256 for number in colour)
    else:
        numbers += np.asarray(low_bytes)
    return Image.merge("RGBA", (*image.split(), _alpha_channel((numbers != colour).any(2))))


def _alpha_channel(opaque: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(opaque.astype(np.uint8) * np.uint8(255))


def _to_eight_bits(image: Image.Image, stored_as: str) -> Image.Image:
    """Scales 0..65535, or 12 bits, to 0..255; Pillow would cut off all above 255."""
    pixels: NDArray[Any] = np.asarray(image).astype(np.int64)
    most = 4095 if stored_as == "I;12" else 65535
    if pixels.min() < 0 or pixels.max() > most:
        raise ValueError("its pixels are 32-bit numbers, of unknown range")
    tags: Any = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags and tags.get(PHOTOMETRIC) == MIN_IS_WHITE:
        pixels = most - pixels
    return Image.fromarray(((pixels * 255 + most // 2) // most).astype(np.uint8))
