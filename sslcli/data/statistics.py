"""Measures the mean and deviation of a set's pictures, a channel at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet, evenly_spaced

NUM_SAMPLED = 4096
"""Pictures from files that are looked at, so that no set is decoded whole before its first step."""
BLOCK = 512


def channel_moments(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of every channel, in [0, 1].

    From counts of the 256 values: exact, or, of pictures that come from files, those of NUM_SAMPLED
    at even distances, the same wherever the pixels are kept. A channel that never varies gets a
    deviation of 1: there is nothing to scale.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for counts in _count_values(images):
        share = counts / np.sum(counts)
        mean = float(share @ values)
        deviation = float(np.sqrt(share @ (values - mean) ** 2))
        means.append(mean)
        deviations.append(deviation if deviation > 0 else 1.0)
    return tuple(means), tuple(deviations)


def _count_values(images: ImageSet) -> NDArray[np.int64]:
    """Counts how often each channel has each value: (C, 256)."""
    chosen = evenly_spaced(len(images), NUM_SAMPLED if images.paths is not None else len(images))
    counts = np.zeros((images.channels, 256), dtype=np.int64)
    for start in range(0, len(chosen), BLOCK):
        for picture in images.images[chosen[start : start + BLOCK]]:
            for channel in range(images.channels):
                counts[channel] += np.bincount(picture[..., channel].ravel(), minlength=256)
    return counts
