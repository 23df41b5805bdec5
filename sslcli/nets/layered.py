"""Defines encoders that are a plain chain of layers, each with its mirror.

They can be trained layer by layer, tied, and cut.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.nets.encoder import Encoder
from sslcli.nets.layers import ConvLayer, DenseLayer, Layer, Nonlinearity


class LayeredEncoder(Encoder):
    """Applies a chain of layers.

    `layers[k]` takes what the ones before it make of `entrance(pictures)`.
    """

    def __init__(self, layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]]) -> None:
        """Takes the `shapes` of one picture's code after every layer."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._shapes = list(shapes)
        self.code_shape = self._shapes[-1]
        self.width = self.code_shape[0]

    def entrance(self, pictures: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the input of the first layer."""
        return pictures

    def code(self, pictures: Tensor) -> Tensor:
        codes = self.entrance(pictures)
        for layer in self.layers:
            codes = layer(codes)
        return codes

    def code_is_unit(self) -> bool:
        last = self.layers[-1]
        return isinstance(last, DenseLayer | ConvLayer) and isinstance(
            last.nonlinearity, nn.Sigmoid
        )

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        parts: list[nn.Module] = []
        for depth in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[depth]
            assert isinstance(layer, Layer)
            parts.append(layer.mirror(tied))
            if depth > 0:
                below = self.layers[depth - 1]
                assert isinstance(below, DenseLayer | ConvLayer)
                parts.append(type(below.nonlinearity)())
        return nn.Sequential(*parts)

    def up_to(self, layer: int) -> Encoder:
        if not 1 <= layer <= len(self.layers):
            raise SslcliError(
                f"layer must be 1 to {len(self.layers)}, got {layer}",
                f"layer={len(self.layers)} is the last",
            )
        cut = type(self).__new__(type(self))
        LayeredEncoder.__init__(cut, list(self.layers)[:layer], self._shapes[:layer])  # type: ignore[arg-type]
        return cut


class MLP(LayeredEncoder):
    """Applies fully-connected layers to the flattened picture."""

    def __init__(
        self,
        num_inputs: int,
        widths: Sequence[int],
        nonlinearity: Nonlinearity,
        batch_norm: bool,
        gain: float | None = None,
    ) -> None:
        sizes = [num_inputs, *widths]
        layers = [
            DenseLayer(*pair, nonlinearity, batch_norm, gain) for pair in itertools.pairwise(sizes)
        ]
        super().__init__(layers, [(width,) for width in widths])

    def entrance(self, pictures: Tensor) -> Tensor:
        return pictures.flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.code(pictures)

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        return nn.Sequential(
            super().decoder(channels, resolution, tied),
            nn.Unflatten(1, (channels, resolution, resolution)),
        )


class ConvStack(LayeredEncoder):
    """Applies 5x5 convolutions of stride 2; the features are the last maps' mean."""

    def __init__(
        self,
        channels: int,
        resolution: int,
        widths: Sequence[int],
        nonlinearity: Nonlinearity,
        batch_norm: bool,
        gain: float | None = None,
    ) -> None:
        layers, shapes = [], []
        for width in widths:
            layers.append(ConvLayer(channels, width, resolution, nonlinearity, batch_norm, gain))
            channels, resolution = width, math.ceil(resolution / 2)
            shapes.append((width, resolution, resolution))
        super().__init__(layers, shapes)
