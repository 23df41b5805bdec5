"""Defines the context encoder's networks: encoder, bottlenecks, discriminator.

Shapes: N images, C H W.

Source: Pathak et al. 2016, "Context Encoders: Feature Learning by Inpainting", and its released
Torch code for widths, initialisation and where batch norm stands. Differs: a convolution without
batch norm behind it has a bias (the released code sets all to 0 at every step); sides that are no
power of two are halved rounding up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslcli.nets.decoders import halved_sides
from sslcli.nets.encoder import Encoder

KERNEL, STRIDE = 4, 2
SLOPE = 0.2
SMALLEST = 4
"""Side at which the halving ends."""


class ContextNet(Encoder):
    """Applies 4x4 convolutions of stride 2 down to maps of 3 or 4 px.

    LeakyReLU follows each, and batch norm each but the first.
    """

    def __init__(self, channels: int, resolution: int, base_width: int) -> None:
        super().__init__()
        self._sides = halved_sides(resolution, SMALLEST)
        self._widths = _widths(len(self._sides) - 1, base_width)
        self.stages = _halvings(channels, self._sides, self._widths)
        self.width = self._widths[-1]
        self.code_shape = (self.width, self._sides[-1], self._sides[-1])
        self.apply(_initialise)

    def code(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.stages(pictures)
        return maps

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        """Builds transposed convolutions of the encoder's sides and widths in reverse."""
        if tied:
            return super().decoder(channels, resolution, tied)  # which refuses
        stages: list[nn.Module] = []
        for stage in reversed(range(len(self._widths))):
            first = stage == 0
            width, odd = channels if first else self._widths[stage - 1], self._sides[stage] % 2
            stages.append(
                nn.ConvTranspose2d(
                    self._widths[stage], width, KERNEL, STRIDE, 1 + odd, odd, bias=first
                )
            )
            stages += [] if first else _norm_relu(width)
        return nn.Sequential(*stages).apply(_initialise)


class PatchDiscriminator(nn.Module):
    """Maps patches (N, channels, side, side) to logits (N,) of being real.

    Patches have values in [-1, 1], and sides from 5 px.
    """

    def __init__(self, channels: int, side: int, base_width: int) -> None:
        super().__init__()
        sides = halved_sides(side, SMALLEST)
        widths = _widths(len(sides) - 1, base_width)
        self.stages = _halvings(channels, sides, widths)
        self.verdict = nn.Conv2d(widths[-1], 1, kernel_size=sides[-1])
        self.apply(_initialise)

    def forward(self, patches: Tensor) -> Tensor:
        logits: Tensor = self.verdict(self.stages(patches))
        return logits.flatten()


class ChannelwiseFullyConnected(nn.Module):
    """Mixes every channel's positions by a matrix of its own.

    (N, channels, side, side) -> the same shape; no channel mixes with another.

    Source: Pathak et al. 2016, the channel-wise fully-connected layer: channels · side^4 weights,
    and here as many biases as numbers go out.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        positions = side * side
        bound = math.sqrt(6 / positions)  # He's, for the ReLU that follows
        self.weight = nn.Parameter(
            torch.empty(channels, positions, positions).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(channels, 1, positions))

    def forward(self, maps: Tensor) -> Tensor:
        by_channel = maps.flatten(2).transpose(0, 1)
        mixed = torch.baddbmm(self.bias, by_channel, self.weight)
        return mixed.transpose(0, 1).reshape(maps.shape)


class ChannelwiseBottleneck(nn.Sequential):
    """Mixes positions within every channel, then channels at every position.

    (N, channels, side, side) -> the same shape.
    """

    def __init__(self, channels: int, side: int) -> None:
        mixing = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        super().__init__(
            ChannelwiseFullyConnected(channels, side),
            nn.ReLU(inplace=True),
            mixing,
            *_norm_relu(channels),
        )
        nn.init.kaiming_normal_(mixing.weight, nonlinearity="relu")


class FullyConnectedBottleneck(nn.Sequential):
    """Maps (N, *code_shape) to the same shape through `units` numbers.

    Each of them sees the whole code. The released network has 4000, by a convolution as large as
    the maps and a transposed one back, which are these two linear layers.
    """

    def __init__(self, code_shape: Sequence[int], units: int) -> None:
        size = math.prod(code_shape)
        narrow = [
            nn.Flatten(),
            nn.Linear(size, units, bias=False),
            nn.BatchNorm1d(units),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        widen = [
            nn.Linear(units, size, bias=False),
            nn.Unflatten(1, tuple(code_shape)),
            *_norm_relu(code_shape[0]),
        ]
        super().__init__(*narrow, *widen)
        self.apply(_initialise)


def _widths(num_stages: int, base_width: int) -> list[int]:
    """Returns the channels after every stage, such as 64 64 128 256 512.

    They double in the last four stages, so at most eight times `base_width`.
    """
    waiting = max(0, num_stages - 4)
    return [base_width << max(0, stage - waiting) for stage in range(num_stages)]


def _halvings(channels: int, sides: Sequence[int], widths: Sequence[int]) -> nn.Sequential:
    """Builds convolutions that bring maps through `sides`, to `widths` channels."""
    layers: list[nn.Module] = []
    for stage, width in enumerate(widths):
        padding = 1 + sides[stage] % 2  # so that an odd side is halved rounding up
        layers.append(nn.Conv2d(channels, width, KERNEL, STRIDE, padding, bias=stage == 0))
        layers += [nn.BatchNorm2d(width)] if stage > 0 else []
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _initialise(module: nn.Module) -> None:
    """Draws weights from N(0, 0.02), a norm's scale from N(1, 0.02); sets biases to 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
