"""Scores a method's restored validation pictures during training."""

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
"""Number of validation pictures that are scored."""
BATCH = 128


class RestorationMonitor:
    """Measures PSNR and SSIM of damaged and of restored validation pictures.

    The damage is as in training, and the same at every call. Only hidden pixels are compared with
    the originals.
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
    """Converts images (N, H, W, C) uint8 to (N, C, H, W) in [0, 1]."""
    return as_pictures(torch.tensor(images).to(device))


def some_of(part: ImageSet, at_most: int, device: torch.device) -> Tensor:
    """Returns evenly spaced pictures (N, C, H, W), as parts may be sorted by class."""
    return pictures_of(part.images[evenly_spaced(len(part), at_most)], device)


def as_images(pictures: Tensor) -> NDArray[np.uint8]:
    """Converts pictures (N, C, H, W) to images (N, H, W, C) uint8."""
    images: NDArray[np.uint8] = (
        (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    )
    return images


def damage(method: Restorer, pictures: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Damages pictures as in training; the same for one seed, generators untouched."""
    with kept_generators():
        seed_generators(seed)
        return method.damage(pictures)


def restore(
    method: Restorer, modules: nn.ModuleDict, damaged: Tensor, hidden: Tensor, compute: Compute
) -> Tensor:
    """Restores pictures batch by batch, in eval mode, without gradient."""
    with torch.no_grad(), eval_mode(modules), compute.autocast():
        batches = [slice(start, start + BATCH) for start in range(0, len(damaged), BATCH)]
        return torch.cat(
            [method.restore(damaged[batch], hidden[batch]).float() for batch in batches]
        )
