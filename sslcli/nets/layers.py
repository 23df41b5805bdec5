"""Defines layers with a mirror, the parts of stacks and plain autoencoders.

Shapes: N images, C H W, D units.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

Nonlinearity = Callable[[], nn.Module]
KERNEL, STRIDE, PADDING = 5, 2, 2

ACTIVATIONS: dict[str, Nonlinearity] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def activation(name: str) -> Nonlinearity:
    return ACTIVATIONS[name]


def normalization(name: str) -> Callable[[int], nn.Module]:
    """Returns what makes a norm of a number of channels: `batch`, or `group`.

    Groups are of 8 channels (16 or so in Wu & He 2018), or what divides them.
    """

    def group(channels: int) -> nn.Module:
        return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)

    makers: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "group": group}
    return makers[name]


class Layer(nn.Module):
    """Applies an affine map, batch norm if wanted, a nonlinearity.

    `mirror` maps codes back to what the layer was given.
    """

    def mirror(self, tied: bool) -> nn.Module:
        """Builds the map of codes to inputs, unbounded.

        That is a sigmoid's argument, or the values themselves. `tied`: with this layer's weights
        transposed, and a bias of its own.
        """
        raise NotImplementedError


class DenseLayer(Layer):
    """Maps (N, num_inputs) to (N, units)."""

    def __init__(
        self,
        num_inputs: int,
        units: int,
        nonlinearity: Nonlinearity,
        batch_norm: bool,
        gain: float | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(num_inputs, units, bias=not batch_norm)
        self.norm = nn.BatchNorm1d(units) if batch_norm else nn.Identity()
        self.nonlinearity = nonlinearity()
        initialise(self.linear, self.nonlinearity, gain)

    def forward(self, inputs: Tensor) -> Tensor:
        codes: Tensor = self.nonlinearity(self.norm(self.linear(inputs)))
        return codes

    def mirror(self, tied: bool) -> nn.Module:
        if tied:
            return _TiedDense(self.linear)
        back = nn.Linear(self.linear.out_features, self.linear.in_features)
        initialise(back, self.nonlinearity)
        return back


class ConvLayer(Layer):
    """Applies a 5x5 convolution of stride 2.

    (N, C, side, side) -> (N, channels, ceil(side / 2), ceil(side / 2)).
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        side: int,
        nonlinearity: Nonlinearity,
        batch_norm: bool,
        gain: float | None = None,
    ) -> None:
        super().__init__()
        self.side = side
        self.convolution = nn.Conv2d(
            channels_in, channels, KERNEL, STRIDE, PADDING, bias=not batch_norm
        )
        self.norm = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.nonlinearity = nonlinearity()
        initialise(self.convolution, self.nonlinearity, gain)

    def forward(self, inputs: Tensor) -> Tensor:
        codes: Tensor = self.nonlinearity(self.norm(self.convolution(inputs)))
        return codes

    def mirror(self, tied: bool) -> nn.Module:
        if tied:
            return _TiedConv(self.convolution, self.side)
        extra = 1 - self.side % 2  # an odd side comes back from stride 2 without it
        back = nn.ConvTranspose2d(
            self.convolution.out_channels,
            self.convolution.in_channels,
            KERNEL,
            STRIDE,
            PADDING,
            extra,
        )
        initialise(back, self.nonlinearity)
        return back


class _TiedDense(nn.Module):
    def __init__(self, forward_layer: nn.Linear) -> None:
        super().__init__()
        self._borrowed = (forward_layer,)  # in a tuple, so that its weights are the encoder's alone
        self.bias = nn.Parameter(torch.zeros(forward_layer.in_features))

    def forward(self, codes: Tensor) -> Tensor:
        # Not linear(codes, weight.t()): the gradients of the weight's two uses would differ in
        # layout, and adding them would
        # cost as much as a product.
        return torch.addmm(self.bias, codes, self._borrowed[0].weight)


class _TiedConv(nn.Module):
    def __init__(self, forward_layer: nn.Conv2d, side: int) -> None:
        super().__init__()
        self._borrowed = (forward_layer,)
        self._extra = 1 - side % 2
        self.bias = nn.Parameter(torch.zeros(forward_layer.in_channels))

    def forward(self, codes: Tensor) -> Tensor:
        return conv_transpose2d(
            codes, self._borrowed[0].weight, self.bias, STRIDE, PADDING, self._extra
        )


def initialise(
    layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d,
    nonlinearity: nn.Module,
    gain: float | None = None,
) -> None:
    """Draws weights uniform in ±gain · sqrt(6 / (fan in + fan out)); sets biases to 0.

    Without a gain: 4 before a sigmoid, 1 before a tanh, and He's range before a ReLU.

    Source: Glorot & Bengio 2010; the factor 4 as in the denoising autoencoder tutorial of
    deeplearning.net.
    """
    if gain is None and isinstance(nonlinearity, nn.ReLU):
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    else:
        usual = 4.0 if isinstance(nonlinearity, nn.Sigmoid) else 1.0
        nn.init.xavier_uniform_(layer.weight, usual if gain is None else gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
