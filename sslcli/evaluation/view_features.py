"""Features of a method's own random views, for what is measured without labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.evaluation.features import eval_mode, finite
from sslcli.generators import kept_generators, seed_generators
from sslcli.method import Method, views_by_size
from sslcli.seeding import derive_seed

NUM_VIEWED = 256
"""Validation pictures whose views are looked at during training."""
BATCH = 256


def view_features(
    method: Method, images: NDArray[np.uint8], device: torch.device, num_draws: int = 1
) -> Tensor | None:
    """Images (N, H, W, C) -> (V, N, D) float32: features of `num_draws` times as many views as the
    method makes of a picture, in eval mode, without gradient; of views of several sizes, those of
    the first. None where the method does not make two views or more that its encoder takes.

    The views are the same at every call, and the generators go on as if none had been drawn.
    """
    found = []
    with kept_generators(), torch.no_grad(), eval_mode(method.encoder):
        for start in range(0, len(images), BATCH):
            some = torch.tensor(images[start : start + BATCH]).to(device)
            drawn = []
            for draw in range(num_draws):
                seed_generators(derive_seed("view_features", draw, start))
                views = views_by_size(method.views_of(some))[0]
                if not _are_pairs(views, len(some), method):
                    return None
                h = method.encoder(views)
                drawn.append(finite(h).view(-1, len(some), h.shape[1]))
            found.append(torch.cat(drawn))
    return torch.cat(found, dim=1) if found else None


def _are_pairs(views: Tensor, num_images: int, method: Method) -> bool:
    shape = method.preprocessing
    if views.shape[1:] != (shape.channels, shape.resolution, shape.resolution):
        return False
    return len(views) % num_images == 0 and len(views) >= 2 * num_images
