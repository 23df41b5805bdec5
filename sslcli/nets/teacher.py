"""A trained encoder that others learn from."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sslcli.generators import kept_generators
from sslcli.method import Preprocessing
from sslcli.nets.description import read_description
from sslcli.nets.encoder import Encoder
from sslcli.nets.normalized import NormalizedEncoder
from sslcli.nets.stored import load_weights
from sslcli.transfer import per_channel

LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue. Source: ITU-R BT.601, as Pillow makes grey pictures."""


class Teacher(nn.Module):
    """Maps pictures (N, C, H, W) in [0, 1], of any size, to an encoder's features.

    They are brought to the size and channels, and normalised by the mean and standard deviation,
    that the encoder was trained with. `labels`: how many it learned from. `fed`: what it was fed
    in training.
    """

    def __init__(self, encoder: Encoder, preprocessing: Preprocessing, labels: int = 0) -> None:
        super().__init__()
        self.encoder = NormalizedEncoder(encoder, preprocessing.mean, preprocessing.std)
        self.width, self.labels, self.fed = encoder.width, labels, preprocessing
        self.resolution, self.channels = preprocessing.resolution, preprocessing.channels

    def forward(self, pictures: Tensor) -> Tensor:
        return cast(Tensor, self.encoder(self._as_fed(pictures)))

    def _as_fed(self, pictures: Tensor) -> Tensor:
        if pictures.shape[1] > self.channels:
            weights = per_channel(LUMINANCE, pictures)
            pictures = (pictures * weights).sum(dim=1, keepdim=True)
        pictures = pictures.expand(-1, self.channels, -1, -1)
        size = (self.resolution, self.resolution)
        if pictures.shape[2:] == size:
            return pictures
        return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


def load_teacher(folder: str | Path) -> Teacher:
    """Returns the trained encoder of a folder, and draws no random number.

    The folder holds what a run writes: encoder.json and encoder.safetensors. Raises SslcliError
    where they are absent or damaged.
    """
    described = read_description(Path(folder))
    shape = described.preprocessing
    with kept_generators():
        encoder = described.config.build(shape.channels, shape.resolution)
    load_weights(encoder, Path(folder))
    return Teacher(encoder, shape, described.labels)
