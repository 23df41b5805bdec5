"""The loop that lightly's documentation shows: its transform in a DataLoader, its heads, its loss. `lightly_methods` has the
methods; `throughput`, `methods`, `neighbours` and `views` compare with them where lightly is installed (pip install lightly)."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, Dataset

INSTALLED = find_spec("lightly") is not None
WARM_UP = 3
"""Steps before the clock starts."""


def peer(name: str) -> str:
    """What may be said after --against."""
    if name != "lightly":
        raise ArgumentTypeError(f"the peer is lightly, not {name}")
    if not INSTALLED:
        raise ArgumentTypeError("lightly is not installed: pip install lightly")
    return name


class Example(nn.Module):
    """A method as lightly's documentation trains it."""

    transform: Callable[[Image.Image], list[Tensor]]
    """A picture -> its views, 32 px."""

    def loss(self, views: list[Tensor]) -> Tensor:
        """Of a step, with what precedes the forward pass; a view is (B, 3, 32, 32)."""
        raise NotImplementedError

    def before_update(self) -> None:
        """What stands between the backward pass and the update."""

    def optimizer(self) -> Optimizer:
        return SGD(self.parameters(), lr=0.06)


class Pictures(Dataset[Any]):
    """As many as are asked for: `images` (N, 32, 32, 3) uint8 again and again."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        length: int,
        transform: Callable[[Image.Image], list[Tensor]],
    ) -> None:
        self._images, self._length, self._transform = images, length, transform

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> list[Tensor]:
        return self._transform(Image.fromarray(self._images[index % len(self._images)]))


def images_per_second(
    example: Example,
    images: NDArray[np.uint8],
    batch_size: int,
    steps: int,
    bf16: bool,
    workers: int,
) -> float:
    """Of `steps` training steps on this machine's device, after `WARM_UP` more. An image counts once, whatever its views."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    example = example.to(device)
    optimizer = example.optimizer()
    pictures = Pictures(images, (WARM_UP + steps) * batch_size, example.transform)
    loader = DataLoader(pictures, batch_size, shuffle=True, drop_last=True, num_workers=workers)
    began = 0.0
    for step, views in enumerate(loader):
        if step == WARM_UP:
            began = time.perf_counter()
        views = [view.to(device) for view in views]
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = example.loss(views)
        loss.backward()
        example.before_update()
        optimizer.step()
        optimizer.zero_grad()
    loss.item()  # waits for the device
    return steps * batch_size / (time.perf_counter() - began)
