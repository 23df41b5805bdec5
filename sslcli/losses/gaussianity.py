"""SIGReg: holds embeddings to a Gaussian along random directions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable

from sslcli.losses.precision import full_precision
from sslcli.transfer import sent

LARGEST, NUM_KNOTS = 3.0, 17
"""The characteristic functions are compared at so many frequencies from 0 to the largest."""


def random_directions(width: int, num: int) -> Tensor:
    """Draws directions (width, num) of length 1 from the CPU's generator.

    So they are the same on every device, and in every process.
    """
    return F.normalize(torch.randn(width, num), dim=0)


def sigreg(z: Tensor, directions: Tensor) -> Tensor:
    """Returns how far embeddings (..., N, D) are from a standard Gaussian.

    The mean Epps-Pulley statistic of their projections on `directions` (D, M): the squared
    difference between the projections' characteristic function and the Gaussian's, integrated under
    a Gaussian window by trapezoids, times N. Computed in float32 at least, under autocast too.
    Source: Balestriero and LeCun 2025 (LeJEPA), as in the authors' minimal code
    (github.com/galilai-group/lejepa, MINIMAL.md).
    """
    with torch.autocast(z.device.type, enabled=False):
        z = full_precision(z)
        projected = z @ sent(directions.to(z.dtype), z.device)
        knots = torch.linspace(0, LARGEST, NUM_KNOTS, dtype=z.dtype, device=z.device)
        gaussian = (-knots.square() / 2).exp()
        real, imaginary = _CharacteristicFunction.apply(projected, knots)
        difference = (real - gaussian).square() + imaginary.square()
        # The integrand is even, so the negative frequencies count as much again.
        statistic = 2 * torch.trapezoid(difference * gaussian, knots, dim=-1)
        return z.shape[-2] * statistic.mean()


class _CharacteristicFunction(torch.autograd.Function):
    """The means of cosines and sines of (..., N, M) numbers times K knots: (..., M, K) each.

    Autograd would compute each again for the gradient of the other: 4 % of a step of LeJEPA.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
        angles = projected.unsqueeze(-1) * knots
        cosines, sines = angles.cos(), angles.sin_()
        ctx.save_for_backward(cosines, sines, knots)
        return cosines.mean(dim=-3), sines.mean(dim=-3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_real: Tensor, of_imaginary: Tensor) -> tuple[Tensor, None]:
        cosines, sines, knots = ctx.saved_tensors
        num = cosines.shape[-3]
        of_angles = sines * (of_real / -num).unsqueeze(-3)
        of_angles += cosines * (of_imaginary / num).unsqueeze(-3)
        return of_angles.mul_(knots).sum(dim=-1), None
