"""Changes colours at random.

Pictures are (N, C, H·W) floats and stay in [0, 1]; a final _ means: in place.

Every adjustment equals torchvision's function of the same name; `factors` (N,) is one number a
picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.augment.operation import rows_of
from sslcli.transfer import sent


@dataclass(frozen=True)
class Adjustment:
    """Holds one of the four changes, and the range its factor is drawn from."""

    apply_: Callable[[Tensor, Tensor], None]
    low: float
    high: float


@dataclass(frozen=True)
class ColourJitter:
    """Changes, with `probability`, brightness, contrast, saturation and hue.

    Each picture has an order of its own. The other fields are half the widths of the factors'
    ranges, as in torchvision's ColorJitter; 0 is off. Of pictures that are neither grey nor RGB
    every channel is changed on its own, as if it were a grey picture.
    """

    probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float

    def adjustments(self, channels: int) -> list[Adjustment]:
        """Returns those that do something: a grey picture has no saturation and no hue."""
        around_one = [(adjust_brightness_, self.brightness), (adjust_contrast_, self.contrast)]
        if channels == 3:
            around_one.append((adjust_saturation_, self.saturation))
        found = [
            Adjustment(change, max(0.0, 1 - width), 1 + width)
            for change, width in around_one
            if width > 0
        ]
        if channels == 3 and self.hue > 0:
            found.append(Adjustment(adjust_hue_, -self.hue, self.hue))
        return found if self.probability > 0 else []

    def sample(self, num_images: int, channels: int) -> tuple[Tensor, Tensor]:
        """Draws `order` and `factors` for A adjustments on the CPU.

        `order` (N, A) int64: which adjustment comes first, second, and so on, or A throughout for a
        picture left alone; `factors` (N, A), by adjustment. Both (N, C, A) where channels are
        changed one by one.
        """
        if channels not in (1, 3):
            drawn = self.sample(num_images * channels, 1)
            order, factors = (part.view(num_images, channels, -1) for part in drawn)
            return order, factors
        adjustments = self.adjustments(channels)
        left_alone = torch.rand(num_images, 1) >= self.probability
        order = (
            torch.rand(num_images, len(adjustments))
            .argsort(1)
            .masked_fill_(left_alone, len(adjustments))
        )
        factors = torch.rand(num_images, len(adjustments))
        for column, adjustment in zip(factors.unbind(1), adjustments, strict=True):
            column.mul_(adjustment.high - adjustment.low).add_(adjustment.low)
        return order, factors

    def apply(self, images: Tensor, order: Tensor, factors: Tensor) -> Tensor:
        """Returns the changed pictures; `order` and `factors` are on the CPU."""
        if order.ndim == 3:
            alone = images.reshape(-1, 1, images.shape[2])
            return self.apply(alone, order.flatten(0, 1), factors.flatten(0, 1)).view_as(images)
        adjustments = self.adjustments(images.shape[1])
        if not adjustments:
            return images
        # At every position the pictures are sorted by what comes next for them, so each adjustment
        # works in place on one block. The sorting is settled on the CPU, which has to know how long
        # the blocks are.
        by_adjustment = order.t().contiguous().sort(stable=True)
        place = by_adjustment.indices.argsort(1)
        moves = torch.cat(
            [by_adjustment.indices[:1], place[:-1].gather(1, by_adjustment.indices[1:]), place[-1:]]
        )
        factors = (
            factors.gather(1, order.clamp(max=len(adjustments) - 1))
            .t()
            .gather(1, by_adjustment.indices)
        )
        moves = sent(moves, images.device)
        factors = sent(factors, images.device)
        for position, adjusted_by in enumerate(by_adjustment.values):
            images = images.index_select(0, moves[position])
            ends = torch.searchsorted(
                adjusted_by, torch.arange(len(adjustments)), right=True
            ).tolist()
            for adjustment, start, end in zip(adjustments, [0, *ends], ends, strict=False):
                adjustment.apply_(images[start:end], factors[position, start:end])
        return images.index_select(0, moves[-1])


def luminance(images: Tensor) -> Tensor:
    """Returns how bright each pixel looks: (N, C, ...) -> (N, ...)."""
    if images.shape[1] == 1:
        return images[:, 0]
    red, green, blue = images.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def adjust_brightness_(images: Tensor, factors: Tensor) -> None:
    images.mul_(factors.view(-1, 1, 1)).clamp_(max=1)


def adjust_contrast_(images: Tensor, factors: Tensor) -> None:
    grey = luminance(images.mean(2)) * (1 - factors)
    images.mul_(factors.view(-1, 1, 1)).add_(grey.view(-1, 1, 1)).clamp_(0, 1)


def adjust_saturation_(images: Tensor, factors: Tensor) -> None:
    grey = luminance(images).mul_((1 - factors).unsqueeze(1))
    images.mul_(factors.view(-1, 1, 1)).add_(grey.unsqueeze(1)).clamp_(0, 1)


def adjust_hue_(images: Tensor, factors: Tensor) -> None:
    """Turns the hue by `factors` of the whole circle, -0.5 to 0.5.

    Hue runs round a hexagon of six unit sides: red at 0, green at 2, blue at -2. With high = max(R,
    G, B), low = min(R, G, B) and chroma = high - low, a pixel's hue lies (high - 2 low + G + B - R)
    / chroma from red, towards green where G > B; and a channel at distance d from the hue is low +
    chroma * clamp(2 - d, 0, 1). All of it is computed times chroma: nothing is divided, and a grey
    pixel, having no hue, needs no care.
    """
    red, green, blue = images.unbind(1)
    high = torch.maximum(green, blue)
    low = torch.minimum(green, blue)
    torch.maximum(high, red, out=high)
    torch.minimum(low, red, out=low)
    chroma = high - low
    offset = torch.sub(high, low, alpha=2)
    hue = (green + blue).sub_(red).add_(offset).copysign_(green - blue)
    centres = torch.arange(3, device=images.device) * 2
    turn = (
        (6 * factors.unsqueeze(1) - centres + 3).remainder_(6).sub_(3)
    )  # in [-3, 3): from each channel to the hue
    chroma, low, high, offset = (plane.unsqueeze(1) for plane in (chroma, low, high, offset))
    torch.addcmul(hue.unsqueeze(1), chroma, turn.unsqueeze(2), out=images)
    # |hue + turn| <= 6, so the distance the short way round is d = 3 - ||hue + turn| - 3|.
    images.abs_().sub_(chroma, alpha=3).abs_().sub_(offset)
    torch.clamp(images, low, high, out=images)


def grayscale_(images: Tensor, chosen: Tensor) -> None:
    """Makes the channels equal in the `chosen` pictures, (N,) bool on the CPU.

    Nothing is changed where they are not red, green and blue.
    """
    rows = rows_of(chosen, images) if images.shape[1] == 3 else None
    if rows is None:
        return
    some = images.index_select(0, rows)
    images.index_copy_(0, rows, luminance(some).unsqueeze(1).expand_as(some))


def solarize_(images: Tensor, chosen: Tensor, threshold: float) -> None:
    """Inverts pixels from `threshold` on in `chosen` pictures, (N,) bool on the CPU."""
    rows = rows_of(chosen, images)
    if rows is None:
        return
    some = images.index_select(0, rows)
    images.index_copy_(0, rows, torch.where(some >= threshold, 1 - some, some))
