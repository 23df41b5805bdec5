"""The precision in which losses are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Returns the values in float32, or as they are where they are float64."""
    return values if values.dtype is torch.float64 else values.float()
