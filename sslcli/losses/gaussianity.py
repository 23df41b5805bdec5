"""SIGReg: embeddings are held to an isotropic Gaussian, seen along random directions."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision

LARGEST, NUM_KNOTS = 3.0, 17
"""The characteristic functions are compared at so many frequencies from 0 to the largest."""


def sigreg(z: Tensor, directions: Tensor) -> Tensor:
    """Returns how far embeddings (N, D) are from a standard Gaussian: the mean Epps-Pulley test.

    The embeddings are projected on `directions` (D, M), of any length. For each, the squared
    difference between the projections' characteristic function and the Gaussian's is integrated
    under a Gaussian window by trapezoids, and multiplied by N. Computed in float32, under autocast
    too. Source: Balestriero and LeCun 2025 (LeJEPA), eq. 8 and the authors' minimal code
    (github.com/galilai-group/lejepa, MINIMAL.md).
    """
    with torch.autocast(z.device.type, enabled=False):
        z = full_precision(z)
        projected = z @ F.normalize(directions.to(z.dtype), dim=0)
        knots = torch.linspace(0, LARGEST, NUM_KNOTS, dtype=z.dtype, device=z.device)
        gaussian = (-knots.square() / 2).exp()
        angles = projected.unsqueeze(2) * knots
        difference = (angles.cos().mean(0) - gaussian).square() + angles.sin().mean(0).square()
        # The integrand is even, so the negative frequencies count as much again.
        statistic = 2 * torch.trapezoid(difference * gaussian, knots, dim=1)
        return len(z) * statistic.mean()
