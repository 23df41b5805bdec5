"""Restores a picture of any size, coarse to fine, by a network of one input size.

Shapes: C H W of the picture, N tiles of R x R pixels. Masks: True = hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Restore = Callable[[Tensor, Tensor], Tensor]
"""(N, C, R, R) pictures in [0, 1] and `hidden` (N, 1, R, R) -> (N, C, R, R) in [0, 1]."""

Corner = tuple[int, int]

MOST_HIDDEN = 0.5
"""The largest hidden part of a tile that is given to the network as it is."""


def restored(
    picture: Tensor, hidden: Tensor, restore: Restore, resolution: int, batch_size: int = 64
) -> Tensor:
    """Restores the `hidden` (1, H, W) pixels of `picture` (C, H, W) in [0, 1].

    The rest is the input, bit for bit. Tiles of R = `resolution` overlap by half, their results are
    blended by a smooth window, and only those that touch `hidden` are computed. A tile of which
    more than a half is hidden is restored at half the size first, and so on; its enlarged fill is
    blended with its neighbours' results. So `restore` gets no tile without a visible pixel, unless
    everything is hidden (a whole picture to be denoised): then only tiles at full size are used.
    """
    height, width = picture.shape[1:]
    rows, columns = (
        _mirrored(side, max(side, resolution), picture.device) for side in (height, width)
    )
    covered = hidden[:, rows][:, :, columns]
    corners, shares = _tiles(covered[0], resolution)
    crowded: list[Corner] = []
    filled = picture
    if max(height, width) > resolution and not bool(hidden.all()):
        crowded = [
            corner for corner, share in zip(corners, shares, strict=True) if share > MOST_HIDDEN
        ]
    if crowded:
        filled = torch.where(
            hidden, _coarse(picture, hidden, restore, resolution, batch_size), picture
        )
    filled = filled[:, rows][:, :, columns]

    blend = _Blend(filled, resolution)
    blend.add(crowded, (_cut(filled, corner, resolution) for corner in crowded))
    left_out = set(crowded)
    wanted = [
        c for c, share in zip(corners, shares, strict=True) if share > 0 and c not in left_out
    ]
    for start in range(0, len(wanted), batch_size):
        batch = wanted[start : start + batch_size]
        tiles, masks = (
            torch.stack([_cut(source, c, resolution) for c in batch])
            for source in (filled, covered)
        )
        blend.add(batch, restore(tiles, masks))
    return torch.where(hidden, blend.result()[:, :height, :width], picture)


class _Blend:
    """Averages overlapping tiles, weighted by a window that falls to 0 at the edge."""

    def __init__(self, like: Tensor, resolution: int) -> None:
        self.total, self.weight = torch.zeros_like(like), torch.zeros_like(like[:1])
        ramp = torch.sin(
            math.pi
            * (torch.arange(resolution, device=like.device, dtype=like.dtype) + 0.5)
            / resolution
        )
        self.window = (ramp[:, None] * ramp[None, :]).square()

    def add(self, corners: Sequence[Corner], tiles: Iterable[Tensor]) -> None:
        resolution = len(self.window)
        for corner, tile in zip(corners, tiles, strict=True):
            _cut(self.total, corner, resolution).add_(tile * self.window)
            _cut(self.weight, corner, resolution).add_(self.window)

    def result(self) -> Tensor:
        """Returns the blended picture; 0 where no tile lies."""
        return self.total.div_(self.weight.masked_fill_(self.weight == 0, 1))


def _coarse(
    picture: Tensor, hidden: Tensor, restore: Restore, resolution: int, batch_size: int
) -> Tensor:
    """Restores the picture at half its size, and enlarges the result.

    The longer side stays at least `resolution`. A coarse pixel is the mean of its visible ones, and
    is hidden only where it has none: otherwise a finely dotted mask would soon hide everything.
    """
    size = tuple(picture.shape[1:])
    scale = max(0.5, resolution / max(size))
    smaller = [math.ceil(side * scale) for side in size]
    visible = (~hidden).to(picture.dtype)
    share, mean, visible_sum = (
        interpolate(source[None], smaller, mode="area")[0]
        for source in (visible, picture, picture * visible)
    )
    gone = share == 0
    coarse = torch.where(gone, mean, visible_sum / share.masked_fill(gone, 1))
    coarse = restored(coarse, gone, restore, resolution, batch_size)
    return interpolate(coarse[None], size, mode="bilinear", align_corners=False)[0]


def _tiles(covered: Tensor, resolution: int) -> tuple[list[Corner], list[float]]:
    """Returns the top left corners of tiles that cover (H, W), and their hidden parts."""
    tops, lefts = (_starts(side, resolution) for side in covered.shape)
    sums = torch.zeros([side + 1 for side in covered.shape], dtype=torch.int64)
    sums[1:, 1:] = covered.cpu().cumsum(0).cumsum(1)
    top, left = torch.tensor(tops)[:, None], torch.tensor(lefts)[None, :]
    bottom, right = top + resolution, left + resolution
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    corners = [(top, left) for top in tops for left in lefts]
    return corners, (counts.flatten() / resolution**2).tolist()


def _starts(side: int, resolution: int) -> list[int]:
    """Returns where tiles begin, half a tile apart, the last flush with the end."""
    return [*range(0, side - resolution, max(1, resolution // 2)), side - resolution]


def _mirrored(side: int, length: int, device: torch.device) -> Tensor:
    """Returns indices (length,) that reflect 0 ... side - 1 back and forth."""
    period = max(1, 2 * (side - 1))
    index = torch.arange(length, device=device) % period
    return torch.where(index < side, index, period - index)


def _cut(source: Tensor, corner: Corner, resolution: int) -> Tensor:
    top, left = corner
    return source[:, top : top + resolution, left : left + resolution]
