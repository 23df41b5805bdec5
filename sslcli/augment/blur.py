"""Blurs each picture (N, C, H, W) by a Gaussian of its own width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from sslcli.augment.operation import rows_of
from sslcli.transfer import sent


@dataclass(frozen=True)
class RandomBlur:
    """Blurs, with `probability`, by a deviation drawn from `sigma` (pixels: from, to).

    The kernel is as wide as `kernel` times the side, made odd, at least 3 pixels.
    """

    probability: float
    sigma: tuple[float, float]
    kernel: float

    def sample(self, num_images: int) -> Tensor:
        """Draws (N,) standard deviations on the CPU, 0 for a picture left alone."""
        sigma = torch.empty(num_images).uniform_(*self.sigma)
        return sigma.masked_fill_(torch.rand(num_images) >= self.probability, 0)

    def apply_(self, images: Tensor, sigma: Tensor) -> None:
        """Blurs in place; `sigma` is on the CPU, wherever `images` are."""
        rows = rows_of(sigma > 0, images)
        if rows is None:
            return
        side = min(images.shape[2:])
        size = min(max(3, int(self.kernel * images.shape[2]) | 1), 2 * side - 1)  # what it mirrors
        sigma = sent(sigma[sigma > 0], images.device)
        images.index_copy_(0, rows, gaussian_blur(images.index_select(0, rows), sigma, size))


def gaussian_blur(images: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Blurs by `sigma` (N,) pixels, with a kernel `size` wide.

    The border is mirrored, as torchvision does.
    """
    # torchvision's kernel is exp(-x²/sigma²) over x stretched by 1/sqrt(2): the Gaussian at whole
    # pixels.
    offsets = torch.arange(size, device=images.device) - size // 2
    weights = (-0.5 * (offsets / sigma.unsqueeze(1)).square()).softmax(1)
    margin = size // 2
    padded = pad(images, (margin, margin, margin, margin), mode="reflect")
    return _weighted_sum(_weighted_sum(padded, weights, dim=2), weights, dim=3)


def _weighted_sum(images: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Sums every window of K pixels along `dim`, weighed by `weights` (N, K)."""
    # K passes over the whole batch; a convolution would need a group for every picture.
    size = weights.shape[1]
    length = images.shape[dim] - size + 1
    factors = weights.t().reshape(size, -1, 1, 1, 1)
    total = images.narrow(dim, 0, length) * factors[0]
    for shift in range(1, size):
        total.addcmul_(images.narrow(dim, shift, length), factors[shift])
    return total
