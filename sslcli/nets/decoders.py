"""Decodes a code back to a picture, for any encoder.

Shapes: N images, C H W, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

NARROWEST, WIDEST = 16, 256
"""Channels of a stage. Without an upper end a ResNet-50's decoder would cost three times what the
ResNet does.
"""


def halved_sides(side: int, last: int) -> list[int]:
    """Halves `side`, rounding up, down to at most `last`: 28, 4 -> 28, 14, 7, 4."""
    sides = [side]
    while sides[-1] > last:
        sides.append((sides[-1] + 1) // 2)
    return sides


class UpsamplingDecoder(nn.Module):
    """Decodes (N, *code_shape) to (N, channels, resolution, resolution), unbounded.

    Feature maps (D, h, w) are brought back through the sides that the picture was halved through;
    every stage after the first halves the channels. A vector (D,) first becomes maps of 4 to 7 px
    by a linear layer.
    """

    def __init__(self, code_shape: Sequence[int], channels: int, resolution: int) -> None:
        super().__init__()
        if len(code_shape) == 1:
            side = halved_sides(resolution, last=7)[-1]
            width = min(WIDEST, NARROWEST << len(_sides_above(side, resolution)))
            self.entrance: nn.Module = _maps_from(code_shape[0], width, side)
        else:
            width, side = code_shape[0], code_shape[1]
            self.entrance = nn.Identity()
        stages: list[nn.Module] = []
        for larger in _sides_above(side, resolution):
            narrower = min(WIDEST, max(NARROWEST, width // 2))
            stages.append(_Stage(width, narrower, larger))
            width = narrower
        self.stages = nn.Sequential(*stages)
        self.exit = nn.Conv2d(width, channels, kernel_size=3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        pictures: Tensor = self.exit(self.stages(self.entrance(codes)))
        return pictures


def _sides_above(side: int, resolution: int) -> list[int]:
    """Returns the halves of `resolution` above the one nearest to `side`, rising.

    `resolution` is always among them.
    """
    rungs = halved_sides(resolution, last=1)
    nearest = min(rungs, key=lambda rung: abs(rung - side))
    return sorted(rung for rung in rungs if rung > nearest) or [resolution]


def _maps_from(units: int, channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(units, channels * side * side, bias=False),
        nn.Unflatten(1, (channels, side, side)),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class _Stage(nn.Module):
    """Repeats pixels up to `side`; then 3x3 convolution, batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.convolution = nn.Conv2d(
            channels_in, channels_out, kernel_size=3, padding=1, bias=False
        )
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        larger = interpolate(maps, size=(self.side, self.side), mode="nearest")
        activated: Tensor = self.norm(self.convolution(larger)).relu_()
        return activated
