"""What every encoder is."""

from __future__ import annotations

from torch import Tensor, nn


class Encoder(nn.Module):
    """(N, C, H, W) preprocessed pictures -> (N, `width`) features. It is what survives pretraining."""

    width: int

    def forward(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError
