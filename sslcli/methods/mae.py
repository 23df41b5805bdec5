"""MAE: from a few patches, predict the pixels of the hidden ones.

Source: He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses, nets
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import VIT_WITH_PLACES
from sslcli.processes import own_rows
from sslcli.settings import part, setting
from sslcli.transfer import per_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.patches import PatchDecoder
    from sslcli.nets.vit import VisionTransformer


def cropped_and_flipped() -> ViewConfig:
    """Returns the views of masked image models: no change of colour."""
    return ViewConfig(crop_scale=[0.4, 1.0], jitter=0.0, grayscale=0.0, solarize=0.0)


@dataclass(kw_only=True)
class MAEConfig(MethodConfig):
    """Masked autoencoder: most patches are hidden, and predicted (He et al. 2022).

    It restores pictures (`sslcli restore`) where its targets are pixels, with
    method.normalize_patches=false.
    """

    suits = (
        *VIT_WITH_PLACES,
        "optim=adamw",
        "optim.lr=1e-3",
        "optim.weight_decay=0.05",
        "epochs=44",
    )

    mask_ratio: float = setting(0.75, "the fraction of the patches that is hidden")
    normalize_patches: bool = setting(
        True, "predict every patch minus its mean, over its standard deviation; false: pixels"
    )
    decoder_width: int = setting(96, "width of the decoder, a multiple of 32")
    decoder_depth: int = setting(2, "blocks of the decoder")
    views: ViewConfig = part(cropped_and_flipped, "the augmentation of the pictures")

    def __post_init__(self) -> None:
        good = 0 < self.mask_ratio < 1
        require(good, "method.mask_ratio", self.mask_ratio, "between 0 and 1", "try 0.75")
        good = self.decoder_width > 0 and self.decoder_width % 32 == 0
        must_be = "a multiple of 32, the width of a head"
        require(good, "method.decoder_width", self.decoder_width, must_be, "try 96")
        size, must_be = self.views.crop_size, "1 for mae, whose decoder knows whole views alone"
        fix = "choose method.views.size=… for smaller views"
        require(size == 1, "method.views.crop_size", size, must_be, fix)
        good = self.decoder_depth >= 1
        require(good, "method.decoder_depth", self.decoder_depth, "at least 1", "try 2")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> MAE:
        preprocessing = self.views.fed(preprocessing)
        vit = nets.require_patches(encoder, "mae")
        numbers = preprocessing.channels * vit.patch**2
        num_patches, fix = vit.code_shape[1] ** 2, "choose a smaller encoder.patch"
        require(num_patches > 1, "the number of patches", num_patches, "at least 2 for mae", fix)
        good, must_be = numbers > 1 or not self.normalize_patches, "false for patches of one number"
        require(good, "method.normalize_patches", True, must_be, "or encoder.patch=2")
        kind = MAE if self.normalize_patches else RestoringMAE
        return kind(
            encoder=vit,
            preprocessing=preprocessing,
            decoder=nets.PatchDecoder(vit, self.decoder_width, self.decoder_depth, numbers),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            mask_ratio=self.mask_ratio,
            normalize_patches=self.normalize_patches,
        )


@dataclass
class MAE(Method):
    encoder: VisionTransformer
    preprocessing: Preprocessing
    decoder: PatchDecoder
    augmentation: Augmentation
    mask_ratio: float
    normalize_patches: bool

    def normal(self, batch_size: int) -> Normal:
        if not self.normalize_patches:
            return Normal()
        numbers = self.preprocessing.channels * self.encoder.patch**2
        loss = (numbers - 1) / numbers  # of predicting every patch's mean
        return Normal(loss, loss)

    def called_encoders(self) -> Sequence[Encoder]:
        return []

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        patches = nets.to_patches(views, self.encoder.patch)
        kept = self.draw_kept(patches)
        hidden = patches.new_ones(patches.shape[:2]).scatter(1, kept, 0.0)
        wanted = hidden.argsort(dim=1, descending=True)[:, : patches.shape[1] - kept.shape[1]]
        predicted = self.decoder(self.encoder.tokens(views, kept), kept, wanted)
        patches = patches.gather(1, wanted.unsqueeze(2).expand(-1, -1, patches.shape[2]))
        targets = losses.normalized_patches(patches) if self.normalize_patches else patches
        loss = losses.hidden_squared_error(predicted, targets, patches.new_ones(wanted.shape))
        minimize(loss)
        return {"loss": loss.detach()}

    def draw_kept(self, patches: Tensor) -> Tensor:
        """Draws which patches are seen, (N, K), of pictures' patches (N, L, P)."""
        length = patches.shape[1]
        num_kept = max(1, int(length * (1 - self.mask_ratio)))
        noise = own_rows(lambda num: patches.new_empty(num, length).uniform_(), len(patches))
        return noise.argsort(dim=1)[:, :num_kept]


@dataclass
class RestoringMAE(MAE):
    """An MAE whose targets are pixels: a `Restorer`."""

    def uses_damaged_pixels(self) -> bool:
        return False

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        patches = nets.to_patches(pictures, self.encoder.patch)
        seen = patches.new_zeros(patches.shape[:2]).scatter(1, self.draw_kept(patches), 1.0)
        by_pixel = (seen == 0).unsqueeze(2).expand(-1, -1, self.encoder.patch**2)
        hidden = nets.to_pictures(by_pixel, self.encoder.patch, 1)
        mean = per_channel(self.preprocessing.mean, pictures)
        return mean.where(hidden, pictures), hidden

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        """Predicts the patches that hold hidden pixels from those that hold none."""
        shape = self.preprocessing
        views = shape.normalized(damaged)
        touched = nets.to_patches(hidden.to(views.dtype), self.encoder.patch).amax(dim=2) > 0
        num_kept = (~touched).sum(dim=1)
        restored = nets.to_patches(views, self.encoder.patch)
        for number in set(num_kept.tolist()):
            rows = (num_kept == number).nonzero().flatten()
            kept = touched[rows].byte().argsort(dim=1, stable=True)[:, :number]
            restored[rows] = self.decoder(self.encoder.tokens(views[rows], kept), kept).to(views)
        pixels = nets.to_pictures(restored, self.encoder.patch, shape.channels)
        mean, std = (per_channel(v, pixels) for v in (shape.mean, shape.std))
        return (pixels * std + mean).clamp(0, 1)
