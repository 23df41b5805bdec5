"""A method that fills holes at once, and pictures to be restored by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from doubles import Outcome
from PIL import Image
from torch import Tensor

from sslcli.method import Method, Preprocessing

RNG = np.random.default_rng(0)
Restore = Callable[..., Outcome]


@dataclass
class MeanFiller(Method):
    """Fills with the mean of what is visible in the tile; where nothing is, makes the picture darker by half."""

    encoder: Any
    preprocessing: Preprocessing
    tiles: list[torch.Size]

    def uses_damaged_pixels(self) -> bool:
        return False

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not self.encoder.training
        self.tiles.append(damaged.shape)
        visible = (~hidden).float()
        count = visible.sum(dim=(2, 3), keepdim=True)
        mean = (damaged * visible).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
        return torch.where(count > 0, mean.expand_as(damaged), damaged / 2)


def colour(height: int = 24, width: int = 30) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 200, (height, width, 3), dtype=np.uint8)


def hole(height: int = 24, width: int = 30) -> np.ndarray[Any, Any]:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[5:11, 7:15] = 255
    return mask


def save(path: Path | str, array: np.ndarray[Any, Any], **options: Any) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return Path(path)


def pixels(path: Path | str) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.array(image)
