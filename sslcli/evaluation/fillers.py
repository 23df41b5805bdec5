"""Fills holes without training, as baselines for a network that does it.

Every filler takes `pictures` (N, C, H, W) in [0, 1], with any values in the hole, and `hidden`
(N, 1, H, W) bool, and returns the pictures with the hole filled; visible pixels are unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import Pixels, Track, untracked
from sslcli.errors import SslcliError
from sslcli.preprocessing import full_scale
from sslcli.transfer import per_channel

BLOCK = 2**23
"""The largest number of values of the bank, and of distances, at a time: about 32 MiB each."""


def mean_fill(pictures: Tensor, hidden: Tensor, mean: Sequence[float]) -> Tensor:
    """Fills the hole with one colour: `mean`, one number a channel."""
    return torch.where(hidden, per_channel(mean, pictures), pictures)


def nearest_patch(pictures: Tensor, hidden: Tensor, bank: Pixels) -> Tensor:
    """Fills the hole from the picture of `bank` with the nearest visible pixels.

    `bank` is (M, H, W, C); the distance is L2. Of equally near pictures the first is taken.
    """
    nearest = _nearest(pictures.masked_fill(hidden, 0), ~hidden, bank)
    return torch.where(hidden, _pictures(bank[nearest.cpu().numpy()], pictures), pictures)


def biharmonic(pictures: Tensor, hidden: Tensor, track: Track = untracked) -> Tensor:
    """Continues the picture smoothly into the hole, by scikit-image on the CPU.

    Raises SslcliError where scikit-image is missing.
    """
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise SslcliError(
            "biharmonic inpainting needs scikit-image", "pip install 'sslcli[inpainting]'"
        ) from None
    known = pictures.masked_fill(hidden, 0).movedim(1, 3).cpu().numpy()
    holes = hidden[:, 0].cpu().numpy()
    pairs = track(zip(known, holes, strict=True), total=len(holes), label="biharmonic inpainting")
    filled = np.stack(
        [inpaint_biharmonic(picture, hole, channel_axis=-1) for picture, hole in pairs]
    )
    return torch.where(hidden, torch.from_numpy(filled).movedim(3, 1).to(pictures), pictures)


def _nearest(known: Tensor, visible: Tensor, bank: Pixels) -> Tensor:
    """Returns the row (N,) of the nearest picture of `bank`.

    `known` (N, C, H, W) is 0 where it is not `visible` (N, 1, H, W).
    """
    queries, seen = known.flatten(1), visible.flatten(1).to(known.dtype)
    least = known.new_full((len(known),), float("inf"))
    nearest = torch.zeros(len(known), dtype=torch.long, device=known.device)
    some = max(1, min(BLOCK // queries.shape[1], BLOCK // len(known)))
    for start in range(0, len(bank), some):
        block = _pictures(bank[start : start + some], known)
        # |k - b|^2 over the visible pixels, less |k|^2, which is the same for the whole bank.
        distance = torch.addmm(
            seen @ block.square().sum(dim=1).flatten(1).T, queries, block.flatten(1).T, alpha=-2
        )
        here, row = distance.min(dim=1)
        nearest = torch.where(here < least, row + start, nearest)
        least = torch.minimum(here, least)
    return nearest


def _pictures(images: NDArray[Any], like: Tensor) -> Tensor:
    """Converts images (M, H, W, C) to (M, C, H, W) in [0, 1].

    The dtype and the device are those of `like`.
    """
    scale = full_scale(images.dtype)
    return torch.tensor(images, device=like.device).permute(0, 3, 1, 2).to(like.dtype) / scale
