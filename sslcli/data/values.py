"""Says which values of stored pictures mean 0 and 1, and refuses those that cannot be told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.errors import SslcliError
from sslcli.preprocessing import FULL_SCALE, Range

MOST_CHANNELS = 64
NEED_RANGE = ("float16", "float64", "int16", "int32")
"""Types of values whose range nothing but `data.range` tells."""
BLOCK = 2**24
"""Bytes of pictures that are looked at, or converted, at a time."""
TWELVE_BITS = 4095
ROUNDING = 1e-6
"""The part of a last digit by which division may be wrong."""


class Layout(Enum):
    """Names where an array's channels are: (N, H, W, C) or (N, C, H, W)."""

    channels_last = "channels_last"
    channels_first = "channels_first"


@dataclass(frozen=True)
class StoredPixels:
    """Reads pictures (N, H, W, C) of an array, or of a mapped file, when asked for.

    They come in the machine's byte order and in C's order: as uint8, uint16 or float32, or, with a
    `range`, as float32 in [0, 1], what lies outside being cut to it.
    """

    source: NDArray[Any]
    range: Range | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[Any]:
        found = self.source[chosen]
        if self.range is not None:
            return to_unit(found, self.range)
        return np.array(found, dtype=found.dtype.newbyteorder("="), order="C")


def to_unit(values: NDArray[Any], range_: Range) -> NDArray[np.float32]:
    """Converts values to float32: 0 at the range's begin, 1 at its end, none outside."""
    low, high = range_
    unit = (values.astype(np.float64) - low) / (high - low)
    return np.ascontiguousarray(unit.clip(0, 1), dtype=np.float32)


def kind_of(dtype: np.dtype[Any]) -> str:
    """Returns the name of a type of values, whatever its byte order."""
    return str(dtype.newbyteorder("=").name)


@dataclass(frozen=True)
class Found:
    """Holds what values there are: the least, the largest, and how many lie outside a range."""

    least: float
    largest: float
    num_outside: int
    num: int

    @property
    def share_outside(self) -> str:
        return f"{100 * self.num_outside / self.num:.2g} %"

    def __add__(self, other: Found) -> Found:
        """Returns what there is of both."""
        return Found(
            min(self.least, other.least),
            max(self.largest, other.largest),
            self.num_outside + other.num_outside,
            self.num + other.num,
        )


def look(images: NDArray[Any], name: str, range_: Range | None) -> Found:
    """Returns what values `images` (N, ...) have; `name` says whose they are.

    Raises SslcliError for values that are not finite.
    """
    least, largest, outside = math.inf, -math.inf, 0
    bad_values, bad_pictures, first = 0, 0, -1
    for start, block in _blocks(images):
        finite = np.isfinite(block).reshape(len(block), -1)
        if not finite.all():
            broken = np.flatnonzero(~finite.all(axis=1))
            first = start + int(broken[0]) if first < 0 else first
            bad_values, bad_pictures = bad_values + int((~finite).sum()), bad_pictures + len(broken)
            continue
        least, largest = min(least, float(block.min())), max(largest, float(block.max()))
        if range_ is not None:
            outside += int(((block < range_[0]) | (block > range_[1])).sum())
    if bad_values:
        message = f"{name}: {bad_values:,} values of {bad_pictures:,} pictures are NaN or infinite"
        fix = "fill them (numpy.nan_to_num), or leave these pictures out"
        raise SslcliError(f"{message}, the first in picture {first}", fix)
    return Found(least, largest, outside, images.size)


def _blocks(images: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    size = max(1, BLOCK // max(1, images[:1].nbytes))
    for start in range(0, len(images), size):
        yield start, images[start : start + size]


def require_known_range(images: NDArray[Any], name: str, range_: Range | None) -> list[str]:
    """Returns warnings about the values; raises SslcliError where they cannot be used.

    They must be finite, and 0 and 1 must be known: by `range_` (`data.range`), or by the type.
    """
    kind = kind_of(images.dtype)
    if kind == "uint8" and range_ is None:
        return []
    if kind not in FULL_SCALE and kind not in NEED_RANGE:
        must_be = f"must be {', '.join(FULL_SCALE)}, or {', '.join(NEED_RANGE)} with data.range"
        message = f"{name} {must_be}, got {kind}"
        raise SslcliError(message, "convert them: x.astype(numpy.float32) with values in [0, 1]")
    found = look(images, name, range_)
    if range_ is not None:
        return warn_outside(found, name, range_)
    between = f"from {found.least:g} to {found.largest:g}"
    words = f"data.range={outward(found.least, found.largest)}"
    if kind in NEED_RANGE:
        message = f"{name} are {kind} {between}: which values mean black and white is not known"
        raise SslcliError(message, words)
    if kind == "float32" and (found.least < 0 or found.largest > 1):
        message = f"{name} must be in [0, 1], as floating-point numbers, got {between}"
        raise SslcliError(message, f"say which values mean black and white: {words}")
    if kind == "uint16" and found.largest <= TWELVE_BITS:
        bits = f"{name} are uint16, but the largest is {found.largest:g}, of 65,535"
        return [f"{bits}: if they have 12 bits, data.range=[0,{TWELVE_BITS}]"]
    return []


def warn_outside(found: Found, name: str, range_: Range) -> list[str]:
    """Returns how much lies outside; raises SslcliError where all does. `name`: whose values."""
    (low, high), between = range_, f"from {found.least:g} to {found.largest:g}"
    if found.num_outside == found.num:
        message = f"data.range=[{low:g},{high:g}]: no value of {name} lies in it"
        raise SslcliError(
            f"{message}, they are {between}", f"data.range={outward(found.least, found.largest)}"
        )
    if not found.num_outside:
        return []
    said = f"{name}: {found.share_outside} of the values lie outside data.range=[{low:g},{high:g}]"
    return [f"{said}, and are cut to it; they are {between}"]


def outward(least: float, largest: float) -> str:
    """Writes a range that holds both values: [-0.1235,4096]."""
    if least == largest:
        largest = least + 1
    low, high = (_rounded(value, up) for value, up in ((least, False), (largest, True)))
    return f"[{low:.15g},{high:.15g}]"


def _rounded(value: float, up: bool) -> float:
    """Rounds to 4 digits, or to a whole number of more."""
    if value == 0:
        return 0.0
    step = 10.0 ** min(0, math.floor(math.log10(abs(value))) - 3)
    steps = value / step
    return (math.ceil(steps - ROUNDING) if up else math.floor(steps + ROUNDING)) * step


def require_range(range_: list[float] | None) -> None:
    """Raises SslcliError unless `data.range` is two finite numbers, the smaller one first."""
    if range_ is None:
        return
    sound = len(range_) == 2 and all(map(math.isfinite, range_)) and range_[0] < range_[1]
    if not sound:
        message = "data.range must be the values that mean black and white, the smaller one first"
        raise SslcliError(f"{message}, got {list(range_)}", "try data.range=[0,4095]")


def used_range(dtype: np.dtype[Any], range_: Range | None) -> Range | None:
    """Returns the values that mean 0 and 1; None where they are 0 and 255, of uint8."""
    if range_ is not None:
        return range_
    kind = kind_of(dtype)
    return None if kind == "uint8" else (0.0, float(FULL_SCALE[kind]))


def needs_conversion(dtype: np.dtype[Any], range_: Range | None) -> bool:
    """Tells whether the values are to be brought to [0, 1]: not where their type says the range."""
    full = FULL_SCALE.get(kind_of(dtype))
    return range_ is not None and range_ != (0, full)


def canonical(pixels: NDArray[Any], range_: Range | None) -> NDArray[Any]:
    """Returns a file's values as uint8, uint16, or float32 in [0, 1], cut to a range that is given.

    Raises ValueError where they are not finite, or which mean black and white is not known.
    """
    kind = kind_of(pixels.dtype)
    if kind not in FULL_SCALE and kind not in NEED_RANGE:
        raise ValueError(f"its values are {kind}, which cannot be read")
    if not np.isfinite(pixels).all():
        raise ValueError(f"{int((~np.isfinite(pixels)).sum()):,} of its values are NaN or infinite")
    if needs_conversion(pixels.dtype, range_):
        assert range_ is not None, "there is none to convert by"
        return to_unit(pixels, range_)
    least, largest = float(pixels.min()), float(pixels.max())
    lies_outside = kind == "float32" and (least < 0 or largest > 1)
    if lies_outside and range_ is not None:  # [0, 1], which needs no conversion
        return to_unit(pixels, range_)
    if kind in NEED_RANGE or lies_outside:
        said = f"its values are {kind} from {least:g} to {largest:g}"
        raise ValueError(
            f"{said}: say what is black and white: data.range={outward(least, largest)}"
        )
    return pixels


def to_kind(pixels: NDArray[Any], kind: str) -> NDArray[Any]:
    """Converts uint8, uint16, or float32 in [0, 1], to another of them; exact to a larger one."""
    have = kind_of(pixels.dtype)
    if have == kind:
        return pixels
    if (have, kind) == ("uint8", "uint16"):
        larger: NDArray[np.uint16] = pixels.astype(np.uint16) * np.uint16(257)
        return larger
    unit: NDArray[np.float64] = pixels.astype(np.float64) / FULL_SCALE[have]
    if kind == "float32":
        return unit.astype(np.float32)
    whole: NDArray[np.float64] = (unit.clip(0, 1) * FULL_SCALE[kind]).round()
    return whole.astype(kind)


def is_whole(range_: Range | None) -> bool:
    """Tells whether a range is all that a type of numbers holds: that of uint8, uint16, floats."""
    return range_ is None or range_ in [(0.0, float(full)) for full in FULL_SCALE.values()]


def file_range(pixels: NDArray[Any], range_: Range | None) -> Range:
    """Returns which values of a file mean 0 and 1, to what was trained on `range_`.

    Where that is all that a type of numbers holds, it is all that this type holds. Raises
    SslcliError for values that are not finite, or where their meaning is not known.
    """
    kind = kind_of(pixels.dtype)
    if not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).sum())
        fix = "fill them first: numpy.nan_to_num"
        raise SslcliError(f"{count:,} values of the picture are NaN or infinite", fix)
    if range_ is not None and not is_whole(range_):
        return range_
    least, largest = float(pixels.min()), float(pixels.max())
    if kind not in FULL_SCALE or (kind == "float32" and (least < 0 or largest > 1)):
        message = f"the picture's values are {kind} from {least:g} to {largest:g}"
        fix = "bring them to [0, 1], as float32, or train with data.range=…"
        raise SslcliError(f"{message}: which mean black and white is not known", fix)
    return 0.0, float(FULL_SCALE[kind])
