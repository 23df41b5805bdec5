"""Losses that keep the dimensions of embeddings apart: Barlow Twins and VICReg.

Rows are pictures: row i of `z_a` and row i of `z_b` (N, D) are two views of one. N of at least 2.
Computed in float32 at least, under autocast too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision


def barlow_twins(z_a: Tensor, z_b: Tensor, off_diagonal: float) -> Tensor:
    """Returns how far the cross-correlation of the views is from the identity.

    The squared distance, entries off the diagonal weighed by `off_diagonal`. Each view is
    standardised with its own mean and biased variance (plus 1e-5), as by a batch norm. Source:
    Zbontar et al. 2021, eq. 1 and Algorithm 1.
    """
    with torch.autocast(z_a.device.type, enabled=False):
        correlation = _standardized(z_a).T @ _standardized(z_b) / len(z_a)
        on = correlation.diagonal()
        off = correlation.square().sum() - on.square().sum()
        return (1 - on).square().sum() + off_diagonal * off


def invariance(z_a: Tensor, z_b: Tensor) -> Tensor:
    """Returns the mean squared difference of the views.

    Source: Bardes et al. 2022, eq. 5. Differs from the equation, as the official code does: divided
    by D, too.
    """
    with torch.autocast(z_a.device.type, enabled=False):
        return F.mse_loss(full_precision(z_a), full_precision(z_b))


def variance(z: Tensor) -> Tensor:
    """Returns how far standard deviations are below 1, on average: 0 to 0.99.

    Source: Bardes et al. 2022 (VICReg), eq. 1 and 2, with epsilon 1e-4.
    """
    with torch.autocast(z.device.type, enabled=False):
        deviation = (full_precision(z).var(dim=0) + 1e-4).sqrt()
        return F.relu(1 - deviation).mean()


def covariance(z: Tensor) -> Tensor:
    """Returns the squared covariances of different dimensions, summed, over D.

    Source: Bardes et al. 2022 (VICReg), eq. 3 and 4.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = full_precision(z)
        z = z - z.mean(dim=0)
        matrix = z.T @ z / (len(z) - 1)
        off = matrix.square().sum() - matrix.diagonal().square().sum()
        return off / z.shape[1]


def _standardized(z: Tensor) -> Tensor:
    z = full_precision(z)
    return (z - z.mean(dim=0)) / (z.var(dim=0, correction=0) + 1e-5).sqrt()
