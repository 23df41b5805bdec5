"""Cuts squares of one size from pictures of any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.images import FittedPixels, ImageSet, Splits, Track, dtype_of
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


def resized(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """Returns the middle square of a picture (H, W, C), (side, side, C), bicubic, antialiased.

    Pillow resizes grey and RGB of 8 bits as they are; other channels one by one, as float32, which
    are then rounded to whole numbers, and cut to what their type holds, floats to [0, 1].
    """
    channels = picture.shape[2]
    if picture.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        return np.asarray(centre_square(image, side)).reshape(side, side, channels)
    planes = [
        np.asarray(centre_square(Image.fromarray(plane.astype(np.float32)), side))
        for plane in np.moveaxis(picture, 2, 0)
    ]
    values = np.stack(planes, axis=2).clip(0, full_scale(picture.dtype))
    whole = values.round() if picture.dtype.kind == "u" else values
    return whole.astype(picture.dtype)


def resized_all(pictures: NDArray[Any], side: int) -> NDArray[Any]:
    """Returns pictures (N, H, W, C) as `resized`, (N, side, side, C), made in threads."""
    small = np.empty((len(pictures), side, side, pictures.shape[3]), dtype=pictures.dtype)

    def fill(index: int) -> None:
        small[index] = resized(pictures[index], side)

    consume(map_in_threads(fill, len(pictures)))
    return small


def at_resolution(part: ImageSet, side: int) -> ImageSet:
    """Returns pictures (N, S, S, C) with `side`, resized when asked for; all of each is seen."""
    if part.resolution == side:
        return part
    return replace(part, images=FittedPixels(part.images, side, resized_all))


def splits_at(splits: Splits, side: int) -> Splits:
    """Returns all parts with `side`: whole pictures for an encoder that is trained on crops."""
    return replace(
        splits,
        train=at_resolution(splits.train, side),
        val=at_resolution(splits.val, side),
        test=splits.test and at_resolution(splits.test, side),
        unlabelled=splits.unlabelled and at_resolution(splits.unlabelled, side),
    )
