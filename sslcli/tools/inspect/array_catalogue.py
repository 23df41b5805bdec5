"""Lists pictures that are no files: arrays, and the sets that other sources load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.array_files import keys_of, read_arrays
from sslcli.data.array_images import ArrayMeaning, read_images
from sslcli.data.arrays import ArraysConfig
from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Track
from sslcli.data.parts import ORDER
from sslcli.data.values import Layout
from sslcli.errors import SslcliError
from sslcli.tools.inspect.pictures import PART_NAMES, Catalogue

ALSO = "also in"
"""Stands in warnings of copies, which are found here in another way."""


def of_arrays(config: ArraysConfig, track: Track) -> Catalogue:
    arrays = read_arrays(config.location())
    found: dict[str, tuple[str, Any]] = {}
    labels: list[str] = []
    for part in ORDER:
        key, label_key = keys_of(arrays, part)
        pixels = None if key is None else _array_pixels(arrays[key], config)
        if key is not None and pixels is not None:
            found[part] = (key, pixels)
            given = None if label_key is None else arrays[label_key]
            labels += _texts(given, arrays.get("classes"), len(pixels))
    sizes = {pixels.shape[1:3] for _, pixels in found.values()}
    side = None if all(high == wide for high, wide in sizes) else min(min(size) for size in sizes)
    loaded = _loaded(replace(config, resolution=config.resolution or side), track)
    refusal, notes = (loaded, ()) if isinstance(loaded, SslcliError) else (None, loaded)
    if not found:
        raise refusal or SslcliError(f"{config.location()} has no pictures", "name them x_train")
    rows = _Rows({part: (key, pixels, len(pixels)) for part, (key, pixels) in found.items()})
    return Catalogue(
        rows.names,
        rows.parts,
        rows.pixels,
        labels=labels if any(labels) else None,
        num_bytes=sum(arrays[key].nbytes for key, _ in found.values()),
        refusal=refusal,
        notes=tuple(note for note in notes if ALSO not in note),
    )


def _array_pixels(array: NDArray[Any], config: ArraysConfig) -> Any:
    """Returns (N, H, W, C) as stored, without alpha; None for what holds no pictures."""
    if array.dtype == np.uint8:
        try:
            return read_images(array, "", ArrayMeaning(None, config.layout, config.alpha))[0]
        except SslcliError:  # the refusal says so
            pass
    if array.ndim not in (3, 4) or 0 in array.shape:
        return None
    pixels = array[..., None] if array.ndim == 3 else array
    first = array.ndim == 4 and config.layout is Layout.channels_first
    return np.moveaxis(pixels, 1, -1) if first else pixels


def _texts(labels: NDArray[Any] | None, names: NDArray[Any] | None, count: int) -> list[str]:
    """Returns the labels as texts; none where they are no single class each."""
    one_each = labels is not None and labels.shape in ((count,), (count, 1))
    if labels is None or not one_each or labels.dtype.kind not in "iu":
        return [""] * count
    numbers = labels.reshape(count).tolist()
    if names is None or names.ndim != 1 or min(numbers) < 0 or max(numbers) >= len(names):
        return [str(number) for number in numbers]
    return [str(names[number]) for number in numbers]


def _loaded(config: DataConfig, track: Track) -> tuple[str, ...] | SslcliError:
    """Returns what a run warns of, or why it is refused."""
    try:
        return config.load(track).warnings
    except SslcliError as reason:
        return reason


def of_sets(config: DataConfig, track: Track) -> Catalogue:
    """Lists what any other source loads; raises what it raises."""
    splits = config.load(track)
    found: dict[str, tuple[str, Any, int]] = {}
    labels: list[str] = []
    for name in PART_NAMES:
        part: ImageSet | None = getattr(splits, name)
        if part is not None:
            found[name] = (name, part.images, len(part))
            labels += _texts(part.labels, np.array(splits.classes or ()), len(part))
    rows = _Rows(found)
    return Catalogue(
        rows.names,
        rows.parts,
        rows.pixels,
        labels=labels if any(labels) else None,
        notes=tuple(note for note in splits.warnings if ALSO not in note),
        held_out=True,
    )


class _Rows:
    """Numbers the pictures of several arrays one after the other."""

    def __init__(self, parts: Mapping[str, tuple[str, Any, int]]) -> None:
        counts = [count for _, _, count in parts.values()]
        self._starts = np.cumsum([0, *counts])
        self._sources = [source for _, source, _ in parts.values()]
        self.names = [f"{key}[{row}]" for key, _, count in parts.values() for row in range(count)]
        numbers = [PART_NAMES.index(part) for part in parts]
        self.parts = np.repeat(np.array(numbers, dtype=np.int8), counts)

    def pixels(self, row: int) -> NDArray[Any]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        at = np.array([row - self._starts[part]])
        pixels: NDArray[Any] = self._sources[part][at][0]
        return pixels
