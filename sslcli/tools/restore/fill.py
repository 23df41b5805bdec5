"""Restores pictures of any size by a trained run's method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.values import file_range, to_unit
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.tiling import restored
from sslcli.method import Restorer
from sslcli.trained.able_runs import RESTORES, unable
from sslcli.trained.method import read_method

Pixels = NDArray[Any]
"""(H, W, C), of any type of numbers."""
Hidden = NDArray[np.bool_]
"""(H, W), True where the picture is to be restored."""


def load_restorer(run: Path, device: DeviceChoice) -> Callable[[Pixels, Hidden, bool], Pixels]:
    """Returns the run's method as a function of a picture of any size.

    It changes no pixel that is not hidden.
    """
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    method = read_method(run)
    if not isinstance(method, Restorer):
        raise unable(run, f"holds a {type(method).__name__}", RESTORES)
    for module in method.modules().values():
        compute.to_device(module)
        module.eval()

    def tiles(damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return method.restore(damaged.to(compute.device), hidden.to(compute.device)).float().cpu()

    def restore(pixels: Pixels, hidden: Hidden, is_unit: bool) -> Pixels:
        low, high = file_range(pixels, None if is_unit else method.preprocessing.range)
        require_restorable(pixels, method.preprocessing.channels)
        picture = torch.from_numpy(to_unit(pixels, (low, high))).permute(2, 0, 1)
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
        result = result if pixels.dtype == np.uint8 else result.double()
        values = result.clamp(0, 1).mul(high - low).add(low).permute(1, 2, 0).numpy()
        new = as_stored(values, pixels.dtype)
        return np.where(hidden[..., None], new, pixels)

    return restore


def require_restorable(pixels: Pixels, channels: int) -> None:
    """Raises SslcliError for other channels than the network can be given."""
    have = pixels.shape[2]
    if have != channels and channels != 1 and have != 1:
        message = f"the picture has {have} channels, the network was trained on {channels}"
        raise SslcliError(message, f"give pictures of {channels} channels")


def as_stored(values: NDArray[Any], dtype: np.dtype[Any]) -> Pixels:
    """Converts values to a file's type of numbers: rounded, and cut to what it holds."""
    if dtype.kind == "f":
        return values.astype(dtype)
    ends = np.iinfo(dtype)
    whole: Pixels = values.round().clip(ends.min, ends.max)
    return whole.astype(dtype)


def _channels_for(picture: Tensor, channels: int) -> Iterable[Tensor]:
    """Splits or repeats a picture (C, H, W) into pictures of `channels`.

    A grey network restores each colour on its own; a coloured one gets a grey picture as three
    equal colours.
    """
    if channels == len(picture):
        return [picture]
    return picture[:, None] if channels == 1 else [picture.expand(channels, -1, -1)]
