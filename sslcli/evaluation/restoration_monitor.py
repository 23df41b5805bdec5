"""Scores a method that restores pictures on validation pictures, during training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet, evenly_spaced
from sslcli.engine.device import Compute
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.restoration import restoration_scores
from sslcli.generators import kept_generators, seed_generators
from sslcli.method import Restorer, as_pictures

NUM_WATCHED = 256
"""Validation pictures that are scored."""
BATCH = 128


class RestorationMonitor:
    """Call it with the steps done: PSNR and SSIM of validation pictures damaged as in training, and
    restored; against the originals, where they were to be restored. The damage is the same at every
    call.
    """

    def __init__(
        self, method: Restorer, modules: dict[str, nn.Module], val: ImageSet, compute: Compute
    ) -> None:
        self._method = method
        self._modules = nn.ModuleDict(modules)
        self._pictures = some_of(val, NUM_WATCHED, compute.device)
        self._compute = compute

    def __call__(self, step: int) -> dict[str, float]:
        damaged, hidden = damage(self._method, self._pictures)
        restored = restore(self._method, self._modules, damaged, hidden, self._compute).where(
            hidden, self._pictures
        )
        before, after = (
            restoration_scores(given, self._pictures, hidden) for given in (damaged, restored)
        )
        return {
            **{f"damaged_{name}": before[name] for name in ("psnr", "ssim") if name in before},
            **{f"restored_{name}": after[name] for name in ("psnr", "ssim") if name in after},
        }


def pictures_of(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) in [0, 1]."""
    return as_pictures(torch.tensor(images).to(device))


def some_of(part: ImageSet, at_most: int, device: torch.device) -> Tensor:
    """(N, C, H, W) in [0, 1]: at even distances, for pictures may be sorted by class."""
    return pictures_of(part.images[evenly_spaced(len(part), at_most)], device)


def as_images(pictures: Tensor) -> NDArray[np.uint8]:
    """(N, C, H, W) -> (N, H, W, C) uint8."""
    images: NDArray[np.uint8] = (
        (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    )
    return images


def damage(method: Restorer, pictures: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """As in training, but the same for the same seed, and without a trace in the generators."""
    with kept_generators():
        seed_generators(seed)
        return method.damage(pictures)


def restore(
    method: Restorer, modules: nn.ModuleDict, damaged: Tensor, hidden: Tensor, compute: Compute
) -> Tensor:
    """In eval mode, without gradient, batch by batch."""
    with torch.no_grad(), eval_mode(modules), compute.autocast():
        batches = [slice(start, start + BATCH) for start in range(0, len(damaged), BATCH)]
        return torch.cat(
            [method.restore(damaged[batch], hidden[batch]).float() for batch in batches]
        )
