"""Draws where an encoder's class token looks in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.restoration_monitor import as_images, some_of
from sslcli.method import Method
from sslcli.report.display import AS_THEY_ARE, Display
from sslcli.report.pictures import save_grid

NUM_SHOWN = 12
"""Validation pictures that are shown."""


@runtime_checkable
class Attending(Protocol):
    """An encoder whose last block says where its class token looks: a ViT."""

    def attention(self, pictures: Tensor) -> Tensor:
        """Returns the weights of every patch (N, heads, h, w), not negative."""
        ...


def save_attention(
    path: Path,
    method: Method,
    val: ImageSet,
    compute: Compute,
    display: Display = AS_THEY_ARE,
) -> None:
    """Draws pictures, each beside the attention of every head of the last block.

    White is the patch that a head looks at most, in each picture.
    """
    encoder = method.encoder
    assert isinstance(encoder, Attending)
    assert isinstance(encoder, nn.Module)
    pictures = some_of(val, NUM_SHOWN, compute.device)
    with torch.no_grad(), eval_mode(encoder):
        weights = encoder.attention(method.preprocessing.normalized(pictures)).float()
    weights = weights / weights.amax(dim=(2, 3), keepdim=True).clamp(min=1e-12)
    shown = display.of_pictures(pictures)
    columns = {"picture": shown}
    for head in range(weights.shape[1]):
        columns[f"head {head + 1}"] = _enlarged(as_images(weights[:, head : head + 1]), shown)
    save_grid(path, columns, display.words)


def _enlarged(maps: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, h, w, 1) -> the shape of the pictures (N, H, W, C), by repeating."""
    num, height, width, channels = pictures.shape
    rows = np.arange(height) * maps.shape[1] // height
    columns = np.arange(width) * maps.shape[2] // width
    return np.broadcast_to(maps[:, rows][:, :, columns], (num, height, width, channels))
