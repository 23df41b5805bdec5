"""Makes holes in pictures on the device: (N, 1, R, R) bool, True = hidden.

N pictures of R pixels a side.

Every form takes (num, resolution, share, device); each picture has its own, random from torch's
global generator of the device. None is empty and none is full. Nothing waits for the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sslcli.augment.masks_config import MaskKind
from sslcli.processes import own_rows

NUM_SQUARES = 8
NUM_CELLS = 5
"""Side of the grid of noise that regions are cut from.

The released code has 0.06 * 128 = 7.7 over a picture, which in one of 28 pixels leaves specks that
the neighbouring pixels fill.
"""
SMALLEST_REGION = 0.6
"""Regions hide at least this part of the share."""
NUM_STROKES = 2
STROKE_RADIUS = (0.04, 0.09)
"""Half the thickness of a stroke, in sides of the picture: from, to."""


@dataclass(frozen=True)
class Masks:
    """Makes holes of one form; see MaskConfig."""

    kind: MaskKind
    share: float

    def __call__(self, num: int, resolution: int, device: torch.device) -> Tensor:
        """Returns (N, 1, R, R) bool, True = hidden."""
        assert resolution >= 2, "a picture of one pixel has no part to hide"
        forms = {MaskKind.centre: centre, MaskKind.blocks: squares, MaskKind.regions: regions}
        with torch.autocast(
            device.type, enabled=False
        ):  # in half precision many pixels would tie at a threshold
            return own_rows(
                lambda all_of_them: forms[self.kind](all_of_them, resolution, self.share, device),
                num,
            )


def centre(num: int, resolution: int, share: float, device: torch.device) -> Tensor:
    """Hides the middle square of half the side (rounded down), whatever `share`."""
    side = resolution // 2
    start = (resolution - side) // 2
    hidden = torch.zeros(num, 1, resolution, resolution, dtype=torch.bool, device=device)
    hidden[:, :, start : start + side, start : start + side] = True
    return hidden


def squares(num: int, resolution: int, share: float, device: torch.device) -> Tensor:
    """Hides up to 8 squares of differing size, which may overlap.

    Together they hide at most `share` of the picture (at least a pixel), and nearly that. Each lies
    around a random pixel not yet hidden, and is no larger than what is left to hide, or a third of
    the whole.
    """
    size = (num, resolution, resolution)
    budget = _budget(share, resolution)
    hidden = torch.zeros(size, dtype=torch.bool, device=device)
    order = torch.rand(
        size, device=device
    )  # the visible pixel with the highest number is the next square's
    shrink = torch.rand(NUM_SQUARES, num, 1, device=device) / 2 + 0.5
    place = torch.arange(resolution, device=device)
    for index in range(NUM_SQUARES):
        left = budget - hidden.flatten(1).sum(dim=1, keepdim=True)
        side = (
            (left.clamp(max=budget / 3).sqrt() * shrink[index]).ceil().minimum(left.sqrt().floor())
        )
        pixel = order.flatten(1).argmax(dim=1, keepdim=True)
        top = (pixel // resolution - side // 2).clamp(min=0).minimum(resolution - side)
        start = (pixel % resolution - side // 2).clamp(min=0).minimum(resolution - side)
        rows = (place >= top) & (place < top + side)
        columns = (place >= start) & (place < start + side)
        square = rows.unsqueeze(2) & columns.unsqueeze(1)
        hidden |= square
        order.masked_fill_(square, -1.0)
    return hidden.unsqueeze(1)


def regions(num: int, resolution: int, share: float, device: torch.device) -> Tensor:
    """Hides free forms, between 0.6 * `share` and `share` of the picture.

    They lie where smooth noise is highest; half of the pictures have strokes of a thick brush
    besides.

    Source: the released code of Pathak et al. 2016 (train_random.lua), which cuts windows out of
    one large plane of uniform noise, upscaled and thresholded. Differs: each picture has its own
    mask, where the code has one a batch; the threshold is chosen to fit the share, where the code
    draws windows until one fits; the noise is coarser; the strokes are ours.
    """
    noise = _smooth_noise(num, resolution, device)
    height = noise.add_(_strokes(num, resolution, device), alpha=2).flatten(1)
    most = _budget(share, resolution)
    fraction = SMALLEST_REGION + (1 - SMALLEST_REGION) * torch.rand(num, 1, device=device)
    count = (most * fraction).ceil().long()
    threshold = height.topk(most, dim=1).values.gather(1, count - 1)
    return (height >= threshold).view(num, 1, resolution, resolution)


def _smooth_noise(num: int, resolution: int, device: torch.device) -> Tensor:
    """Draws (N, R, R) about from 0 to 1.

    For each picture it is a window, anywhere, of a grid of uniform noise upscaled bicubically.
    """
    # Upscaling is linear and separable: its matrix, from the identity, is 10 times quicker on many
    # small grids.
    cell = math.ceil(resolution / NUM_CELLS)
    identity = torch.eye(NUM_CELLS + 1, device=device)[None, None]
    upscale = interpolate(identity, size=(resolution + cell, NUM_CELLS + 1), mode="bicubic")[0, 0]
    start = torch.randint(0, cell + 1, (2, num, 1), device=device)
    rows, columns = upscale[start + torch.arange(resolution, device=device)]
    noise = torch.rand(num, NUM_CELLS + 1, NUM_CELLS + 1, device=device)
    window: Tensor = rows @ noise @ columns.mT
    return window


def _strokes(num: int, resolution: int, device: torch.device) -> Tensor:
    """Draws (N, R, R) bool, pixels near random lines; half of the pictures have none."""
    place = (torch.arange(resolution, device=device) + 0.5) / resolution
    ends = torch.rand(2, 2, num, NUM_STROKES, 1, 1, device=device)
    (top, left), (down, right) = ends[0], ends[1] - ends[0]
    y, x = place.view(-1, 1) - top, place - left
    # How far along its line a pixel's nearest point lies, from 0 to 1.
    along = ((y * down + x * right) / (down.square() + right.square())).clamp_(0, 1)
    distance = (y - along * down).square_().add_((x - along * right).square_())
    thinnest, thickest = STROKE_RADIUS
    radius = thinnest + (thickest - thinnest) * torch.rand(num, NUM_STROKES, 1, 1, device=device)
    has_strokes = torch.rand(num, 1, 1, 1, device=device) < 0.5
    near: Tensor = distance < (radius * has_strokes).square()
    return near.any(dim=1)


def _budget(share: float, resolution: int) -> int:
    """Returns how many pixels may be hidden, at least one."""
    return max(1, int(share * resolution**2))
