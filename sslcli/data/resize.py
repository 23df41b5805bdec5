"""Cuts squares of one size from pictures of any size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.images import FittedPixels, ImageSet, Splits, Track, dtype_of
from sslcli.errors import SslcliError
from sslcli.preprocessing import full_scale
from sslcli.processes import num_sharing_cores

T = TypeVar("T")

CHUNK = 32
"""Pictures handed to a thread at once, where every thread gets some.

Small ones take less time than handing them over.
"""


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


def map_in_threads(
    function: Callable[[int], T], count: int, workers: int | None = None
) -> Iterator[T]:
    """Yields function(0), ..., function(count - 1) in order, from several threads.

    `workers` None: one a core. Threads, because PIL lets go of Python's lock while it decodes and
    resizes: they were as fast as processes, which must also be started and send the pixels back.
    """
    workers = workers or available_cores()
    step = min(CHUNK, math.ceil(count / workers) or 1)
    chunks = [range(start, min(start + step, count)) for start in range(0, count, step)]
    with ThreadPoolExecutor(workers) as pool:
        try:
            for results in pool.map(lambda chunk: [function(index) for index in chunk], chunks):
                yield from results
        finally:  # interrupted: do not work off the rest first
            pool.shutdown(wait=False, cancel_futures=True)


def available_cores() -> int:
    """Returns this process's share of the machine's cores, at least one."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // num_sharing_cores())


def consume(items: Iterable[None]) -> None:
    for _ in items:
        pass
