"""Defines an encoder that normalises its pictures itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NormalizedEncoder(nn.Module):
    """Maps pictures (N, C, H, W) in [0, 1] to features (N, D).

    It subtracts `mean` and divides by `std`, per channel, before the encoder.
    """

    def __init__(self, encoder: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.encoder((pictures - self.mean) / self.std)
        return features
