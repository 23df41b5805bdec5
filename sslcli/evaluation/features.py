"""Computes the features of pictures, and raw pixels as their baseline.

Shapes: N images, H W C, D the encoder's width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle

from sslcli.data.images import Pixels
from sslcli.errors import RunFailed, SslcliError
from sslcli.method import Preprocessing, as_pictures
from sslcli.nets.encoder import Encoder
from sslcli.preprocessing import full_scale

BATCH = 512
"""Pictures that an encoder is given at a time."""


def features(
    encoder: nn.Module,
    images: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    batch_size: int = BATCH,
) -> Tensor:
    """Returns the features (N, D), float32 on `device`, of images (N, H, W, C).

    In eval mode, which is then undone, and in float32: bf16 cannot resolve deep sigmoid codes.
    Raises SslcliError where the pictures do not fit, RunFailed where features are not finite.
    """
    return finite(_computed(encoder, encoder, images, preprocessing, device, batch_size))


def feature_maps(
    encoder: Encoder,
    images: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    batch_size: int = 64,
) -> Tensor:
    """Returns the encoder's maps (N, D, h, w), float32 on `device`; else as `features`.

    Raises SslcliError also where the encoder knows no places.
    """
    found = _computed(encoder, encoder.maps, images, preprocessing, device, batch_size)
    return finite(found.flatten(1)).view(found.shape)


def _computed(
    encoder: nn.Module,
    compute: Callable[[Tensor], Tensor],
    images: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    batch_size: int,
) -> Tensor:
    """Returns what `compute`, of an encoder in eval mode, makes of the pictures."""
    require_fit(images, preprocessing)
    batches = []
    with torch.no_grad(), eval_mode(encoder):
        for start in range(0, len(images), batch_size):
            stored = torch.tensor(images[start : start + batch_size]).to(device)
            batches.append(compute(fed(stored, preprocessing)))
    return torch.cat(batches)


def fed(stored: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Returns what an encoder is fed of stored pictures (N, H, W, C), on their device."""
    pictures = preprocessing.normalized(as_pictures(stored))
    return pictures.contiguous(memory_format=torch.channels_last)


def finite(found: Tensor) -> Tensor:
    """Returns the features (N, D) unchanged; raises RunFailed if any is not finite."""
    num_broken = int((~found.isfinite()).any(dim=1).sum())
    if num_broken:
        raise RunFailed(
            f"the encoder's features are not finite for {num_broken:,} of {len(found):,} pictures",
            "its weights have diverged: lower the learning rate",
        )
    return found


LARGEST_PIXELS = 32
"""Side to which larger pictures are shrunk: a probe's cost grows with the square of D."""


def pixels(images: Pixels) -> Tensor:
    """Returns raw pixels (N, D), float32 in [0, 1] on the CPU, as features.

    Larger images (N, H, W, C) are shrunk by averaging, so that D is at most 32 * 32 * C.
    """
    if max(images.shape[1:3]) <= LARGEST_PIXELS:
        whole = torch.tensor(images[:])
        return whole.flatten(1).float().div_(full_scale(whole.dtype))
    shrunk = [
        interpolate(
            as_pictures(torch.tensor(images[rows])), size=LARGEST_PIXELS, mode="area"
        ).flatten(1)
        for rows in np.array_split(np.arange(len(images)), math.ceil(len(images) / 512))
    ]
    return torch.cat(shrunk)


FINE = 4
"""Colours a side by which raw pixels describe a place."""


def pixel_maps(images: Pixels, side: int, device: torch.device) -> Tensor:
    """Returns raw pixels as maps (N, D, side, side), float32 in [0, 1], on `device`.

    A place holds FINE x FINE mean colours of images (N, H, W, C).
    """
    shrunk = interpolate(as_pictures(torch.tensor(images[:])), size=FINE * side, mode="area")
    return pixel_unshuffle(shrunk, FINE).to(device)


def require_fit(images: Pixels, preprocessing: Preprocessing) -> None:
    """Raises SslcliError unless the pictures have the encoder's size and channels."""
    height, width, channels = images.shape[1:]
    size = preprocessing.resolution
    if channels != preprocessing.channels:
        raise SslcliError(
            f"the pictures have {channels} channels, the encoder was trained on "
            f"{preprocessing.channels}",
            f"load the data with {preprocessing.channels} channels, or use an encoder "
            f"trained on {channels}",
        )
    if (height, width) != (size, size):
        raise SslcliError(
            f"the pictures are {height} x {width} pixels, the encoder was trained on {size} "
            f"x {size}",
            f"load the data at a resolution of {size}, or use an encoder trained on such pictures",
        )


@contextmanager
def eval_mode(encoder: nn.Module) -> Iterator[None]:
    """Puts the module and its parts in eval mode, and restores each one's mode."""
    # Module by module: a part may have been put in eval mode on its own (frozen batch norm).
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
