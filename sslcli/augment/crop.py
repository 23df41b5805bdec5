"""Crops at random, and magnifies back to the pictures' size.

N images, V views, C channels, S pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NUM_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomCrop:
    """Draws boxes of a random area and shape.

    `scale` is the part of the area, `ratio` width over height: from, to. Source: torchvision's
    RandomResizedCrop, whose distribution this is.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]

    def sample(self, num_images: int, resolution: int) -> Tensor:
        """Draws (N, 4) int64 on the CPU: top, left, height, width."""
        # All attempts of all pictures at once, then each picture's first that fits.
        area = torch.empty(NUM_ATTEMPTS, num_images).uniform_(*self.scale).mul_(resolution**2)
        ratio = torch.empty(NUM_ATTEMPTS, num_images).uniform_(*map(math.log, self.ratio)).exp_()
        size = torch.stack([(area / ratio).sqrt_(), (area * ratio).sqrt_()]).round_().long()
        fits = ((size > 0) & (size <= resolution)).all(0)
        first = fits.byte().argmax(0)
        size = size.gather(1, first.expand(2, 1, -1))[:, 0]
        corner = (torch.rand(2, num_images) * (resolution - size + 1)).long()
        boxes = torch.cat([corner, size]).t()
        return torch.where(fits.any(0).unsqueeze(1), boxes, self._central_box(resolution))

    def _central_box(self, resolution: int) -> Tensor:
        """Returns (4,), the box of a picture none of whose attempts fits."""
        height = max(1, round(resolution / self.ratio[0])) if self.ratio[0] > 1 else resolution
        width = max(1, round(resolution * self.ratio[1])) if self.ratio[1] < 1 else resolution
        return torch.tensor([(resolution - height) // 2, (resolution - width) // 2, height, width])


def resized_crop(images: Tensor, boxes: Tensor, flipped: Tensor) -> Tensor:
    """Resizes the boxes to views (V·N, C, S, S) float32 in [0, 1], some mirrored.

    `images` (N, S, S, C) uint8; `boxes` (V·N, 4) and `flipped` (V·N,) bool; row i is cut from image
    i mod N. Bilinear, and equal to torchvision's `resized_crop` with antialias, which changes
    nothing where a crop is magnified.
    """
    num_images, side, _, channels = images.shape
    num_crops = len(boxes)
    top, left, height, width = boxes.t().unsqueeze(2)
    forward = torch.arange(side, device=images.device).expand(num_crops, side)
    mirrored = torch.where(flipped.unsqueeze(1), side - 1 - forward, forward)
    # Bilinear is separable, and whole rows of a matrix are quickly copied: so first the pictures'
    # columns, which are rows of C·S numbers; then, turned once, their rows.
    source = images.permute(0, 2, 3, 1).to(torch.float32, memory_format=torch.contiguous_format)
    picture = torch.arange(num_crops, device=images.device).remainder_(num_images)
    columns = _interpolate(
        source.div_(255).view(num_images * side, channels * side),
        picture.mul_(side).unsqueeze(1) + left,
        *_neighbours(mirrored, width),
    )
    turned = columns.view(num_crops, side, channels, side).permute(0, 2, 3, 1).contiguous()
    plane = (
        torch.arange(num_crops * channels, device=images.device)
        .mul_(side)
        .view(num_crops, channels, 1)
    )
    first, second, weight = (part.unsqueeze(1) for part in _neighbours(forward, height))
    rows = _interpolate(
        turned.view(-1, side),
        plane + top.unsqueeze(1),
        first,
        second,
        weight.expand(num_crops, channels, side),
    )
    return rows.view(num_crops, channels, side, side)


def _neighbours(pixel: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns where output `pixel` (V·N, S) of a crop of `length` (V·N, 1) lies.

    Between which two pixels of the crop, and how far from the first towards the second, in [0, 1).
    """
    position = ((pixel + 0.5) * (length / pixel.shape[1]) - 0.5).clamp_(min=0)
    first = position.long()
    return first, torch.minimum(first + 1, length - 1), position - first


def _interpolate(
    table: Tensor, start: Tensor, first: Tensor, second: Tensor, weight: Tensor
) -> Tensor:
    """Interpolates between rows start + first and start + second, for every `weight`."""
    low = table.index_select(0, (start + first).flatten())
    high = table.index_select(0, (start + second).flatten())
    return low.lerp_(high, weight.reshape(-1, 1))
