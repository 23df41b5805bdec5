"""Measures the mean and deviation of a set's pictures, a channel at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import BLOCK_VALUES, ImageSet, dtype_of, evenly_spaced
from sslcli.preprocessing import full_scale

NUM_SAMPLED = 4096
"""Pictures from files that are looked at, so that no set is decoded whole before its first step."""
BLOCK = 512
ROUNDING = 1e-7
"""The deviation up to which a channel of floats may be constant: that of float32 at 1."""


def channel_moments(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of every channel, in [0, 1].

    From counts of the 256 or 65,536 values, of floats from sums in float64: exact, or, of pictures
    that come from files, those of NUM_SAMPLED at even distances, the same wherever the pixels are
    kept. A channel that never varies gets a deviation of 1: there is nothing to scale.
    """
    dtype = dtype_of(images.images)
    if dtype.kind == "f":
        return _moments_of_floats(images)
    full = full_scale(dtype)
    values = np.arange(full + 1) / full
    means, deviations = [], []
    for counts in _count_values(images, full + 1):
        share = counts / np.sum(counts)
        mean = float(share @ values)
        deviation = float(np.sqrt(share @ (values - mean) ** 2))
        means.append(mean)
        deviations.append(deviation if deviation > 0 else 1.0)
    return tuple(means), tuple(deviations)


def _count_values(images: ImageSet, num_values: int) -> NDArray[np.int64]:
    """Counts how often each channel has each value: (C, `num_values`)."""
    counts = np.zeros((images.channels, num_values), dtype=np.int64)
    for block in _sampled(images):
        for channel in range(images.channels):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=num_values)
    return counts


def _moments_of_floats(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    total, count = np.zeros(images.channels), 0
    for block in _sampled(images):
        total += block.sum(axis=(0, 1, 2), dtype=np.float64)
        count += block[..., 0].size
    mean = total / count
    squares = np.zeros(images.channels)
    for block in _sampled(images):
        squares += np.square(block - mean).sum(axis=(0, 1, 2))
    deviation = np.sqrt(squares / count)
    return tuple(mean.tolist()), tuple(np.where(deviation > ROUNDING, deviation, 1.0).tolist())


def _sampled(images: ImageSet) -> Iterator[NDArray[Any]]:
    """Yields the pictures that are looked at, some at a time."""
    chosen = evenly_spaced(len(images), NUM_SAMPLED if images.paths is not None else len(images))
    size = max(1, min(BLOCK, BLOCK_VALUES // math.prod(images.images.shape[1:])))
    for start in range(0, len(chosen), size):
        yield images.images[chosen[start : start + size]]
