"""SimSiam: from one view, predict another's embedding, without its gradient.

Source: Chen and He 2021, "Exploring Simple Siamese Representation Learning"; for more than two
views Pototzky et al. 2022, "FastSiam: Resource-Efficient Self-supervised Learning on a Single GPU".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig, PredictorConfig
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class SimSiamConfig(MethodConfig):
    """Predicting the other view's embedding, without gradient (Chen and He 2021).

    Differs: the predictor's learning rate follows the schedule, where the paper keeps it constant;
    all views go through the networks as one batch; norms and biases do not decay, unless
    optim.decay_all=true.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=sgd", "optim.lr=0.3")

    num_views: int = setting(2, "views of each picture; more than 2 is FastSiam")
    projector: HeadConfig = part(
        lambda: HeadConfig(out=512, last_norm=True), "the head whose output is predicted"
    )
    predictor: PredictorConfig = part(
        lambda: PredictorConfig(hidden=128), "predicts the other views' embedding: a bottleneck"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation that all views are drawn from")

    def __post_init__(self) -> None:
        good = 2 <= self.num_views <= 16
        require(good, "method.num_views", self.num_views, "from 2 to 16", "try 2, or 4")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> SimSiam:
        preprocessing = self.views.fed(preprocessing)
        return SimSiam(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            predictor=self.predictor.build(self.projector.out),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            num_views=self.num_views,
        )


@dataclass
class SimSiam(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    predictor: nn.Module
    augmentation: Augmentation
    num_views: int

    def normal(self, batch_size: int) -> Normal:
        return Normal(0.0, -1.0)

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=self.num_views)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        z = self.projector(self.encoder(views))
        by_view = z.detach().unflatten(0, (self.num_views, -1))
        others = (by_view.sum(dim=0) - by_view) / (self.num_views - 1)
        loss = -losses.mean_cosine(self.predictor(z), others.flatten(0, 1))
        minimize(loss)
        return {"loss": loss.detach()}
