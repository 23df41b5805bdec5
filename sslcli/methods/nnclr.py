"""NNCLR: find the nearest neighbour of the other view.

Source: Dwibedi et al. 2021, "With a Little Help from My Friends: Nearest-Neighbor Contrastive
Learning of Visual Representations".
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
    from sslcli.nets.queue import Queue


@dataclass(kw_only=True)
class NNCLRConfig(MethodConfig):
    """Contrast with the nearest earlier embedding (Dwibedi et al. 2021).

    Differs: both views go through the networks as one batch.
    """

    suits = CONVNET_WITH_PLACES

    temperature: float = setting(0.2, "of the softmax over the batch's predictions")
    queue: int = setting(4096, "earlier embeddings among which neighbours are looked up")
    projector: HeadConfig = part(
        lambda: HeadConfig(last_norm=True), "the head whose outputs are neighbours"
    )
    predictor: PredictorConfig = part(PredictorConfig, "predicts the other view's neighbour")
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = self.temperature > 0
        require(good, "method.temperature", self.temperature, "positive", "try 0.1 to 0.2")
        require(self.queue > 0, "method.queue", self.queue, "positive", "try 4096")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> NNCLR:
        preprocessing = self.views.fed(preprocessing)
        return NNCLR(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            predictor=self.predictor.build(self.projector.out),
            queue=nets.Queue(self.queue, self.projector.out),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            temperature=self.temperature,
        )


@dataclass
class NNCLR(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    predictor: nn.Module
    queue: Queue
    augmentation: Augmentation
    temperature: float

    def normal(self, batch_size: int) -> Normal:
        return Normal(math.log(batch_size), math.log(batch_size))

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        z = self.projector(self.encoder(views))
        p_a, p_b = gathered(self.predictor(z), groups=2).chunk(2)
        neighbours = gathered(self.queue.nearest(z.detach()), groups=2)
        nn_a, nn_b = neighbours.chunk(2)
        a_to_b = losses.info_nce(nn_a, p_b, self.temperature)
        b_to_a = losses.info_nce(nn_b, p_a, self.temperature)
        loss = (a_to_b + b_to_a) / 2
        minimize(loss)
        self.queue.enqueue(z.chunk(2)[0])
        return {"loss": loss.detach()}
