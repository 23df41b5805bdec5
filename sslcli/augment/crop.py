"""Random crops, brought back to the pictures' size or to a smaller one.

N images, V views, C channels, S pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.preprocessing import as_pictures, full_scale

NUM_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomCrop:
    """Draws boxes of a random area and shape.

    `scale` is the part of the area, `ratio` width over height: from, to. A crop has `size` times
    `of` pixels a side; None: the picture's. Source: torchvision's RandomResizedCrop, whose
    distribution this is.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]
    size: float = 1.0
    of: int | None = None

    def side(self, resolution: int) -> int:
        """Returns the pixels of a crop's side."""
        return max(1, round(self.size * (self.of or resolution)))

    def sample(self, num_images: int, resolution: int, aspects: Tensor | None = None) -> Tensor:
        """Draws (N, 4) int64 on the CPU: top, left, height, width.

        `aspects` (N,): width over height of pictures that were squeezed to squares. `ratio` is then
        that of a box unsqueezed.
        """
        size, fits = first_that_fits(
            attempts(self.scale, self.ratio, num_images, resolution, aspects), resolution
        )
        corner = (torch.rand(2, num_images) * (resolution - size + 1)).long()
        boxes = torch.cat([corner, size]).t()
        if aspects is None:
            return torch.where(fits.unsqueeze(1), boxes, self._central_box(resolution, 1.0))
        for row in (~fits).nonzero().flatten().tolist():
            boxes[row] = self._central_box(resolution, float(aspects[row]))
        return boxes

    def _central_box(self, resolution: int, aspect: float) -> Tensor:
        """Returns (4,), the box of a picture none of whose attempts fits."""
        low, high = (ratio / aspect for ratio in self.ratio)
        height = max(1, round(resolution / low)) if low > 1 else resolution
        width = max(1, round(resolution * high)) if high < 1 else resolution
        return torch.tensor([(resolution - height) // 2, (resolution - width) // 2, height, width])


def attempts(
    scale: tuple[float, float],
    ratio: tuple[float, float],
    num_images: int,
    resolution: int,
    aspects: Tensor | None = None,
) -> Tensor:
    """Draws (2, NUM_ATTEMPTS, N) int64 on the CPU: heights and widths, where they fit or not.

    `scale` is the part of the area, `ratio` width over height, log-uniform: from, to; of pictures
    that were squeezed by `aspects` (N,), that of boxes unsqueezed.
    """
    area = torch.empty(NUM_ATTEMPTS, num_images).uniform_(*scale).mul_(resolution**2)
    shape = torch.empty(NUM_ATTEMPTS, num_images).uniform_(*map(math.log, ratio)).exp_()
    if aspects is not None:
        shape /= aspects
    return torch.stack([(area / shape).sqrt_(), (area * shape).sqrt_()]).round_().long()


def first_that_fits(sizes: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Returns each picture's first attempt within `largest`, (2, N), and whether there is one."""
    fits = ((sizes > 0) & (sizes <= largest)).all(0)
    first = fits.byte().argmax(0)
    return sizes.gather(1, first.expand(2, 1, -1))[:, 0], fits.any(0)


def resized_crop(images: Tensor, boxes: Tensor, flipped: Tensor, side: int | None = None) -> Tensor:
    """(N, S, S, C) pixels -> (V·N, C, side, side) float32 in [0, 1].

    The boxes made `side` wide, None: S; mirrored if `flipped`. `side` is at most S.

    `boxes` (V·N, 4) and `flipped` (V·N,) bool; row i is cut from image i mod N. Bilinear, and equal
    to torchvision's `resized_crop` with antialias, which changes nothing where a crop is magnified.
    """
    if side is None or side == images.shape[1]:
        return _magnified(images, boxes, flipped)
    return _shrunk(images, boxes, flipped, side)


def _shrunk(images: Tensor, boxes: Tensor, flipped: Tensor, side: int) -> Tensor:
    """Resizes boxes that may be larger than `side`: pixels are averaged then."""
    top, left, height, width = boxes.t().unsqueeze(2)
    forward = torch.arange(side, device=images.device).expand(len(boxes), side)
    mirrored = torch.where(flipped.unsqueeze(1), side - 1 - forward, forward)
    rows = _weights(forward, top, height, images.shape[1]).unsqueeze(1)
    columns = _weights(mirrored, left, width, images.shape[2]).unsqueeze(1)
    pictures = as_pictures(images)
    num_views = len(boxes) // len(images)
    crops: Tensor = rows @ pictures.repeat(num_views, 1, 1, 1) @ columns.mT
    return crops


def _weights(pixel: Tensor, start: Tensor, length: Tensor, resolution: int) -> Tensor:
    """Returns (V·N, side, S): what each of S pixels counts for the output's.

    `pixel` (V·N, side) are the output's. The crop is `length` (V·N, 1) pixels from `start` on. A
    triangle as wide as two output pixels, and no narrower than two of the picture's.
    """
    scale = (length / pixel.shape[1]).unsqueeze(2)
    place = torch.arange(resolution, device=pixel.device) - start.unsqueeze(2)
    distance = (place + 0.5) - (pixel.unsqueeze(2) + 0.5) * scale
    weights = (1 - distance.abs() / scale.clamp(min=1)).clamp_(min=0)
    weights *= (place >= 0) & (place < length.unsqueeze(2))
    return weights / weights.sum(dim=2, keepdim=True)


def _magnified(images: Tensor, boxes: Tensor, flipped: Tensor) -> Tensor:
    """As `resized_crop`, to the pictures' own side: no box is larger."""
    num_images, side, _, channels = images.shape
    num_crops = len(boxes)
    top, left, height, width = boxes.t().unsqueeze(2)
    forward = torch.arange(side, device=images.device).expand(num_crops, side)
    mirrored = torch.where(flipped.unsqueeze(1), side - 1 - forward, forward)
    # Bilinear is separable, and whole rows of a matrix are quickly copied: so first the pictures'
    # columns, which are rows of C·S numbers; then, turned once, their rows.
    turned_over = images.permute(0, 2, 3, 1)
    source = turned_over.to(torch.float32, memory_format=torch.contiguous_format).contiguous()
    picture = torch.arange(num_crops, device=images.device).remainder_(num_images)
    columns = _interpolate(
        source.div_(full_scale(images.dtype)).view(num_images * side, channels * side),
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
