"""Barlow Twins: views agree in every dimension, and no two dimensions are alike.

Source: Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class BarlowTwinsConfig(MethodConfig):
    """Making the views' cross-correlation the identity (Zbontar et al. 2021).

    Differs: both views are drawn from one augmentation, and go through encoder and head as
    one batch; the loss is multiplied by `scale`.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=sgd", "optim.lr=0.1")

    off_diagonal: float = setting(0.005, "weight of the correlations of different dimensions")
    scale: float = setting(0.1, "factor of the loss, which sums over dimensions")
    projector: HeadConfig = part(
        lambda: HeadConfig(num_layers=3, out=512), "the head whose outputs are decorrelated"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = self.off_diagonal >= 0
        require(good, "method.off_diagonal", self.off_diagonal, "at least 0", "try 0.005")
        require(self.scale > 0, "method.scale", self.scale, "positive", "try 0.1")

    def known_to_fail(self, batch_size: int) -> str | None:
        # The rank of N centred rows is N - 1 at most: of D dimensions whose views agree, the
        # squared correlations of different ones sum to at least D² / (N - 1) - D. The loss is least
        # where views correlate by 1 / (1 + off_diagonal (D / (N - 1) - 1)).
        width = self.projector.out
        if self.off_diagonal * (width / (batch_size - 1) - 1) <= 1:
            return None
        most = 1 + math.ceil(width * self.off_diagonal / (1 + self.off_diagonal))
        return (
            f"a batch of {batch_size} has too low a rank for {width} dimensions: the loss is least "
            f"where views correlate by less than half (its algebra): batch_size={most} or more, or "
            "a smaller method.projector.out"
        )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> BarlowTwins:
        preprocessing = self.views.fed(preprocessing)
        return BarlowTwins(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            off_diagonal=self.off_diagonal,
            scale=self.scale,
            width=self.projector.out,
        )


@dataclass
class BarlowTwins(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    augmentation: Augmentation
    off_diagonal: float
    scale: float
    width: int

    def normal(self, batch_size: int) -> Normal:
        width = self.width
        # A correlation of N independent pairs has mean 0 and variance 1 / (N - 1).
        chance = 1 / (batch_size - 1)
        off_diagonal = self.off_diagonal * width * (width - 1) * chance
        untrained = width * (1 + chance) + off_diagonal
        return Normal(self.scale * untrained, self.scale * width)

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        z_a, z_b = gathered(self.projector(self.encoder(views)), groups=2).chunk(2)
        loss = self.scale * losses.barlow_twins(z_a, z_b, self.off_diagonal)
        minimize(loss)
        return {"loss": loss.detach()}
