"""SimMIM: predict the pixels of patches that a vector replaces.

Source: Xie et al. 2022, "SimMIM: a Simple Framework for Masked Image Modeling".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses, nets
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Preprocessing, Progress
from sslcli.methods.mae import cropped_and_flipped
from sslcli.nets.encoder_config import VIT_WITH_PLACES
from sslcli.processes import own_rows
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.patches import MaskedPixels
    from sslcli.nets.vit import VisionTransformer


@dataclass(kw_only=True)
class SimMIMConfig(MethodConfig):
    """Masked image modelling with a linear head on all patches (Xie et al. 2022).

    Differs: single patches are hidden, where the paper hides squares of 32 pixels.
    """

    suits = (
        *VIT_WITH_PLACES,
        "optim=adamw",
        "optim.lr=4e-3",
        "optim.weight_decay=0.05",
        "epochs=32",
    )

    mask_ratio: float = setting(0.6, "the fraction of the patches that is hidden")
    views: ViewConfig = part(cropped_and_flipped, "the augmentation of the pictures")

    def __post_init__(self) -> None:
        good = 0 < self.mask_ratio < 1
        require(good, "method.mask_ratio", self.mask_ratio, "between 0 and 1", "try 0.6")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> SimMIM:
        preprocessing = self.views.fed(preprocessing)
        vit = nets.require_patches(encoder, "simmim")
        return SimMIM(
            encoder=vit,
            preprocessing=preprocessing,
            head=nets.MaskedPixels(vit.code_shape[0], preprocessing.channels * vit.patch**2),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            mask_ratio=self.mask_ratio,
        )


@dataclass
class SimMIM(Method):
    encoder: VisionTransformer
    preprocessing: Preprocessing
    head: MaskedPixels
    augmentation: Augmentation
    mask_ratio: float

    def called_encoders(self) -> Sequence[Encoder]:
        return []

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        patches = nets.to_patches(views, self.encoder.patch)
        hidden = self.draw_hidden(patches)
        tokens = self.encoder.tokens(views, replaced=(hidden, self.head.mask_token))
        loss = losses.hidden_absolute_error(self.head(tokens[:, 1:]), patches, hidden)
        minimize(loss)
        return {"loss": loss.detach()}

    def draw_hidden(self, patches: Tensor) -> Tensor:
        """Draws which patches are hidden, (N, L) bool, of pictures' patches (N, L, P)."""
        length = patches.shape[1]
        num_hidden = min(length, max(1, round(length * self.mask_ratio)))
        noise = own_rows(lambda num: patches.new_empty(num, length).uniform_(), len(patches))
        return noise.argsort(dim=1).argsort(dim=1) < num_hidden
