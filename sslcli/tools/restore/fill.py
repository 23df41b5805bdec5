"""Restores pictures of any size by a trained run's method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.evaluation.tiling import restored
from sslcli.method import Restorer
from sslcli.tools.restore.runs import cannot_restore
from sslcli.trained.method import read_method

Pixels = NDArray[np.uint8]
"""(H, W, C), C 1 or 3."""
Hidden = NDArray[np.bool_]
"""(H, W), True where the picture is to be restored."""


def load_restorer(run: Path, device: DeviceChoice) -> Callable[[Pixels, Hidden], Pixels]:
    """Returns the run's method as a function of a picture of any size.

    It changes no pixel that is not hidden.
    """
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    method = read_method(run)
    if not isinstance(method, Restorer):
        raise cannot_restore(run, f"holds a {type(method).__name__}")
    for module in method.modules().values():
        compute.to_device(module)
        module.eval()

    def tiles(damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return method.restore(damaged.to(compute.device), hidden.to(compute.device)).float().cpu()

    def restore(pixels: Pixels, hidden: Hidden) -> Pixels:
        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div_(255)
        mask = torch.from_numpy(hidden)[None]
        # A denoiser also reads the pixels under the mask: it restores all, and the mask selects.
        mask = torch.ones_like(mask) if method.uses_damaged_pixels() else mask
        with torch.no_grad():
            parts = [
                restored(part, mask, tiles, method.preprocessing.resolution)
                for part in _channels_for(picture, method.preprocessing.channels)
            ]
        result = torch.cat(parts)
        if len(result) != len(picture):  # a grey picture that was given as a coloured one
            result = result.mean(dim=0, keepdim=True)
        new = result.mul_(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()
        return np.where(hidden[..., None], new, pixels)

    return restore


def _channels_for(picture: Tensor, channels: int) -> Iterable[Tensor]:
    """Splits or repeats a picture (C, H, W) into pictures of `channels`.

    A grey network restores each colour on its own; a coloured one gets a grey picture as three
    equal colours.
    """
    if channels == len(picture):
        return [picture]
    return picture[:, None] if channels == 1 else [picture.expand(channels, -1, -1)]
