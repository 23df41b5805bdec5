"""What the pictures of a set are like, a channel at a time."""

from __future__ import annotations

import numpy as np

from sslcli.data.images import ImageSet


def channel_moments(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, in [0, 1]. Exact, from counts of the 256 values. A channel that never
    varies gets a deviation of 1: there is nothing to scale."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.channels):
        counts = sum(np.bincount(picture[..., channel].ravel(), minlength=256) for picture in images.images)
        share = counts / np.sum(counts)
        mean = float(share @ values)
        deviation = float(np.sqrt(share @ (values - mean) ** 2))
        means.append(mean)
        deviations.append(deviation if deviation > 0 else 1.0)
    return tuple(means), tuple(deviations)
