"""Configures how views are made.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import augment
from sslcli.errors import SslcliError, require
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.augment.augmentation import Augmentation
    from sslcli.method import Preprocessing


@dataclass(kw_only=True)
class ViewConfig:
    """Configures one random augmentation.

    The defaults suit small pictures: strong colours, mild crops, some solarised, no blur.

    Source: Chen et al. 2020 (SimCLR), appendix A and, for CIFAR-10, B.9; solarise is BYOL's
    addition.
    Differs: a crop keeps at least 0.4 of the area, where ImageNet's recipe goes down to 0.08.
    """

    crop_scale: list[float] = setting([0.4, 1.0], "the part of the area a crop keeps: from, to")
    crop_ratio: list[float] = setting([3 / 4, 4 / 3], "width over height of a crop: from, to")
    crop_size: float = setting(
        1.0, "side of a view as a part of the picture's: small crops have less", added_later=True
    )
    flip: float = setting(0.5, "probability of mirroring left and right")
    jitter: float = setting(0.8, "probability of changing the colours")
    brightness: float = setting(0.8, "the factor is drawn from 1 - this to 1 + this")
    contrast: float = setting(0.8, "the factor is drawn from 1 - this to 1 + this")
    saturation: float = setting(0.8, "the factor is drawn from 1 - this to 1 + this")
    hue: float = setting(
        0.2, "the largest turn of the colour circle, either way; at most 0.5, half of it"
    )
    grayscale: float = setting(0.2, "probability of taking the colours away")
    blur: float = setting(0.0, "probability of a Gaussian blur")
    blur_sigma: list[float] = setting(
        [0.1, 2.0], "standard deviation of the blur in pixels: from, to"
    )
    blur_kernel: float = setting(
        0.1, "width of the blur's kernel as a part of the side; at least 3 pixels"
    )
    solarize: float = setting(0.2, "probability of inverting the bright pixels")
    solarize_threshold: float = setting(0.5, "pixels from this value on are inverted; 1 is white")
    channel_drop: float = setting(
        0.0,
        "probability of making a channel all 0; one at least is kept of each view",
        added_later=True,
    )
    normalize: bool = setting(True, "subtract the data's mean, divide by its standard deviation")

    def __post_init__(self) -> None:
        _require_range(
            "crop_scale", self.crop_scale, 1.0, "two fractions of the area", "[0.08, 1.0]"
        )
        _require_range(
            "crop_ratio", self.crop_ratio, float("inf"), "two positive ratios", "[0.75, 1.33]"
        )
        _require_range(
            "blur_sigma", self.blur_sigma, float("inf"), "two positive widths", "[0.1, 2.0]"
        )
        require(0 < self.crop_size <= 1, _key("crop_size"), self.crop_size, "in (0, 1]", "try 0.43")
        for name in ("flip", "jitter", "grayscale", "blur", "solarize", "channel_drop"):
            value = getattr(self, name)
            require(
                0 <= value <= 1, _key(name), value, "a probability", "give a number from 0 to 1"
            )
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            require(
                0 <= value < float("inf"),
                _key(name),
                value,
                "at least 0",
                "try 0.4; 0 switches it off",
            )
        require(
            0 <= self.hue <= 0.5,
            _key("hue"),
            self.hue,
            "from 0 to 0.5",
            "try 0.1; 0 switches it off",
        )
        require(
            0 < self.blur_kernel <= 1, _key("blur_kernel"), self.blur_kernel, "in (0, 1]", "try 0.1"
        )
        threshold = self.solarize_threshold
        require(
            0 <= threshold <= 1, _key("solarize_threshold"), threshold, "from 0 to 1", "try 0.5"
        )

    def fed(self, preprocessing: Preprocessing) -> Preprocessing:
        """Returns what the views feed an encoder with: normalised pictures or not."""
        return preprocessing if self.normalize else preprocessing.without_normalization()

    def build(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Augmentation:
        """Builds it for pictures in [0, 1] with this `mean` and `std`, a number a channel."""
        return augment.Augmentation(
            crop=augment.RandomCrop(
                (self.crop_scale[0], self.crop_scale[1]),
                (self.crop_ratio[0], self.crop_ratio[1]),
                self.crop_size,
            ),
            flip=self.flip,
            jitter=augment.ColourJitter(
                self.jitter, self.brightness, self.contrast, self.saturation, self.hue
            ),
            grayscale=self.grayscale,
            blur=augment.RandomBlur(
                self.blur, (self.blur_sigma[0], self.blur_sigma[1]), self.blur_kernel
            ),
            solarize=self.solarize,
            solarize_threshold=self.solarize_threshold,
            normalization=(mean, std) if self.normalize else None,
            channel_drop=self.channel_drop,
        )


def _key(name: str) -> str:
    return f"method.views.{name}"


def _require_range(
    name: str, value: list[float], largest: float, must_be: str, example: str
) -> None:
    """Raises unless 0 < from <= to <= `largest`, both finite, in `value` = [from, to]."""
    if len(value) != 2 or not (0 < value[0] <= value[1] <= largest and value[1] < float("inf")):
        at_most = "" if largest == float("inf") else f", at most {largest:g}"
        raise SslcliError(
            f"{_key(name)} must be {must_be}, the smaller one first{at_most}, got {list(value)}",
            f"try '{_key(name)}={example}'",
        )
