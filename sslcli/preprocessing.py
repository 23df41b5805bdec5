"""Says what an encoder is fed, and how pictures are stored that are not square.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sslcli.transfer import per_channel

if TYPE_CHECKING:
    from torch import Tensor


Range = tuple[float, float]
"""The values of a file that mean 0 and 1."""

FULL_SCALE = {"uint8": 255, "uint16": 65535, "float32": 1}
"""The value that means 1, by the type of stored pixels."""


def full_scale(dtype: object) -> int:
    """Returns the value that means 1 in pixels of this type, NumPy's or torch's."""
    return FULL_SCALE[str(dtype).removeprefix("torch.")]


def as_pictures(images: Tensor) -> Tensor:
    """Converts (N, H, W, C) to (N, C, H, W) float32 in [0, 1], always a copy.

    Of uint8, 255 means 1; of uint16, 65,535; float32 is in [0, 1] already.
    """
    return images.permute(0, 3, 1, 2).float() / full_scale(images.dtype)


@dataclass(frozen=True)
class Preprocessing:
    """Says what an encoder is fed: square pictures of `resolution` pixels, normalised.

    They are in [0, 1] minus `mean`, over `std` (per channel). `range`: the values of files that
    mean 0 and 1; None: 0 and 255.
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    range: Range | None = None

    def normalized(self, pictures: Tensor) -> Tensor:
        """Converts (N, C, H, W) in [0, 1] to the encoder's input."""
        mean, std = (per_channel(values, pictures) for values in (self.mean, self.std))
        return (pictures - mean) / std

    def pictures(self, normalized: Tensor) -> Tensor:
        """Converts the encoder's input (N, C, H, W) back to pictures in [0, 1]."""
        mean, std = (per_channel(values, normalized) for values in (self.mean, self.std))
        return normalized * std + mean

    def without_normalization(self) -> Preprocessing:
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels)


@dataclass(frozen=True)
class Squeezed:
    """Holds N pictures that were squeezed to squares, of which crops are drawn unsqueezed.

    `images` (N, S, S, C), of this process; `aspects`, width over height, on the CPU, of those of
    all processes.
    """

    images: Tensor
    aspects: Tensor

    def __len__(self) -> int:
        return len(self.images)
