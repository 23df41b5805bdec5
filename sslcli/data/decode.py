"""Picture files -> pixels: every mode of PIL made grey or colour, upright, square, 8 bits."""

from __future__ import annotations

import struct
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sslcli.data.images import Track
from sslcli.data.resize import in_threads, square


@dataclass(frozen=True)
class Decoded:
    """`images` (N, R, R, C); `bad`: why a picture could not be decoded, by index; its pixels mean nothing."""

    images: NDArray[np.uint8]
    bad: dict[int, str]


def decode_files(paths: list[str], resolution: int, channels: int | None, workers: int | None, track: Track) -> Decoded:
    """Decodes every file, in threads; the result is the same for any number of them.

    `channels` 1 or 3; None: 1 where every picture is grey, else 3. Transparent pixels are laid on white.
    """
    mode = "L" if channels == 1 else "RGB"
    images = np.empty((len(paths), resolution, resolution, 1 if channels == 1 else 3), dtype=np.uint8)

    def fill(index: int) -> str | Exception:
        try:
            picture = decode(paths[index], resolution)
        except Exception as error:  # a broken file makes PIL raise almost anything
            return error
        images[index] = np.asarray(picture.convert(mode)).reshape(images.shape[1:])
        return picture.mode

    outcomes = track(in_threads(fill, len(paths), workers), total=len(paths), label="decoding pictures")
    with warnings.catch_warnings():  # here, not in the threads, for whom it would not be safe
        warnings.simplefilter("ignore")
        modes_or_errors = list(outcomes)
    bad = {i: _reason(error) for i, error in enumerate(modes_or_errors) if isinstance(error, Exception)}
    if channels is None and "RGB" not in modes_or_errors:
        images = images[..., :1].copy()
    return Decoded(images, bad)


def decode(path: str | Path, resolution: int) -> Image.Image:
    """The picture in mode L or RGB, `resolution` square. Of an animation, the first frame.

    Raises: whatever PIL raises for a broken file; ValueError for pixels whose range is anyone's guess.
    """
    with Image.open(path) as image:
        image.draft(None, (2 * resolution, 2 * resolution))  # a JPEG much larger is decoded at 1/2, 1/4 or 1/8
        with suppress(OSError, ValueError, SyntaxError, TypeError, struct.error):  # broken EXIF, whole picture
            ImageOps.exif_transpose(image, in_place=True)
        return square(plain(image), resolution)


def plain(image: Image.Image) -> Image.Image:
    """The same picture in mode L where it is grey, else RGB."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, of unknown range")
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba"):
        with_alpha = image.convert("LA" if mode == "L" else "RGBA")
        canvas = Image.new(mode, image.size, "white")
        canvas.paste(with_alpha.convert(mode), mask=with_alpha.getchannel("A"))
        return canvas
    return image.convert(mode)


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scales 0..65535 to 0..255. (PIL's own conversion cuts everything above 255 off.)"""
    pixels: NDArray[Any] = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("its pixels are 32-bit numbers, of unknown range")
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
