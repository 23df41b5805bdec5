"""Implements the context encoder, which fills a hole from what is around it.

Source: Pathak, Krähenbühl, Donahue, Darrell, Efros 2016, "Context Encoders: Feature Learning by
Inpainting", and its released Torch code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sslcli import augment, losses, nets
from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.errors import SslcliError, require
from sslcli.method import (
    Method,
    MethodConfig,
    Metrics,
    Minimize,
    Preprocessing,
    Progress,
    as_pictures,
)
from sslcli.processes import own_rows
from sslcli.settings import part, setting
from sslcli.transfer import per_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor, nn

    from sslcli.augment.masks import Masks
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class ContextEncoderConfig(MethodConfig):
    """Fills holes from their surroundings (Pathak et al. 2016)."""

    suits = (
        "encoder=context",
        "optim=adamw",
        "optim.lr=2e-3",
        "optim.betas=[0.5,0.999]",
        "optim.weight_decay=0",
    )

    masks: MaskConfig = part(
        MaskConfig, "the holes, each picture its own, anew every time it is shown"
    )
    bottleneck: int | None = setting(
        512,
        "units of the fully-connected layer before the decoder; null: the channel-wise one "
        "and a 1x1 convolution",
    )
    flip: bool = setting(True, "half of the pictures are mirrored")
    overlap: float = setting(
        0.03125,
        "centre holes: width of the band around the hole that is predicted too, as part of "
        "the picture's side",
    )
    overlap_weight: float = setting(10.0, "weight of that band in the reconstruction")
    adversarial: bool = setting(
        False, "also trained against a discriminator; the authors learned features without"
    )
    reconstruction_weight: float = setting(0.999, "of the reconstruction, where adversarial")
    adversarial_weight: float = setting(0.001, "of the generator's adversarial loss")
    discriminator_width: int = setting(
        32, "channels of the discriminator's first layer, where adversarial"
    )
    discriminator_rate: float = setting(
        0.1, "the discriminator's learning rate, as a multiple of the generator's"
    )

    def __post_init__(self) -> None:
        units, fix = self.bottleneck, "512 is the default, null the other kind"
        require(units is None or units > 0, "method.bottleneck", units, "positive", fix)
        band, fix = self.overlap, "0.03125 is the released code's"
        require(0 <= band <= 0.2, "method.overlap", band, "from 0 to 0.2", fix)
        for name in (
            "overlap_weight",
            "reconstruction_weight",
            "adversarial_weight",
            "discriminator_rate",
        ):
            value = getattr(self, name)
            require(value > 0, f"method.{name}", value, "positive", "leave it out for the paper's")
        width, fix = self.discriminator_width, "32 is the default, 64 the paper's"
        require(width > 0, "method.discriminator_width", width, "positive", fix)

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> ContextEncoder:
        channels, resolution = preprocessing.channels, preprocessing.resolution
        must_be = "at least 16 for holes to be filled"
        require(resolution >= 16, "data.resolution", resolution, must_be, "try 28 or more")
        band, start, side = self._patch(resolution)
        return ContextEncoder(
            encoder=encoder,
            preprocessing=preprocessing,
            bottleneck=self._bottleneck(encoder),
            decoder=encoder.decoder(channels, resolution, tied=False),
            discriminator=nets.PatchDiscriminator(channels, side, self.discriminator_width)
            if self.adversarial
            else None,
            masks=augment.Masks(self.masks.kind, self.masks.share),
            flip=self.flip,
            band=band,
            patch=(slice(start, start + side),) * 2,
            band_weight=self.overlap_weight,
            weights=(self.reconstruction_weight, self.adversarial_weight),
            discriminator_rate=self.discriminator_rate,
        )

    def _patch(self, resolution: int) -> tuple[int, int, int]:
        """Returns the band's width, and the start and side of what the discriminator sees."""
        if self.masks.kind is not MaskKind.centre:
            return 0, 0, resolution
        hole, band = resolution // 2, round(self.overlap * resolution)
        return band, (resolution - hole) // 2 - band, hole + 2 * band

    def _bottleneck(self, encoder: Encoder) -> nn.Module:
        if len(encoder.code_shape) != 3:
            message = (
                "the context encoder needs feature maps, and this encoder's code is "
                f"{encoder.code_shape[0]} numbers"
            )
            raise SslcliError(
                message,
                "choose encoder=context, conv_stack, convnet or a resnet, without "
                "encoder.bottleneck",
            )
        if self.bottleneck is None:
            return nets.ChannelwiseBottleneck(encoder.code_shape[0], encoder.code_shape[1])
        return nets.FullyConnectedBottleneck(encoder.code_shape, self.bottleneck)


@dataclass
class ContextEncoder(Method):
    """Predicts pictures from what surrounds their holes; a `Restorer`.

    Pictures are normalised for the encoder, so that the hole's 0 is the data's mean; predictions
    and the discriminator's patches are in [-1, 1].

    Differs: the whole picture is predicted, not the hole's square, so that a hole may have any
    form; the overlap lies around the hole, so that the hole itself is the quarter that is scored;
    where holes have no square of their own (blocks, regions) the discriminator sees the picture
    with its hole filled.
    """

    views_are_normalized: ClassVar[bool] = False

    encoder: Encoder
    preprocessing: Preprocessing
    bottleneck: nn.Module
    decoder: nn.Module
    discriminator: nn.Module | None
    masks: Masks
    flip: bool
    band: int
    patch: tuple[slice, slice]
    """Rows and columns that the discriminator sees."""
    band_weight: float
    weights: tuple[float, float]
    """Of reconstruction and adversarial loss."""
    discriminator_rate: float

    def players(self) -> dict[str, Sequence[nn.Module]]:
        players: dict[str, Sequence[nn.Module]] = {
            "generator": [self.encoder, self.bottleneck, self.decoder]
        }
        if self.discriminator is not None:
            players["discriminator"] = [self.discriminator]
        return players

    def learning_rates(self) -> dict[str, float]:
        rates = {"generator": 1.0, "discriminator": self.discriminator_rate}
        return {player: rates[player] for player in self.players()}

    def views(self, images: Tensor) -> Tensor:
        """Returns pictures in [0, 1], half of them mirrored."""
        pictures = as_pictures(images)
        if not self.flip:
            return pictures
        mirrored = (
            own_rows(lambda num: pictures.new_empty(num, 1, 1, 1).uniform_(), len(pictures)) < 0.5
        )
        return pictures.flip(3).where(mirrored, pictures)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        hidden = self.masks(len(views), views.shape[2], views.device)
        target = views * 2 - 1
        prediction = self.predict(views, hidden)
        reconstruction = losses.masked_squared_error(
            prediction, target, self.loss_weights(hidden, prediction.dtype)
        )
        if self.discriminator is None:
            minimize(reconstruction, "generator")
            return {"loss": reconstruction.detach()}

        real, fake = self.patches(target, prediction, hidden)
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake.detach())
        discriminator_loss = losses.discriminator_loss(real_logits, fake_logits)
        minimize(discriminator_loss, "discriminator")
        adversarial = losses.generator_loss(
            self.discriminator(fake)
        )  # by the discriminator just updated
        loss = self.weights[0] * reconstruction + self.weights[1] * adversarial
        minimize(loss, "generator")
        return {
            "loss": loss.detach(),
            "reconstruction": reconstruction.detach(),
            "adversarial": adversarial.detach(),
            "discriminator_loss": discriminator_loss.detach(),
            "discriminator_accuracy": (
                (real_logits > 0).float().mean() + (fake_logits <= 0).float().mean()
            )
            / 2,
        }

    def predict(self, pictures: Tensor, hidden: Tensor) -> Tensor:
        """Predicts whole pictures in [-1, 1] without the pixels that are hidden.

        `pictures` (N, C, H, W) in [0, 1].
        """
        context = self.preprocessing.normalized(pictures).masked_fill(hidden, 0.0)
        prediction: Tensor = self.decoder(self.bottleneck(self.encoder.code(context))).tanh()
        return prediction

    def loss_weights(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """Returns 1 in the hole, `band_weight` in the band around it, 0 elsewhere."""
        weights = hidden.to(dtype)
        if self.band == 0:
            return weights
        from torch.nn.functional import max_pool2d

        reached = max_pool2d(weights, 2 * self.band + 1, stride=1, padding=self.band)
        return weights + self.band_weight * (reached - weights)

    def patches(self, target: Tensor, prediction: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the discriminator is to tell apart, real and made."""
        rows, columns = self.patch
        if self.masks.kind is not MaskKind.centre:
            prediction = prediction.where(hidden, target)
        return target[:, :, rows, columns], prediction[:, :, rows, columns]

    def uses_damaged_pixels(self) -> bool:
        return False

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.masks(len(pictures), pictures.shape[2], pictures.device)
        mean = per_channel(self.preprocessing.mean, pictures)
        return mean.where(hidden, pictures), hidden

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        """Fills what is hidden; nothing but the hole changes.

        Raises SslcliError where a picture is hidden as a whole, since nothing is left to go by, and
        where something is hidden that no loss was ever about.
        """
        if bool(hidden.flatten(1).all(dim=1).any()):
            raise SslcliError(
                "a context encoder fills holes, and here a whole picture is hidden",
                "say with --mask what to fill",
            )
        self._require_learned(hidden)
        filled = (self.predict(damaged, hidden) + 1) / 2
        return filled.where(hidden, damaged)

    def _require_learned(self, hidden: Tensor) -> None:
        rows, columns = self.patch
        learned = hidden.new_zeros(hidden.shape[2:])
        learned[rows, columns] = True
        if self.masks.kind is MaskKind.centre and bool((hidden & ~learned).any()):
            message = (
                "the run learned to fill the centre of a picture alone, "
                "and here something else is hidden"
            )
            raise SslcliError(
                message,
                "name a run with method.masks.kind=regions, or train one: it fills holes anywhere",
            )
