"""SimCLR in the loop that lightly's documentation shows: its transform in a DataLoader, its head, its loss. `throughput` and
`views` compare with it where lightly is installed (pip install lightly)."""

from __future__ import annotations

import time
import warnings
from argparse import ArgumentTypeError
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

INSTALLED = find_spec("lightly") is not None


def peer(name: str) -> str:
    """What may be said after --against."""
    if name != "lightly":
        raise ArgumentTypeError(f"the peer is lightly, not {name}")
    if not INSTALLED:
        raise ArgumentTypeError("lightly is not installed: pip install lightly")
    return name


def transform() -> Callable[[Image.Image], list[torch.Tensor]]:
    """Two views of a picture, 32 px, with the settings that `throughput` gives ours: no blur, half the colour jitter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightly.transforms import SimCLRTransform
    return SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0)  # type: ignore[no-any-return]


class Pictures(Dataset[Any]):
    """As many as are asked for: `images` (N, 32, 32, 3) uint8 again and again."""

    def __init__(self, images: NDArray[np.uint8], length: int) -> None:
        self._images, self._length = images, length
        self._transform = transform()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return self._transform(Image.fromarray(self._images[index % len(self._images)]))


def images_per_second(
    encoder: nn.Module,
    width: int,
    images: NDArray[np.uint8],
    batch_size: int,
    steps: int,
    bf16: bool,
    workers: int,
) -> float:
    """Of `steps` training steps on this machine's device, after as many again to warm up (3 at most). An image counts once.

    `encoder`: (B, 3, 32, 32) -> (B, width).
    """
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    warm_up = min(3, steps)
    model = nn.Sequential(encoder, SimCLRProjectionHead(width, width, 128)).to(device)
    criterion = NTXentLoss(0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    pictures = Pictures(images, (warm_up + steps) * batch_size)
    loader = DataLoader(pictures, batch_size, shuffle=True, drop_last=True, num_workers=workers)
    began = 0.0
    for step, (first, second) in enumerate(loader):
        if step == warm_up:
            began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = criterion(model(first.to(device)), model(second.to(device)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loss.item()  # waits for the device
    return steps * batch_size / (time.perf_counter() - began)
