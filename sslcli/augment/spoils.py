"""Stretches the contrast of views, adds noise, and hides parts or channels of them.

N views, C channels, S pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sslcli.augment.crop import attempts, first_that_fits
from sslcli.augment.operation import rows_of
from sslcli.augment.picture_noise import draw_seeds, normal
from sslcli.transfer import sent


@dataclass(frozen=True)
class AutoContrast:
    """Stretches, with `probability`, each channel to go from 0 to 1.

    Equals torchvision's `autocontrast`: a channel of one value stays as it is.
    """

    moves: ClassVar[bool] = False
    probability: float

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N,) bool."""
        return torch.rand(num_images) < self.probability

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        rows = rows_of(drawn, views)
        if rows is None:
            return
        some = views.index_select(0, rows)
        low, high = some.amin((2, 3), keepdim=True), some.amax((2, 3), keepdim=True)
        flat = high == low
        stretched = (some - low.masked_fill(flat, 0)) / (high - low).masked_fill_(flat, 1)
        views.index_copy_(0, rows, stretched.clamp_(0, 1))


@dataclass(frozen=True)
class Noise:
    """Adds, with `probability`, Gaussian noise, for each pixel and channel its own.

    A view's deviation is drawn from `std`: from, to; 1 is white. What leaves [0, 1] is cut off.
    """

    moves: ClassVar[bool] = False
    probability: float
    std: tuple[float, float]

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N, 2) float64: the deviation, 0 for a view left alone; a seed."""
        std = torch.empty(num_images).uniform_(*self.std)
        std.masked_fill_(torch.rand(num_images) >= self.probability, 0)
        return torch.stack([std.double(), draw_seeds(num_images)], dim=1)

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        rows = rows_of(drawn[:, 0] > 0, views)
        if rows is None:
            return
        std, seeds = sent(drawn[drawn[:, 0] > 0], views.device).unbind(1)
        some = views.index_select(0, rows)
        noise = normal(seeds, some[0].numel()).view_as(some)
        noisy = some.addcmul_(noise, std.float().view(-1, 1, 1, 1)).clamp_(0, 1)
        views.index_copy_(0, rows, noisy)


@dataclass(frozen=True)
class Erasing:
    """Hides, with `probability`, a rectangle under the view's mean colour.

    `scale` is the part of the area, `ratio` height over width: from, to. Source: Zhong et al. 2020,
    by torchvision's RandomErasing, whose distribution this is. Differs: torchvision fills with 0.
    """

    moves: ClassVar[bool] = False
    probability: float
    scale: tuple[float, float]
    ratio: tuple[float, float]

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N, 4) int64: top, left, height, width; height 0 for a view left alone."""
        width, height = attempts(self.scale, self.ratio, num_images, side)
        size, fits = first_that_fits(torch.stack([height, width]), side - 1)
        corner = (torch.rand(2, num_images) * (side - size + 1)).long()
        erased = fits & (torch.rand(num_images) < self.probability)
        return torch.cat([corner, size]).t() * erased.unsqueeze(1)

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        rows = rows_of(drawn[:, 2] > 0, views)
        if rows is None:
            return
        boxes = sent(drawn[drawn[:, 2] > 0], views.device)
        top, left, height, width = boxes.t().unsqueeze(2)
        place = torch.arange(views.shape[2], device=views.device)
        down = (place >= top) & (place < top + height)
        across = (place >= left) & (place < left + width)
        hidden = (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1)
        some = views.index_select(0, rows)
        views.index_copy_(0, rows, torch.where(hidden, some.mean((2, 3), keepdim=True), some))


@dataclass(frozen=True)
class ChannelDrop:
    """Makes each channel of a view 0 with `probability`; one at least is kept of each view."""

    moves: ClassVar[bool] = False
    probability: float

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws (N, C) bool: the channels that are kept."""
        drawn = torch.rand(num_images, channels)
        return (drawn >= self.probability) | (drawn == drawn.amax(dim=1, keepdim=True))

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        views.mul_(sent(drawn, views.device)[..., None, None])
