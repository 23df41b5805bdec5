"""Maps pictures of any channels and depth to grey or RGB of 8 bits, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import Pixels, dtype_of, evenly_spaced
from sslcli.evaluation.restoration_monitor import as_images
from sslcli.preprocessing import full_scale

NUM_LOOKED_AT = 64
"""Pictures whose values say how far the others are stretched."""
ENDS = (1, 99)
"""Percent of the values that are below black, and below white, where pictures are stretched."""
NARROW = 0.6
"""The part of the range below which these ends count as a narrow one."""
NO_CHANNEL = -1


@dataclass(frozen=True)
class Display:
    """Shows some channels, each from its `low` to its `high`, in [0, 1].

    `channels`: one as grey, three as red, green and blue, NO_CHANNEL for one that is absent; none:
    pictures are shown as they are, which are grey or RGB of 8 bits.
    """

    channels: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def of(cls, images: Pixels, shown: tuple[int, ...] | None) -> Display:
        """Returns how such pictures are shown; `shown` None: the first three channels."""
        num_channels, dtype = images.shape[3], dtype_of(images)
        if shown is None and num_channels in (1, 3) and dtype == np.uint8:
            return cls()
        first = {1: (0,), 2: (0, 1, NO_CHANNEL)}.get(num_channels, (0, 1, 2))
        channels = first if shown is None else shown
        some = images[evenly_spaced(len(images), NUM_LOOKED_AT)]
        ends = [
            (0.0, 1.0) if channel == NO_CHANNEL else _ends(some[..., channel] / full_scale(dtype))
            for channel in channels
        ]
        return cls(channels, tuple(low for low, _ in ends), tuple(high for _, high in ends))

    def __call__(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """Maps pixels (..., C) to (..., 1 or 3) of 8 bits."""
        if not self.channels:
            return images
        return self.of_unit(images / np.float32(full_scale(images.dtype)))

    def of_pictures(self, pictures: Tensor) -> NDArray[np.uint8]:
        """Maps pictures (N, C, H, W) in [0, 1] to (N, H, W, 1 or 3) of 8 bits."""
        if not self.channels:
            return as_images(pictures)
        return self.of_unit(pictures.float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())

    def of_unit(self, unit: NDArray[Any]) -> NDArray[np.uint8]:
        """Maps values (..., C) in [0, 1] to (..., 1 or 3) of 8 bits."""
        planes = [unit[..., channel] for channel in range(unit.shape[-1])]
        if self.channels:
            planes = self._stretched(unit)
        pixels: NDArray[np.uint8] = (np.stack(planes, axis=-1) * 255).round().astype(np.uint8)
        return pixels

    def _stretched(self, unit: NDArray[Any]) -> list[NDArray[Any]]:
        return [
            np.zeros(unit.shape[:-1])
            if channel == NO_CHANNEL
            else ((unit[..., channel] - low) / (high - low)).clip(0, 1)
            for channel, low, high in zip(self.channels, self.low, self.high, strict=True)
        ]

    @property
    def words(self) -> str:
        """Says what is shown; empty where pictures are shown as they are."""
        if not self.channels:
            return ""
        there = [str(channel) for channel in self.channels if channel != NO_CHANNEL]
        colours = ["red", "green", "blue"][: len(there)] if len(self.channels) == 3 else ["grey"]
        said = f"channel{'s' if len(there) > 1 else ''} {', '.join(there)} (from 0)"
        said = f"{said} as {', '.join(colours)}"
        stretched = any(ends != (0.0, 1.0) for ends in zip(self.low, self.high, strict=True))
        low, high = ENDS
        return f"{said}, stretched: black {low} %, white {high} % of values" if stretched else said


AS_THEY_ARE = Display()
"""Shows grey and RGB of 8 bits."""


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """Returns the values in [0, 1] that are shown as black and white."""
    low, high = (float(end) for end in np.percentile(values, ENDS))
    return (low, high) if 0 < high - low < NARROW else (0.0, 1.0)
