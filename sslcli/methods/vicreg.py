"""VICReg: views agree, all dimensions vary, and no two vary together.

Source: Bardes, Ponce, LeCun 2022, "VICReg: Variance-Invariance-Covariance Regularization for
Self-Supervised Learning".
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


HALF = 0.5
"""Of the standard deviation that the variance term asks for."""


@dataclass(kw_only=True)
class VICRegConfig(MethodConfig):
    """Variance, invariance and covariance of embeddings (Bardes et al. 2022).

    Differs: both views are drawn from one augmentation, and go through the networks as one batch.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=sgd", "optim.lr=0.1")

    invariance: float = setting(25.0, "weight of the views' squared difference")
    variance: float = setting(25.0, "weight of the standard deviations below 1")
    covariance: float = setting(1.0, "weight of the squared covariances")
    projector: HeadConfig = part(
        lambda: HeadConfig(num_layers=3, out=512), "the head whose outputs are compared"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        for name in ("invariance", "variance", "covariance"):
            value = getattr(self, name)
            require(value >= 0, f"method.{name}", value, "at least 0", "try 25, 25 and 1")

    def known_to_fail(self, batch_size: int) -> str | None:
        if self.variance == 0:
            return "without its variance term VICReg collapses (Bardes et al. 2022): variance=25"
        # The rank of N centred rows is N - 1 at most. With standard deviation s in each of D
        # dimensions, each view's covariance term is at least s⁴ (D / (N - 1) - 1), and the loss is
        # least where its slope, twice 4 s³ (…), is that of the variance term.
        width = self.projector.out
        excess = width / (batch_size - 1) - 1
        if excess <= 0 or self.variance >= 8 * self.covariance * excess * HALF**3:
            return None
        most = 1 + math.ceil(width / (1 + self.variance / (8 * self.covariance * HALF**3)))
        return (
            f"a batch of {batch_size} has too low a rank for {width} dimensions: the loss is least "
            f"where standard deviations stay below {HALF} (its algebra): batch_size={most} or "
            "more, or a smaller method.projector.out"
        )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> VICReg:
        preprocessing = self.views.fed(preprocessing)
        return VICReg(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            invariance=self.invariance,
            variance=self.variance,
            covariance=self.covariance,
        )


@dataclass
class VICReg(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    augmentation: Augmentation
    invariance: float
    variance: float
    covariance: float

    def normal(self, batch_size: int) -> Normal:
        return Normal(None, 0.99 * self.variance)

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        z_a, z_b = gathered(self.projector(self.encoder(views)), groups=2).chunk(2)
        invariance = losses.invariance(z_a, z_b)
        variance = (losses.variance(z_a) + losses.variance(z_b)) / 2
        covariance = losses.covariance(z_a) + losses.covariance(z_b)
        loss = (
            self.invariance * invariance + self.variance * variance + self.covariance * covariance
        )
        minimize(loss)
        return {
            "loss": loss.detach(),
            "invariance": invariance.detach(),
            "variance": variance.detach(),
            "covariance": covariance.detach(),
        }
