"""Defines the convolutional encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torchvision.models import ResNet, resnet18, resnet34, resnet50

from sslcli.nets.encoder import Encoder


class ConvNet(Encoder):
    """Applies six 3x3 conv-norm-ReLU blocks, with features by mean pooling.

    They have w, 2w, 2w, 4w, 4w, 8w channels, and strides 1 2 1 2 1 2. Features are the means over
    the cells of a grid of `grid` x `grid`, channel by channel.
    """

    def __init__(
        self,
        channels: int,
        resolution: int,
        base_width: int,
        norm: Callable[[int], nn.Module],
        grid: int = 1,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.width = 8 * base_width * grid**2
        blocks: list[nn.Module] = []
        for multiple, stride in ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2)):
            blocks += _block(channels, multiple * base_width, stride, norm)
            channels = multiple * base_width
        self.blocks = nn.Sequential(*blocks)
        for _ in range(3):
            resolution = (resolution + 1) // 2
        self.code_shape = (8 * base_width, resolution, resolution)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.grid == 1:
            return super().forward(pictures)
        code = self.code(pictures)
        if code.shape[2:] == (self.grid, self.grid):
            return code.flatten(1)  # cells of one place each, whose mean torch takes long over
        return adaptive_avg_pool2d(code, self.grid).flatten(1)

    def code(self, pictures: Tensor) -> Tensor:
        return cast(Tensor, self.blocks(pictures))


def _block(
    channels_in: int, channels_out: int, stride: int, norm: Callable[[int], nn.Module]
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, norm(channels_out), nn.ReLU(inplace=True)]


RESNETS = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}


def resnet(name: str, zero_init_residual: bool, norm: Callable[[int], nn.Module]) -> ResNet:
    """Returns torchvision's network of that name, with random weights."""
    built: ResNet = RESNETS[name](zero_init_residual=zero_init_residual, norm_layer=norm)
    return built


class ResNetEncoder(Encoder):
    """Is torchvision's ResNet up to its pooled features, keys under `resnet.`."""

    def __init__(self, resnet: ResNet, channels: int, resolution: int, small_stem: bool) -> None:
        super().__init__()
        self.width = int(resnet.fc.in_features)
        stem = (
            nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
            if small_stem
            else nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        )
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        resnet.conv1 = stem
        if small_stem:
            resnet.maxpool = nn.Identity()
        resnet.avgpool = nn.Identity()
        resnet.fc = nn.Identity()
        self.resnet = resnet
        side = math.ceil(resolution / (8 if small_stem else 32))
        self.code_shape = (self.width, side, side)

    def code(self, pictures: Tensor) -> Tensor:
        net = self.resnet
        maps = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))
        return cast(Tensor, net.layer4(net.layer3(net.layer2(net.layer1(maps)))))
