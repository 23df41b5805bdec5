"""Says what an encoder is fed.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def as_pictures(images: Tensor) -> Tensor:
    """Converts (N, H, W, C) uint8 to (N, C, H, W) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Preprocessing:
    """Says what an encoder is fed: square pictures of `resolution` pixels, normalised.

    They are in [0, 1] minus `mean`, over `std` (per channel).
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalized(self, pictures: Tensor) -> Tensor:
        """Converts (N, C, H, W) in [0, 1] to the encoder's input."""
        mean, std = (pictures.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (pictures - mean) / std

    def pictures(self, normalized: Tensor) -> Tensor:
        """Converts the encoder's input (N, C, H, W) back to pictures in [0, 1]."""
        mean, std = (normalized.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return normalized * std + mean

    def without_normalization(self) -> Preprocessing:
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels)
