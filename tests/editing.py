"""An autoencoder whose codes are the pixels, and pictures to be edited by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from doubles import PREPROCESSING, Outcome
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet, Splits
from sslcli.data.picture_file import PictureFile
from sslcli.method import Method, Preprocessing
from sslcli.nets.encoder import Encoder
from sslcli.tools.edit.moves import Learned
from sslcli.trained.coder import Coder

Edit = Callable[..., Outcome]
RNG = np.random.default_rng(0)


class Flat(Encoder):
    """Its code is the picture itself."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.width = channels * side * side
        self.code_shape = (self.width,)
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.flatten(1) * self.one


@dataclass
class PixelCoding(Method):
    encoder: Encoder
    preprocessing: Preprocessing

    def decode(self, codes: Tensor) -> Tensor:
        shape = self.preprocessing
        return codes.view(-1, shape.channels, shape.resolution, shape.resolution).clamp(0, 1)


def coding(preprocessing: Preprocessing = PREPROCESSING) -> PixelCoding:
    fed = preprocessing.without_normalization()
    return PixelCoding(Flat(fed.channels, fed.resolution), fed)


def coder(preprocessing: Preprocessing = PREPROCESSING) -> Coder:
    return Coder(coding(preprocessing), torch.device("cpu"))


def file_of(
    pixels: NDArray[np.generic], alpha: NDArray[np.generic] | None = None, is_unit: bool = False
) -> PictureFile:
    return PictureFile(pixels, alpha, None, None, "PNG", is_unit=is_unit)


def two_classes(num: int = 24) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures 16 x 16: those of class 0 are red at the left, of class 1 blue at the right."""
    labels = np.arange(num) % 2
    images = np.random.default_rng(1).integers(0, 40, (num, 16, 16, 3), dtype=np.uint8)
    images[labels == 0, :, :8, 0] += 150
    images[labels == 1, :, 8:, 2] += 150
    return images, labels.astype(np.int64)


def learned(train: ImageSet, **of_splits: object) -> Learned:
    """What is learned of these training pictures; validation and test have pictures that are nan."""
    broken = ImageSet(np.full((4, 16, 16, 3), np.nan, np.float32))
    return Learned(coder(), Splits(train, broken, broken, **of_splits))  # type: ignore[arg-type]


def save_two_classes(path: Path) -> Path:
    images, labels = two_classes()
    np.savez(path, x_train=images, y_train=labels, classes=np.array(["left", "right"]))
    return path
