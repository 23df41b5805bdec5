"""Cuts squares of one size from pictures of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.images import FittedPixels, ImageSet, Splits, Track, dtype_of
from sslcli.data.shape import Shape
from sslcli.errors import SslcliError
from sslcli.preprocessing import full_scale
from sslcli.threads import consume, map_in_threads

T = TypeVar("T")


def centre_square(
    picture: Image.Image,
    resolution: int,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Returns the middle square at `resolution`: as a rule bicubic, antialiased."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return picture.resize(
        (resolution, resolution),
        resample,
        box=(left, top, left + side, top + side),
        reducing_gap=2.0,
    )


@dataclass(frozen=True)
class Framing:
    """Makes pictures square: as `shape` says, borders having `fill`, 0 black to 1 white."""

    shape: Shape = Shape.square
    fill: float = 0.0

    @property
    def name(self) -> str:
        """Names it in names of files; empty for what was always done."""
        if self.shape is Shape.square:
            return ""
        return f"_{self.shape.value}{f'{self.fill:.15g}' if self.shape is Shape.pad else ''}"

    def __call__(self, picture: Image.Image, side: int, white: float = 255.0) -> Image.Image:
        """Returns a picture `side` square; `white`: the value that means it."""
        if self.shape is Shape.square:
            return centre_square(picture, side)
        if self.shape is Shape.cover:
            return picture.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        left, top, width, height = box_in_square(*picture.size, side)
        small = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
        value = self.fill * white if picture.mode == "F" else round(self.fill * 255)
        bands = len(picture.getbands())
        canvas = Image.new(picture.mode, (side, side), (value,) * bands if bands > 1 else value)
        canvas.paste(small, (left, top))
        return canvas


def box_in_square(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    """Returns where shape=pad puts a whole picture: left, top, width and height."""
    scale = side / max(width, height)
    wide, high = (max(1, round(length * scale)) for length in (width, height))
    return (side - wide) // 2, (side - high) // 2, wide, high


MIDDLE = Framing()


def resize(part: ImageSet, resolution: int | None, track: Track) -> ImageSet:
    """Returns `part` with its pictures, (N, H, W, C), square at `resolution`."""
    images = part.images
    height, width, channels = images.shape[1:]
    if resolution is None and height != width:
        raise SslcliError(
            f"the pictures must be square, got {height}x{width}", "set data.resolution"
        )
    if resolution is None or height == width == resolution:
        return part
    side = resolution
    small = np.empty((len(images), side, side, channels), dtype=dtype_of(images))

    def fill(index: int) -> None:
        small[index] = resized(images[index : index + 1][0], side)

    consume(track(map_in_threads(fill, len(images)), total=len(images), label="resizing pictures"))
    return replace(part, images=small)


@dataclass(frozen=True)
class MiddleOfSqueezed:
    """Cuts the middle square of a picture that was squeezed, of which `aspect` is told."""

    aspect: float

    def __call__(self, picture: Image.Image, side: int, white: float) -> Image.Image:
        squeezed = picture.size[0]
        width, height = squeezed * min(1, 1 / self.aspect), squeezed * min(1, self.aspect)
        left, top = (squeezed - width) / 2, (squeezed - height) / 2
        box = (left, top, left + width, top + height)
        return picture.resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=2.0)


ToSquare = Callable[[Image.Image, int, float], Image.Image]
"""Makes a picture square, given its side and the value that means white."""


def resized(picture: NDArray[Any], side: int, framing: ToSquare = MIDDLE) -> NDArray[Any]:
    """Returns a picture (H, W, C) as a square, (side, side, C), bicubic, antialiased.

    Pillow resizes grey and RGB of 8 bits as they are; other channels one by one, as float32, which
    are then rounded to whole numbers, and cut to what their type holds, floats to [0, 1].
    """
    channels = picture.shape[2]
    if picture.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        return np.asarray(framing(image, side, 255.0)).reshape(side, side, channels)
    white = full_scale(picture.dtype)
    planes = [
        np.asarray(framing(Image.fromarray(plane.astype(np.float32)), side, white))
        for plane in np.moveaxis(picture, 2, 0)
    ]
    values = np.stack(planes, axis=2).clip(0, white)
    whole = values.round() if picture.dtype.kind == "u" else values
    return whole.astype(picture.dtype)


def resized_all(
    pictures: NDArray[Any], aspects: NDArray[np.float64] | None, side: int
) -> NDArray[Any]:
    """Returns pictures (N, H, W, C) as squares, (N, side, side, C), made in threads.

    Of pictures that were squeezed, `aspects` tell their middle.
    """
    small = np.empty((len(pictures), side, side, pictures.shape[3]), dtype=pictures.dtype)

    def fill(index: int) -> None:
        framing = MIDDLE if aspects is None else MiddleOfSqueezed(float(aspects[index]))
        small[index] = resized(pictures[index], side, framing)

    consume(map_in_threads(fill, len(pictures)))
    return small


def letterboxed(pictures: NDArray[Any], aspects: NDArray[np.float64]) -> NDArray[Any]:
    """Returns squeezed pictures (N, S, S, C) in their own shapes, on white, to be looked at."""
    side, boxed = pictures.shape[1], np.full_like(pictures, full_scale(pictures.dtype))
    for picture, aspect, canvas in zip(pictures, aspects.tolist(), boxed, strict=True):
        height, width = (max(1, round(side * min(1, part))) for part in (1 / aspect, aspect))
        top, left = (side - height) // 2, (side - width) // 2
        rows, columns = (np.arange(n) * side // n for n in (height, width))
        canvas[top : top + height, left : left + width] = picture[rows][:, columns]
    return boxed


def at_resolution(part: ImageSet, side: int) -> ImageSet:
    """Returns pictures (N, S, S, C) with `side`, resized when asked for.

    All of each is seen, or, where they were squeezed, their middle square.
    """
    if part.resolution == side and part.aspects is None:
        return part
    fitted = FittedPixels(part.images, side, resized_all, part.aspects)
    return replace(part, images=fitted, aspects=None)


def splits_at(splits: Splits, side: int) -> Splits:
    """Returns all parts with `side`: whole pictures for an encoder that is trained on crops."""
    return replace(
        splits,
        train=at_resolution(splits.train, side),
        val=at_resolution(splits.val, side),
        test=splits.test and at_resolution(splits.test, side),
        unlabelled=splits.unlabelled and at_resolution(splits.unlabelled, side),
    )
