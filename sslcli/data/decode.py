"""Picture files -> pixels: every mode of PIL made grey or colour, upright, square, 8 bits."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sslcli.data.images import Pixels, Track
from sslcli.data.resize import in_threads, square

GREY, COLOUR = 1, 2
RECORD = 17
"""Bytes that are kept of a file that was read: the first 16 of its SHA-256, and GREY or COLOUR. Zeros: not known."""


@dataclass(frozen=True)
class Decoding:
    """How pictures are decoded. `channels` None: 1 where every picture is grey, else 3; `workers` None: a thread a core."""

    resolution: int
    channels: int | None
    workers: int | None


@dataclass(frozen=True)
class Decoded:
    """N pictures: `images` (N, R, R, C); `records` (N, RECORD) uint8; `bad`: why a picture could not be decoded, by index;
    its pixels mean nothing."""

    images: Pixels
    records: NDArray[np.uint8]
    bad: dict[int, str]


def decode_files(
    paths: list[str], resolution: int, channels: int | None, workers: int | None, track: Track
) -> Decoded:
    """Decodes every file into memory, in threads; the result is the same for any number of them.

    `channels` 1 or 3; None: 1 where every picture is grey, else 3. Transparent pixels are laid on white.
    """
    images = np.empty((len(paths), resolution, resolution, channels or 3), dtype=np.uint8)
    records = np.zeros((len(paths), RECORD), dtype=np.uint8)
    bad: dict[int, str] = {}

    def fill(index: int) -> bytes:
        data = bytes_of(paths[index])
        images[index], kind = decoded_pixels(io.BytesIO(data), resolution, images.shape[3])
        return record_of(data, kind)

    outcomes = read_each(fill, len(paths), workers)
    for index, outcome in enumerate(track(outcomes, total=len(paths), label="decoding pictures")):
        note(outcome, index, records, bad)
    if num_channels(records, channels) != images.shape[3]:
        images = images[..., :1].copy()
    return Decoded(images, records, bad)


def num_channels(records: NDArray[np.uint8], channels: int | None) -> int:
    """`channels`, or, where that is None, 1 if every good picture is grey, else 3."""
    return channels or (3 if (records[:, -1] == COLOUR).any() else 1)


def bytes_of(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (twice as fast for small ones)
        return file.read()


def record_of(data: bytes, kind: int) -> bytes:
    return hashlib.sha256(data).digest()[: RECORD - 1] + bytes([kind])


def note(
    outcome: bytes | Exception, row: int, records: NDArray[np.uint8], bad: dict[int, str]
) -> None:
    """Writes what `read_each` gave for a picture into the one or the other."""
    if isinstance(outcome, Exception):
        bad[row] = reason_of(outcome)
    else:
        records[row] = np.frombuffer(outcome, dtype=np.uint8)


def read_each(
    read: Callable[[int], bytes], count: int, workers: int | None
) -> Iterator[bytes | Exception]:
    """read(0), ..., read(count - 1), in order, from threads, or what PIL raised: a broken file makes it raise almost
    anything. PIL's warnings are kept from the user."""

    def attempt(index: int) -> bytes | Exception:
        try:
            return read(index)
        except Exception as error:
            return error

    with warnings.catch_warnings():  # here, not in the threads, for whom it would not be safe
        warnings.simplefilter("ignore")
        yield from in_threads(attempt, count, workers)


def decoded_pixels(
    source: str | Path | IO[bytes], resolution: int, channels: int
) -> tuple[NDArray[np.uint8], int]:
    """(R, R, C), and whether the picture is GREY or COLOUR. Raises as `decode`."""
    picture = decode(source, resolution)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels.reshape(resolution, resolution, channels), GREY if picture.mode == "L" else COLOUR


def kind_of(source: IO[bytes]) -> int:
    """GREY or COLOUR, from the picture's header alone. Raises whatever PIL raises for what is no picture."""
    with Image.open(source) as image:
        return GREY if _plain_mode(image) == "L" else COLOUR


def decode(source: str | Path | IO[bytes], resolution: int) -> Image.Image:
    """The picture in mode L or RGB, `resolution` square. Of an animation, the first frame.

    Raises: whatever PIL raises for a broken file; ValueError for pixels whose range is anyone's guess.
    """
    with Image.open(source) as image:
        image.draft(
            None, (2 * resolution, 2 * resolution)
        )  # a JPEG much larger is decoded at 1/2, 1/4 or 1/8
        turn_upright(image)
        return square(plain(image), resolution)


def turn_upright(image: Image.Image) -> None:
    """Decodes the picture and turns it as its EXIF says; broken EXIF leaves it as it is stored.

    Raises: whatever PIL raises for pixels that cannot be decoded whole.
    """
    image.load()  # outside of what is suppressed: PIL accepts a broken picture the second time
    with suppress(Exception):  # broken EXIF makes PIL raise almost anything
        ImageOps.exif_transpose(image, in_place=True)


def plain(image: Image.Image) -> Image.Image:
    """The same picture in mode L where it is grey, else RGB."""
    mode = _plain_mode(image)
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba"):
        with_alpha = image.convert("LA" if mode == "L" else "RGBA")
        canvas = Image.new(mode, image.size, "white")
        canvas.paste(with_alpha.convert(mode), mask=with_alpha.getchannel("A"))
        return canvas
    return image if image.mode == mode else image.convert(mode)


def _plain_mode(image: Image.Image) -> str:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, of unknown range")
    return "L" if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I") else "RGB"


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scales 0..65535 to 0..255. (PIL's own conversion cuts everything above 255 off.)"""
    pixels: NDArray[Any] = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("its pixels are 32-bit numbers, of unknown range")
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8))


def reason_of(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
