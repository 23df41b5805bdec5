"""MoCo v3: find the other view's key among those of the batch.

Source: Chen, Xie, He 2021, "An Empirical Study of Training Self-Supervised Vision Transformers".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses, nets
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig, PredictorConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.moving_average import MovingAverage


@dataclass(kw_only=True)
class MoCoV3Config(MethodConfig):
    """Contrast with the keys of the batch, which a slow copy made (Chen et al. 2021).

    Differs: both views are drawn from one augmentation, and go through the networks as one batch;
    the patch embedding of a ViT learns, where theirs stays as it was drawn; the predictor's last
    layer has a bias.
    """

    suits = CONVNET_WITH_PLACES

    temperature: float = setting(0.5, "of the softmax over the batch's keys")
    momentum: float = setting(0.99, "of the average that makes the keys; it rises to 1")
    projector: HeadConfig = part(
        lambda: HeadConfig(last_norm=True), "the head of both networks; its output is the key"
    )
    predictor: PredictorConfig = part(PredictorConfig, "makes the query of the projection")
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = self.temperature > 0
        require(good, "method.temperature", self.temperature, "positive", "try 0.2 to 1.0")
        good = 0 <= self.momentum <= 1
        require(good, "method.momentum", self.momentum, "from 0 to 1", "try 0.99")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> MoCoV3:
        preprocessing = self.views.fed(preprocessing)
        projector = self.projector.build(encoder.width)
        return MoCoV3(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=projector,
            predictor=self.predictor.build(self.projector.out),
            slow=nets.MovingAverage(encoder, projector),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            temperature=self.temperature,
            momentum=self.momentum,
        )


@dataclass
class MoCoV3(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    predictor: nn.Module
    slow: MovingAverage
    augmentation: Augmentation
    temperature: float
    momentum: float

    def normal(self, batch_size: int) -> Normal:
        loss = 4 * self.temperature * math.log(batch_size)
        return Normal(loss, loss)

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        momentum = progress.cosine(self.momentum, 1.0)
        self.slow.follow(self.encoder, self.projector, momentum=momentum)
        queries = gathered(self.predictor(self.projector(self.encoder(views))), groups=2)
        q_a, q_b = queries.chunk(2)
        k_a, k_b = gathered(self.slow(views), groups=2).chunk(2)
        a_to_b = losses.info_nce(q_a, k_b, self.temperature)
        b_to_a = losses.info_nce(q_b, k_a, self.temperature)
        loss = 2 * self.temperature * (a_to_b + b_to_a)
        minimize(loss)
        return {"loss": loss.detach()}
