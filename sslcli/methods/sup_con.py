"""SupCon: pictures of one label are each other's positives.

Source: Khosla et al. 2020, "Supervised Contrastive Learning".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import (
    LabelReader,
    MethodConfig,
    Metrics,
    Minimize,
    Normal,
    Preprocessing,
    Progress,
)
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class SupConConfig(MethodConfig):
    """Supervised contrastive learning, which reads all labels (Khosla et al. 2020).

    Differs: the loss is not multiplied by the temperature over 0.07, as the official code's is; the
    head has batch norm.
    """

    suits = CONVNET_WITH_PLACES

    temperature: float = setting(0.2, "of the softmax: lower looks harder at near negatives")
    projector: HeadConfig = part(HeadConfig, "the head whose output is compared")
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = self.temperature > 0
        require(good, "method.temperature", self.temperature, "positive", "try 0.1 to 0.2")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> SupCon:
        preprocessing = self.views.fed(preprocessing)
        return SupCon(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            temperature=self.temperature,
        )


@dataclass
class SupCon(LabelReader):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    augmentation: Augmentation
    temperature: float

    def normal(self, batch_size: int) -> Normal:
        loss = math.log(2 * batch_size - 1)
        return Normal(loss, loss)

    def views_of(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(
        self, views: tuple[Tensor, Tensor], minimize: Minimize, progress: Progress
    ) -> Metrics:
        pictures, labels = views
        z = gathered(self.projector(self.encoder(pictures)), groups=2)
        loss = losses.sup_con(z, gathered(labels), self.temperature)
        minimize(loss)
        return {"loss": loss.detach()}
