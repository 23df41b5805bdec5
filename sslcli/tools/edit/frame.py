"""Brings a picture of any size to a network's square, and a change of that back to it.

Shapes: H W of the picture, c its channels, R and C those of the network. S: the side of the square
in the picture that the network sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from sslcli.data.depth import LUMINANCE
from sslcli.data.picture_file import PictureFile
from sslcli.data.resize import Framing, resized
from sslcli.data.shape import Shape
from sslcli.data.values import file_range, to_unit
from sslcli.errors import SslcliError
from sslcli.preprocessing import Preprocessing, Range, full_scale
from sslcli.tools.restore.fill import as_stored

Unit = NDArray[Any]
"""(H, W, c) of floating-point numbers, where 0 is black and 1 is white."""
FADE = 1 / 16
"""The part of the square's side over which a change fades where the picture goes on beyond it."""


@dataclass(frozen=True)
class Fed:
    """Says what a run's network is fed: squares framed as in training, of its channels."""

    preprocessing: Preprocessing
    framing: Framing

    def opened(self, picture: PictureFile) -> Framed:
        """Raises SslcliError for other channels, or values whose meaning is not known."""
        pixels, fed = picture.pixels, self.preprocessing
        have = pixels.shape[2]
        if have != fed.channels and not {have, fed.channels} <= {1, 3}:
            message = f"the picture has {have} channels, the network was trained on {fed.channels}"
            raise SslcliError(message, f"give pictures of {fed.channels} channels")
        return Framed(picture, self, file_range(pixels, None if picture.is_unit else fed.range))


@dataclass(frozen=True)
class Framed:
    """Holds a picture and what the network sees of it: `ends` are its values of black and white."""

    picture: PictureFile
    fed: Fed
    ends: Range

    @property
    def side(self) -> int:
        """Returns S: of the middle square, or of the square with borders around all."""
        height, width = self.picture.size
        whole = self.fed.framing.shape is Shape.pad
        return max(height, width) if whole else min(height, width)

    def square(self, side: int | None = None, channels: int | None = None) -> Tensor:
        """Returns what the network is fed, (C, R, R) in [0, 1]; or with other side and channels."""
        shape = self.fed.preprocessing
        pixels = _with_channels(self._opaque(), channels or shape.channels)
        small = resized(pixels, side or shape.resolution, self.fed.framing)
        unit = torch.tensor(small).float() / full_scale(small.dtype)
        return unit.permute(2, 0, 1)

    def _opaque(self) -> NDArray[Any]:
        """Returns the pixels on white, as uint8, uint16 or float32 in [0, 1]."""
        pixels, alpha = self.picture.pixels, self.picture.alpha
        full = self.ends == (0.0, 255.0) and pixels.dtype == np.uint8
        stored = pixels if full else to_unit(pixels, self.ends)
        if alpha is None or bool((alpha == self.picture.opaque).all()):
            return stored
        share = (alpha / self.picture.opaque)[..., None]
        on_white = stored * share + full_scale(stored.dtype) * (1 - share)
        return as_stored(on_white, stored.dtype)

    def enlarged(self, change: Tensor) -> Unit:
        """Returns a change (C, R, R) of the square as one of the picture, (H, W, c).

        It is 0 outside the square, and fades to it where the picture goes on.
        """
        if len(change) != self.picture.pixels.shape[2]:  # a grey change is that of every colour
            change = change.mean(dim=0, keepdim=True).expand(self.picture.pixels.shape[2], -1, -1)
        size = (self.side, self.side)
        smaller = self.side < change.shape[1]
        large = interpolate(
            change[None].float(), size, mode="bilinear", align_corners=False, antialias=smaller
        )[0]
        return self.placed(large.permute(1, 2, 0).numpy())

    def difference(self, other: Framed) -> Unit:
        """Returns (H, W, c): what makes of the picture another one's square in its own place."""
        channels = self.picture.pixels.shape[2]
        square = other.square(self.side, channels).permute(1, 2, 0).numpy()
        low, high = self.ends
        own = (self._values() - low) / (high - low)
        there: Unit = self.placed(square) - self.placed(np.ones_like(square)) * own
        return there

    def _values(self) -> Unit:
        """Returns the pixels as floating-point numbers that hold them."""
        pixels = self.picture.pixels
        return pixels.astype(np.result_type(pixels.dtype, np.float32))

    def placed(self, square: NDArray[Any]) -> Unit:
        """Returns (H, W, c) of zeros with (S, S, c) in its place, faded where the picture goes on.

        What of it lies beyond the picture, in borders, is cut off.
        """
        rows, columns = (_place(length, self.side) for length in self.picture.size)
        faded = square * (rows.weights[:, None] * columns.weights)[..., None]
        placed = np.zeros((*self.picture.size, square.shape[2]), dtype=square.dtype)
        placed[rows.there, columns.there] = faded[rows.inside, columns.inside]
        return placed

    def changed(self, change: Unit) -> NDArray[Any]:
        """Returns the picture's pixels with a change, in [-1, 1], added; of their own type.

        Where it is 0, they stay bit for bit. None leaves the range from black to white, nor what
        it has outside that range already.
        """
        pixels, (low, high) = self.picture.pixels, self.ends
        before = self._values()
        after = before + change * (high - low)
        after = after.clip(np.minimum(low, before), np.maximum(high, before))
        return np.where(change == 0, pixels, as_stored(after, pixels.dtype))


@dataclass(frozen=True)
class _Place:
    """Holds where a square lies along one side of a picture, and the weights (S,) of its pixels."""

    there: slice
    inside: slice
    weights: NDArray[np.float32]


def _place(length: int, side: int) -> _Place:
    start = (length - side) // 2
    there = slice(max(start, 0), max(start, 0) + min(length, side))
    inside = slice(max(-start, 0), max(-start, 0) + min(length, side))
    weights = np.ones(side, dtype=np.float32)
    if length > side:
        ramp = ((np.arange(side) + 0.5) / max(1.0, FADE * side)).astype(np.float32)
        if start > 0:
            weights = np.minimum(weights, ramp)
        weights = np.minimum(weights, ramp[::-1])
    return _Place(there, inside, weights)


def _with_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Returns grey as three equal colours, or colours as their brightness."""
    have = pixels.shape[2]
    if have == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(3, axis=2)
    return as_stored((pixels @ LUMINANCE)[..., None], pixels.dtype)
