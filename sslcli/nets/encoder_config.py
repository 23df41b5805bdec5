"""Configures encoders, which are built for the pictures' channels and resolution.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import nets
from sslcli.errors import SslcliError, require
from sslcli.nets.given_config import PUBLIC, Fed
from sslcli.nets.layer_config import Activation as Activation
from sslcli.nets.layer_config import Norm as Norm
from sslcli.nets.layer_config import Stem as Stem
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.public_weights import PublicWeights


VIT_WITH_PLACES = ("encoder=vit", "encoder.width=96", "encoder.depth=4", "encoder.pool=grid")
"""Measured for MAE and SimMIM."""
CONVNET_WITH_PLACES = ("encoder=convnet", "encoder.grid=4")
"""Measured for SimCLR, VICReg, MoCo, BYOL, DINO, SwAV and distillation; others take it over."""


@dataclass(kw_only=True)
class EncoderConfig:
    """Holds the settings that all encoders share; a kind defines `network`."""

    bottleneck: int | None = setting(
        None,
        "units of a last linear layer on the flattened feature maps: the code of an "
        "autoencoder; null: none",
    )
    bottleneck_places: bool = setting(
        False,
        "encoder.bottleneck counts numbers at every place of the feature maps, by a 1x1 "
        "convolution: a code that keeps places; its features are all of them",
        added_later=True,
    )
    weights: str | None = setting(
        None,
        "begins with: a file of weights, a run, or public (torchvision's, timm's); null: random",
        added_later=True,
        file=True,
        words=(PUBLIC,),
    )
    weights_part: str | None = setting(
        None,
        "of a file with several networks, the one whose place holds this text, such as student",
        added_later=True,
    )
    weights_share: float = setting(
        0.9, "least part of the encoder's numbers that the weights must give", added_later=True
    )
    weights_fed: Fed = setting(
        Fed.auto,
        "the mean and deviation of the weights' pictures: as known (auto), imagenet, or data",
        added_later=True,
    )
    frozen_epochs: int = setting(
        0,
        "first epochs of pretraining in which the encoder does not learn",
        added_later=True,
    )

    def __post_init__(self) -> None:
        units = self.bottleneck
        require(
            units is None or units > 0, "encoder.bottleneck", units, "positive", "try 32, or null"
        )
        places, must_be = self.bottleneck_places, "false without encoder.bottleneck"
        fix = "encoder.bottleneck=2"
        require(units is not None or not places, "encoder.bottleneck_places", places, must_be, fix)
        frozen = self.frozen_epochs
        require(frozen >= 0, "encoder.frozen_epochs", frozen, "0 or more", "0 freezes nothing")
        share, must_be = self.weights_share, "from 0 to 1"
        require(0 <= share <= 1, "encoder.weights_share", share, must_be, "0.9 is the default")

    def build(self, channels: int, resolution: int) -> Encoder:
        """Builds an encoder with initial weights from torch's global generator.

        Raises SslcliError where the pictures do not fit.
        """
        network = self.network(channels, resolution)
        if self.bottleneck is None:
            return network
        narrow = nets.MapBottleneck if self.bottleneck_places else nets.Bottleneck
        return narrow(network, self.bottleneck)

    def network(self, channels: int, resolution: int) -> Encoder:
        """Builds the encoder without its bottleneck."""
        raise NotImplementedError(f"{type(self).__name__} defines no network")

    def public_weights(self) -> PublicWeights:
        """Returns what is published for the network. Raises SslcliError where nothing is."""
        kind = type(self).__name__.removesuffix("Config")
        message = f"encoder.weights=public: nobody publishes weights of a {kind}"
        raise SslcliError(message, "choose encoder=resnet18, resnet50, vit or timm, or give a file")


def _require_8_pixels(resolution: int, encoder: str) -> None:
    must_be = f"at least 8 for encoder={encoder}"
    require(resolution >= 8, "data.resolution", resolution, must_be, "use encoder=mlp")


@dataclass(kw_only=True)
class ConvNetConfig(EncoderConfig):
    """Builds six 3x3 conv-norm-ReLU blocks with mean pooling, fast on a CPU.

    They have w, 2w, 2w, 4w, 4w, 8w channels, and strides 1 2 1 2 1 2.
    """

    width: int = setting(16, "channels of the first block, w; features are 8w grid^2 numbers")
    norm: Norm = setting(
        Norm.batch, "after every convolution: batch, or group, which treats every picture alone"
    )
    grid: int = setting(
        1,
        "features are means over the cells of a grid with so many cells a side, so that they "
        "know places; 1: over the whole picture",
        added_later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "encoder.width", self.width, "at least 1", "16 is the default")
        require(1 <= self.grid <= 16, "encoder.grid", self.grid, "from 1 to 16", "try 2")

    def network(self, channels: int, resolution: int) -> Encoder:
        _require_8_pixels(resolution, "convnet")
        return nets.ConvNet(channels, resolution, self.width, self.norm.module(), self.grid)


@dataclass(kw_only=True)
class ResNetConfig(EncoderConfig):
    """Builds torchvision's ResNet without its classifier."""

    stem: Stem = setting(Stem.auto, "first layer; auto: small below 64 px, imagenet from there on")
    norm: Norm = setting(
        Norm.batch, "after every convolution: batch, or group, which treats every picture alone"
    )
    zero_init_residual: bool = setting(
        True, "each residual block starts as the identity (last norm's scale is 0)"
    )

    def network(self, channels: int, resolution: int) -> Encoder:
        resnet = nets.resnet(self.architecture, self.zero_init_residual, self.norm.module())
        return nets.ResNetEncoder(resnet, channels, resolution, self.has_small_stem(resolution))

    def public_weights(self) -> PublicWeights:
        return nets.torchvision_weights(self.architecture)

    def has_small_stem(self, resolution: int) -> bool:
        return self.stem is Stem.small or (self.stem is Stem.auto and resolution < 64)

    @property
    def architecture(self) -> str:
        """Names the network as torchvision does."""
        raise NotImplementedError


@dataclass(kw_only=True)
class ResNet18Config(ResNetConfig):
    """Builds torchvision's ResNet-18, width 512."""

    @property
    def architecture(self) -> str:
        return "resnet18"


@dataclass(kw_only=True)
class ResNet34Config(ResNetConfig):
    """Builds torchvision's ResNet-34, width 512."""

    @property
    def architecture(self) -> str:
        return "resnet34"


@dataclass(kw_only=True)
class ResNet50Config(ResNetConfig):
    """Builds torchvision's ResNet-50, width 2048."""

    @property
    def architecture(self) -> str:
        return "resnet50"


@dataclass(kw_only=True)
class LayeredConfig(EncoderConfig):
    """Holds the settings of a chain of layers, which can be stacked, tied and cut."""

    widths: list[int] = setting(
        [1000, 1000], "units of each layer; the last is the encoder's width"
    )
    activation: Activation = setting(Activation.relu, "nonlinearity of every layer")
    batch_norm: bool = setting(True, "batch norm before every nonlinearity")
    gain: float | None = setting(
        None,
        "of the initial weights, on Glorot's range; null: 4 before a sigmoid, 1 before a "
        "tanh, He's before a ReLU",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        good = len(self.widths) > 0 and all(width > 0 for width in self.widths)
        fix = "try encoder.widths=[512,256]"
        require(good, "encoder.widths", self.widths, "a list of positive numbers", fix)
        gain = self.gain
        require(gain is None or gain > 0, "encoder.gain", gain, "positive", "try 1, or null")


@dataclass(kw_only=True)
class MLPConfig(LayeredConfig):
    """Builds fully-connected layers on the flattened picture.

    By default batch norm and ReLU follow each.
    """

    def network(self, channels: int, resolution: int) -> Encoder:
        return nets.MLP(
            channels * resolution * resolution,
            self.widths,
            self.activation.module(),
            self.batch_norm,
            self.gain,
        )


@dataclass(kw_only=True)
class ConvStackConfig(LayeredConfig):
    """Builds 5x5 convolutions of stride 2, with mean pooling.

    This convolutional network can be trained layer by layer.
    """

    widths: list[int] = setting(
        [32, 64, 128], "channels of each layer; the last is the encoder's width"
    )

    def network(self, channels: int, resolution: int) -> Encoder:
        deepest = max(1, resolution.bit_length() - 1)
        must_be = f"at most {deepest} layers"
        fix = f"pictures of {resolution} px carry that many halvings"
        require(len(self.widths) <= deepest, "encoder.widths", self.widths, must_be, fix)
        return nets.ConvStack(
            channels, resolution, self.widths, self.activation.module(), self.batch_norm, self.gain
        )


@dataclass(kw_only=True)
class ContextConfig(EncoderConfig):
    """Builds the context encoder's network: 4x4 convolutions of stride 2.

    They are as many as bring the picture to about 4x4; mean pooling follows.
    """

    width: int = setting(
        32, "channels of the first convolution, w (64 as published); they double up to 8w"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "encoder.width", self.width, "at least 1", "32 is the default")

    def network(self, channels: int, resolution: int) -> Encoder:
        _require_8_pixels(resolution, "context")
        return nets.ContextNet(channels, resolution, self.width)
