"""Makes pictures (N, H, W, C) of arrays of any layout, type and number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import LazySubset, Pixels
from sslcli.data.values import (
    MOST_CHANNELS,
    Layout,
    StoredPixels,
    kind_of,
    needs_conversion,
    require_known_range,
)
from sslcli.errors import SslcliError
from sslcli.preprocessing import Range, full_scale

WITH_ALPHA = (2, 4)


@dataclass(frozen=True)
class ArrayMeaning:
    """Says how arrays are to be understood: see `ArraysConfig`."""

    range: Range | None = None
    layout: Layout | None = None
    alpha: bool | None = None


def read_images(array: NDArray[Any], name: str, meaning: ArrayMeaning) -> tuple[Pixels, list[str]]:
    """Returns the array's pictures, and what the user should know.

    What is in memory as it is to be is returned as it is; else pictures are read, and converted,
    when asked for. Raises SslcliError for what holds no pictures, or values without a meaning.
    """
    got = f"got {array.dtype} {array.shape}"
    if 0 in array.shape:
        raise SslcliError(f"{name} has no pictures, {got}", "leave the key out, or fill it")
    images = _channels_last(array, name, got, meaning.layout)
    warnings = []
    if _has_alpha(images, name, got, meaning.alpha):
        if meaning.alpha is None:
            said = f"{name} has {images.shape[3]} channels, of which the last is taken as alpha"
            warnings.append(f"{said}; data.alpha=false keeps them all")
        images = array = composite_on_white(images)
    outside = require_known_range(images, name, meaning.range)
    warnings += outside
    # Of the range that a type has, floats alone can have values outside.
    if meaning.range is not None and (outside or needs_conversion(images.dtype, meaning.range)):
        stored = StoredPixels(images, meaning.range)
        return LazySubset(stored, np.arange(len(images))), warnings
    if isinstance(array, np.memmap):
        if not array.flags.c_contiguous:
            slow = "is in Fortran's order: a picture lies all over the file, and is slow to read"
            warnings.append(f"{name} {slow}; numpy.save(file, numpy.ascontiguousarray(x)) helps")
        return LazySubset(StoredPixels(images), np.arange(len(images))), warnings
    return np.ascontiguousarray(images, dtype=images.dtype.newbyteorder("=")), warnings


def _channels_last(array: NDArray[Any], name: str, got: str, layout: Layout | None) -> NDArray[Any]:
    """Returns a view (N, H, W, C); raises SslcliError where the channels cannot be told."""
    images = array[..., None] if array.ndim == 3 else array
    if images.ndim == 4 and array.ndim == 4 and layout is Layout.channels_first:
        images = np.moveaxis(images, 1, -1)
    must_be = "must be (N, H, W) or (N, H, W, C)"
    if images.ndim != 4 or (layout is None and in_doubt(images.shape)):
        what, fix = _explain_shape(images.shape)
        raise SslcliError(f"{name} {must_be} with C 1 or 3, or up to 64, {got}{what}", fix)
    if images.shape[3] > MOST_CHANNELS:
        fix = "put the channels last, or say where they are: data.layout=channels_first"
        raise SslcliError(f"{name} {must_be} with C at most {MOST_CHANNELS}, {got}", fix)
    return images


def in_doubt(shape: tuple[int, ...]) -> bool:
    """Tells whether (N, H, W, C) may as well be channels that come first, or a volume."""
    _, height, width, channels = shape
    cube = height == width == channels
    return channels > max(WITH_ALPHA) and (cube or height < min(width, channels))


def _explain_shape(shape: tuple[int, ...]) -> tuple[str, str]:
    """Says what an array that holds no pictures seems to hold, and what can be done."""
    if len(shape) == 4 and shape[1] <= MOST_CHANNELS and shape[1] < min(shape[2:]):
        volumes = "" if shape[1] in (1, 3) else ", if they are no volumes"
        fix = "say so: data.layout=channels_first, or put them last: numpy.moveaxis(x, 1, -1)"
        return f": the channels are first{volumes}", fix
    if len(shape) in (4, 5):
        volume = "x".join(str(side) for side in shape[1:4])
        channels = "" if len(shape) == 4 else f", {shape[4]}"
        fix = (
            f"store slices: x.reshape(-1, {shape[2]}, {shape[3]}{channels}), and each volume's "
            "label "
            f"{shape[1]} times: numpy.repeat(y, {shape[1]}, axis=0)"
        )
        if len(shape) == 4:
            fix += "; if the last are channels: data.layout=channels_last"
        return f": volumes of {volume}, which are not pictures", fix
    if len(shape) == 2:
        return ": each picture is one row", "give them their shape back: x.reshape(-1, H, W)"
    return "", "put the channels last"


def _has_alpha(images: NDArray[Any], name: str, got: str, alpha: bool | None) -> bool:
    """Tells whether the last channel is alpha: of 8 bits and 2 or 4 it is, if not denied."""
    fits = images.shape[3] in WITH_ALPHA
    if alpha and (not fits or kind_of(images.dtype) not in ("uint8", "uint16")):
        message = f"data.alpha=true: {name} must be uint8 or uint16 of 2 or 4 channels, {got}"
        raise SslcliError(message, "leave data.alpha out")
    return fits and (kind_of(images.dtype) == "uint8" if alpha is None else alpha)


def composite_on_white(images: NDArray[Any]) -> NDArray[Any]:
    """Lays pictures (N, H, W, C + 1), with alpha as the last channel, on white."""
    kind = images.dtype.newbyteorder("=")
    white = full_scale(kind)
    result = np.empty((*images.shape[:3], images.shape[3] - 1), dtype=kind)
    for row, picture in enumerate(images):  # one at a time: little memory
        colours, alpha = picture[..., :-1].astype(np.int64), picture[..., -1:].astype(np.int64)
        result[row] = (colours * alpha + white * (white - alpha) + white // 2) // white
    return result
