"""Turns, mirrors and bends views: for pictures that have no up and down.

N views, C channels, S pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from sslcli.augment.operation import rows_of
from sslcli.augment.picture_noise import draw_seeds, uniform
from sslcli.transfer import sent


@dataclass(frozen=True)
class VerticalFlip:
    """Mirrors top and bottom, with `probability`."""

    moves: ClassVar[bool] = True
    probability: float

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N,) bool."""
        return torch.rand(num_images) < self.probability

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        rows = rows_of(drawn, views)
        if rows is not None:
            views.index_copy_(0, rows, views.index_select(0, rows).flip(2))


@dataclass(frozen=True)
class QuarterTurns:
    """Turns, with `probability`, by 90, 180 or 270 degrees, each as often."""

    moves: ClassVar[bool] = True
    probability: float

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N,) int64 from 0 to 3: the number of quarter turns, counterclockwise."""
        turns = torch.randint(1, 4, (num_images,))
        return turns.masked_fill_(torch.rand(num_images) >= self.probability, 0)

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        for turns in (1, 2, 3):
            rows = rows_of(drawn == turns, views)
            if rows is not None:
                views.index_copy_(0, rows, views.index_select(0, rows).rot90(turns, (2, 3)))


@dataclass(frozen=True)
class Warp:
    """Turns by up to `degrees` either way and, with probability `elastic`, bends.

    Bilinear, and once where both are done. What comes from outside of the view is the view
    mirrored at its border, so that no dark corner tells the angle.

    Bending moves each pixel by noise that is blurred by `sigma` pixels and multiplied by
    `alpha` / 2 pixels, as torchvision's ElasticTransform does.
    """

    moves: ClassVar[bool] = True
    degrees: float
    elastic: float
    alpha: float
    sigma: float

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N, 3) float64: degrees counterclockwise; 1 where it is bent, else 0; a seed."""
        drawn = torch.zeros(num_images, 3, dtype=torch.float64)
        if self.degrees:
            drawn[:, 0] = torch.rand(num_images).mul_(2).sub_(1).mul_(self.degrees)
        if self.elastic:
            drawn[:, 1] = torch.rand(num_images) < self.elastic
            drawn[:, 2] = draw_seeds(num_images)
        return drawn

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        rows = rows_of(drawn[:, :2].any(1), views)
        if rows is None:
            return
        drawn = drawn[drawn[:, :2].any(1)]
        side, device = views.shape[2], views.device
        grid = turned_grid(sent(drawn[:, 0].float(), device), side)
        if bool(drawn[:, 1].any()):
            bent, seeds = sent(drawn[:, 1:], device).unbind(1)
            field = displacement(seeds, side, self.alpha, self.sigma)
            grid = grid + field * bent.float().view(-1, 1, 1, 1)
        some = views.index_select(0, rows)
        warped = grid_sample(some, grid, "bilinear", "reflection", align_corners=False)
        views.index_copy_(0, rows, warped)


def turned_grid(degrees: Tensor, side: int) -> Tensor:
    """Returns (N, S, S, 2): where each pixel of a view turned counterclockwise comes from.

    x and y, from -1 to 1 between the view's borders.
    """
    place = (torch.arange(side, device=degrees.device) * 2 + 1) / side - 1
    y, x = place.view(-1, 1), place
    angle = (degrees * (math.pi / 180)).view(-1, 1, 1)
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=3)


def displacement(seeds: Tensor, side: int, alpha: float, sigma: float) -> Tensor:
    """Returns (N, S, S, 2): how far each pixel is moved, in x and y, in halves of the side."""
    noise = uniform(seeds, 2 * side * side).mul_(2).sub_(1).view(-1, 2, side, side)
    blur = blur_matrix(side, sigma, seeds.device)
    return (blur @ noise @ blur.mT).mul_(alpha / side).permute(0, 2, 3, 1)


def blur_matrix(side: int, sigma: float, device: torch.device) -> Tensor:
    """Returns (S, S): a Gaussian blur of a row of pixels, mirrored at the borders.

    The kernel ends at 4 `sigma`, as in torchvision's ElasticTransform.
    """
    margin = (int(8 * sigma + 1) | 1) // 2
    offsets = torch.arange(-margin, margin + 1, device=device)
    weights = (-0.5 * (offsets / sigma).square()).softmax(0).expand(side, -1)
    period = max(1, 2 * (side - 1))
    source = (torch.arange(side, device=device).unsqueeze(1) + offsets).remainder(period)
    source = torch.minimum(source, period - source).clamp_(max=side - 1)
    return torch.zeros(side, side, device=device).scatter_add_(1, source, weights)
