"""Configures how views are made.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sslcli import augment
from sslcli.errors import SslcliError, require
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.augment.augmentation import Augmentation
    from sslcli.augment.operation import Operation
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
    vertical_flip: float = setting(0.0, "probability of mirroring top and bottom", added_later=True)
    rotate90: float = setting(
        0.0, "probability of turning by 90, 180 or 270 degrees", added_later=True
    )
    rotation: float = setting(
        0.0,
        "the largest turn in degrees, either way; at most 180; corners are filled by mirroring",
        added_later=True,
    )
    elastic: float = setting(0.0, "probability of bending", added_later=True)
    elastic_alpha: float = setting(
        50.0,
        "strength of the bending, torchvision's alpha: pixels move by about 0.08 alpha / sigma",
        added_later=True,
    )
    elastic_sigma: float = setting(
        5.0, "pixels over which the bending changes, torchvision's sigma", added_later=True
    )
    autocontrast: float = setting(
        0.0, "probability of stretching each channel to go from black to white", added_later=True
    )
    noise: float = setting(
        0.0, "probability of noise, each pixel and channel its own", added_later=True
    )
    noise_std: list[float] = setting(
        [0.02, 0.1], "standard deviation of the noise, 1 is white: from, to", added_later=True
    )
    erasing: float = setting(
        0.0, "probability of hiding a rectangle under the view's mean colour", added_later=True
    )
    erasing_scale: list[float] = setting(
        [0.02, 0.33], "the part of the area that is hidden: from, to", added_later=True
    )
    erasing_ratio: list[float] = setting(
        [0.3, 3.3], "height over width of the rectangle: from, to", added_later=True
    )

    size: int | None = setting(
        None,
        "side in pixels of a view, and of what the encoder is fed, cut from a larger stored "
        "picture (data.resolution); null: the stored picture's",
        added_later=True,
    )

    def __post_init__(self) -> None:
        self._check_further()
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

    def _check_further(self) -> None:
        """Raises SslcliError for a value out of range of the settings that came later."""
        size = self.size
        require(size is None or size > 0, _key("size"), size, "positive, or null", "try 128")
        unbounded = float("inf")
        _require_range(
            "noise_std", self.noise_std, 1.0, "two positive parts of white", "[0.02, 0.1]"
        )
        scale, ratio = "two fractions of the area", "two positive ratios"
        _require_range("erasing_scale", self.erasing_scale, 1.0, scale, "[0.02, 0.33]")
        _require_range("erasing_ratio", self.erasing_ratio, unbounded, ratio, "[0.3, 3.3]")
        for name in ("vertical_flip", "rotate90", "elastic", "autocontrast", "noise", "erasing"):
            value, fix = getattr(self, name), "give a number from 0 to 1"
            require(0 <= value <= 1, _key(name), value, "a probability", fix)
        degrees = self.rotation
        require(0 <= degrees <= 180, _key("rotation"), degrees, "from 0 to 180", "try 15")
        for name, example in (("elastic_alpha", "50.0"), ("elastic_sigma", "5.0")):
            value = getattr(self, name)
            require(0 < value < unbounded, _key(name), value, "positive", f"try {example}")

    def fed(self, preprocessing: Preprocessing) -> Preprocessing:
        """Returns what the views feed an encoder with: their size, normalised or not.

        Raises SslcliError where the stored pictures are smaller.
        """
        if self.size is not None:
            stored = preprocessing.resolution
            must_be = f"at most the stored pictures' side, {stored}"
            fix = f"store larger ones: data.resolution={self.size}"
            require(self.size <= stored, _key("size"), self.size, must_be, fix)
            preprocessing = replace(preprocessing, resolution=self.size)
        return preprocessing if self.normalize else preprocessing.without_normalization()

    def beside(self, large: ViewConfig) -> ViewConfig:
        """Returns it for small views: `crop_size` is of the large ones' side.

        Raises SslcliError where one encoder would see two scales of values.
        """
        good = self.normalize or not large.normalize  # whose mean is 0 then, and its deviation 1
        must_be, fix = "true, as of the large views", "method.views.normalize=false is of both"
        require(good, "method.small_views.normalize", self.normalize, must_be, fix)
        return self if self.size is not None else replace(self, size=large.size)

    def build(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Augmentation:
        """Builds it for pictures in [0, 1] with this `mean` and `std`, a number a channel."""
        return augment.Augmentation(
            crop=augment.RandomCrop(
                (self.crop_scale[0], self.crop_scale[1]),
                (self.crop_ratio[0], self.crop_ratio[1]),
                self.crop_size,
                self.size,
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
            before_colours=self._before_colours(),
            after_colours=self._after_colours(),
        )

    def _before_colours(self) -> tuple[Operation, ...]:
        """Returns what is asked for, and draws nothing for what is not."""
        found: list[Operation] = []
        if self.vertical_flip:
            found.append(augment.VerticalFlip(self.vertical_flip))
        if self.rotate90:
            found.append(augment.QuarterTurns(self.rotate90))
        if self.rotation or self.elastic:
            found.append(
                augment.Warp(self.rotation, self.elastic, self.elastic_alpha, self.elastic_sigma)
            )
        if self.autocontrast:
            found.append(augment.AutoContrast(self.autocontrast))
        return tuple(found)

    def _after_colours(self) -> tuple[Operation, ...]:
        found: list[Operation] = []
        if self.noise:
            found.append(augment.Noise(self.noise, (self.noise_std[0], self.noise_std[1])))
        if self.erasing:
            scale = (self.erasing_scale[0], self.erasing_scale[1])
            ratio = (self.erasing_ratio[0], self.erasing_ratio[1])
            found.append(augment.Erasing(self.erasing, scale, ratio))
        if self.channel_drop:
            found.append(augment.ChannelDrop(self.channel_drop))
        return tuple(found)


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
