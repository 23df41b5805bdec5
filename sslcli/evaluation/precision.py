"""Computes in float64 where float32 cannot tell features apart."""

from __future__ import annotations

import torch
from torch import Tensor


def in_float64(values: Tensor) -> Tensor:
    """Returns the values in float64, on the CPU where the device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def directions(features: Tensor) -> Tensor:
    """Returns the L2-normalised features (N, D) in float64; zeros stay zero.

    Features may share a direction: those of a deep sigmoid network lie within a cone of 0.03
    degrees. Cosines of its pictures then differ by less than 1e-6, which float32, and still more
    TF32, rounds off.
    """
    features = features.cpu() if features.device.type == "mps" else features
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True, dtype=torch.float64)
    unit: Tensor = features / length.clamp(min=torch.finfo(torch.float64).tiny)
    return unit
