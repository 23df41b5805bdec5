"""The choice of encoder: configs that build one for a picture's channels and resolution. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sslcli.errors import require
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchvision.models import ResNet

    from sslcli.nets.encoder import Encoder


class Stem(Enum):
    """The first layer of a ResNet: `imagenet` 7x7 stride 2 with max-pool, `small` 3x3 stride 1 without, `auto` by size."""

    auto = "auto"
    imagenet = "imagenet"
    small = "small"


@dataclass(kw_only=True)
class EncoderConfig:
    """Base of every encoder's config."""

    def build(self, channels: int, resolution: int) -> Encoder:
        """Freshly initialised from torch's global generator. Raises SslcliError where the pictures do not fit."""
        raise NotImplementedError


@dataclass(kw_only=True)
class ConvNetConfig(EncoderConfig):
    """Six 3x3 conv-BN-ReLU blocks of w, 2w, 2w, 4w, 4w, 8w channels (strides 1 2 1 2 1 2), mean pool: fast on a CPU."""

    width: int = setting(16, "channels of the first block, w; the encoder's width is 8w")

    def __post_init__(self) -> None:
        require(self.width >= 1, "encoder.width", self.width, "at least 1", "16 is the default")

    def build(self, channels: int, resolution: int) -> Encoder:
        require(resolution >= 8, "data.resolution", resolution, "at least 8 for encoder=convnet", "use encoder=mlp")
        from sslcli.nets.convolutional import ConvNet

        return ConvNet(channels, self.width)


@dataclass(kw_only=True)
class ResNetConfig(EncoderConfig):
    """torchvision's ResNet without its classifier."""

    stem: Stem = setting(Stem.auto, "first layer; auto: small below 64 px, imagenet from there on")
    zero_init_residual: bool = setting(True, "each residual block starts as the identity (last norm's scale is 0)")

    def build(self, channels: int, resolution: int) -> Encoder:
        from sslcli.nets.convolutional import ResNetEncoder

        small = self.stem is Stem.small or (self.stem is Stem.auto and resolution < 64)
        return ResNetEncoder(self.architecture()(zero_init_residual=self.zero_init_residual), channels, small)

    def architecture(self) -> Callable[..., ResNet]:
        raise NotImplementedError


@dataclass(kw_only=True)
class ResNet18Config(ResNetConfig):
    """torchvision's ResNet-18, width 512."""

    def architecture(self) -> Callable[..., ResNet]:
        from torchvision.models import resnet18

        return resnet18  # type: ignore[no-any-return]


@dataclass(kw_only=True)
class ResNet34Config(ResNetConfig):
    """torchvision's ResNet-34, width 512."""

    def architecture(self) -> Callable[..., ResNet]:
        from torchvision.models import resnet34

        return resnet34  # type: ignore[no-any-return]


@dataclass(kw_only=True)
class ResNet50Config(ResNetConfig):
    """torchvision's ResNet-50, width 2048."""

    def architecture(self) -> Callable[..., ResNet]:
        from torchvision.models import resnet50

        return resnet50  # type: ignore[no-any-return]


@dataclass(kw_only=True)
class MLPConfig(EncoderConfig):
    """Fully-connected layers on the flattened picture, each with batch norm and ReLU."""

    widths: list[int] = setting([1000, 1000], "units of each layer; the last is the encoder's width")

    def __post_init__(self) -> None:
        good = len(self.widths) > 0 and all(width > 0 for width in self.widths)
        require(good, "encoder.widths", self.widths, "a list of positive numbers", "try encoder.widths=[512,256]")

    def build(self, channels: int, resolution: int) -> Encoder:
        from sslcli.nets.fully_connected import MLP

        return MLP(channels * resolution * resolution, self.widths)


@dataclass(kw_only=True)
class TimmConfig(EncoderConfig):
    """Any timm model by its name (needs the extra: pip install 'sslcli[timm]'), from random weights; ViTs among them."""

    model: str = setting(REQUIRED, "timm's name of the model, as in vit_tiny_patch16_224")
    patch_size: int | None = setting(
        None, "side of a patch in pixels, for models made of patches; None: the model's own"
    )

    def build(self, channels: int, resolution: int) -> Encoder:
        from sslcli.nets.timm_encoder import build_timm_encoder

        return build_timm_encoder(self.model, channels, resolution, self.patch_size)


ENCODERS: dict[str, type[EncoderConfig]] = {
    "convnet": ConvNetConfig,
    "resnet18": ResNet18Config,
    "resnet34": ResNet34Config,
    "resnet50": ResNet50Config,
    "mlp": MLPConfig,
    "timm": TimmConfig,
}
