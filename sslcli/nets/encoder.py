"""Defines what every encoder is, and what an autoencoder needs of one.

Shapes: N images, C H W, D width.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.method import Views, views_by_size
from sslcli.nets.chunked import in_chunks
from sslcli.nets.decoders import UpsamplingDecoder


class Encoder(nn.Module):
    """Maps preprocessed pictures (N, C, H, W) to features (N, `width`).

    It is what survives pretraining.

    A convolutional encoder defines `code` and `code_shape`, and its features are the code's mean
    over the positions; another defines `forward`, and its code is its features.
    """

    width: int

    @cached_property
    def code_shape(self) -> tuple[int, ...]:
        """Of what `code` gives for one picture: (D,), or the feature maps' (D, h, w).

        An encoder whose code is not its features sets it.
        """
        return (self.width,)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.code(pictures).mean(dim=(2, 3))

    def in_chunks(self, views: Views, chunk_size: int | None) -> Tensor:
        """Returns `forward` in the memory of `chunk_size` pictures; None: of all.

        Of views of several sizes one after the other, their features in one tensor.
        """
        features = [in_chunks(self, size, chunk_size) for size in views_by_size(views)]
        return features[0] if len(features) == 1 else torch.cat(features)

    def code(self, pictures: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, *code_shape), which a decoder starts from."""
        features: Tensor = self(pictures)
        return features

    def maps(self, pictures: Tensor) -> Tensor:
        """Maps (N, C, H, W) to feature maps (N, D, h, w): what each place of a picture holds.

        Raises SslcliError where the encoder knows no places.
        """
        if len(self.code_shape) != 3:
            kind = type(self).__name__
            message = f"a {kind} has no patches: its features belong to no place in the picture"
            raise SslcliError(message, "use an encoder of patches or feature maps: vit, convnet, …")
        return self.code(pictures)

    def code_is_unit(self) -> bool:
        """Tells whether the code's numbers are in [0, 1], whatever the picture."""
        return False

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        """Builds a decoder (N, *code_shape) -> (N, channels, resolution, resolution).

        Its output is unbounded. Its weights are its own or, `tied`, the encoder's transposed.
        Raises SslcliError where this encoder's weights cannot be tied.
        """
        if tied:
            message = (
                f"method.tied: the weights of a {type(self).__name__} cannot be tied to a decoder's"
            )
            raise SslcliError(
                message, "choose encoder=mlp or encoder=conv_stack, or method.tied=false"
            )
        return UpsamplingDecoder(self.code_shape, channels, resolution)

    def up_to(self, layer: int) -> Encoder:
        """Returns the encoder that ends with its `layer`-th layer, counted from 1.

        Raises SslcliError where it has no such layer.
        """
        raise SslcliError(
            f"a {type(self).__name__} cannot be cut after layer {layer}",
            "leave layer out, or use a run of stack-pretrain",
        )


class Bottleneck(Encoder):
    """Brings an encoder's flattened code to `width` numbers by one linear layer.

    Feature maps keep what they know of places, which their mean forgets.
    """

    def __init__(self, encoder: Encoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width
        self.code_shape = (width,)
        self.linear: nn.Linear | nn.Conv2d = nn.Linear(math.prod(encoder.code_shape), width)

    def forward(self, pictures: Tensor) -> Tensor:
        code: Tensor = self.linear(self.below(pictures))
        return code

    def below(self, pictures: Tensor) -> Tensor:
        """Returns what `linear` is fed, of the encoder's code."""
        return self.encoder.code(pictures).flatten(1)

    def beside(self) -> nn.Module:
        """Builds another layer like `linear`, to be fed with `below`."""
        return nn.Linear(math.prod(self.encoder.code_shape), self.width)

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        """Builds the encoder's decoder behind a linear layer, which is never tied."""
        num = math.prod(self.encoder.code_shape)
        widen = [nn.Linear(self.width, num), nn.ReLU(inplace=True)]
        return nn.Sequential(
            *widen,
            nn.Unflatten(1, self.encoder.code_shape),
            self.encoder.decoder(channels, resolution, tied),
        )


class MapBottleneck(Bottleneck):
    """Brings feature maps to `channels` numbers at every place, by one 1x1 convolution.

    The code (channels, h, w) keeps places; its features are all of its numbers.
    """

    def __init__(self, encoder: Encoder, channels: int) -> None:
        """Raises SslcliError where the encoder has no feature maps."""
        Encoder.__init__(self)
        if len(encoder.code_shape) != 3:
            kind = type(encoder).__name__
            message = f"encoder.bottleneck_places: the code of a {kind} has no places"
            raise SslcliError(message, "choose encoder=convnet, a ResNet or conv_stack")
        self.encoder = encoder
        self.code_shape = (channels, *encoder.code_shape[1:])
        self.width = math.prod(self.code_shape)
        self.linear = nn.Conv2d(encoder.code_shape[0], channels, kernel_size=1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.code(pictures).flatten(1)

    def code(self, pictures: Tensor) -> Tensor:
        code: Tensor = self.linear(self.below(pictures))
        return code

    def below(self, pictures: Tensor) -> Tensor:
        return self.encoder.code(pictures)

    def beside(self) -> nn.Module:
        return nn.Conv2d(self.encoder.code_shape[0], self.code_shape[0], kernel_size=1)

    def decoder(self, channels: int, resolution: int, tied: bool) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(self.code_shape[0], self.encoder.code_shape[0], kernel_size=1),
            nn.ReLU(inplace=True),
            self.encoder.decoder(channels, resolution, tied),
        )
