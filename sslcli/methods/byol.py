"""BYOL: from one view, predict a slow copy's embedding of the other.

Source: Grill et al. 2020, "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses, nets
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
    from sslcli.nets.moving_average import MovingAverage


@dataclass(kw_only=True)
class BYOLConfig(MethodConfig):
    """Predicting a slow copy's embedding of the other view (Grill et al. 2020).

    Differs: both views are drawn from one augmentation, and go through the networks as one batch;
    the last layers of head and predictor have a bias.
    """

    suits = CONVNET_WITH_PLACES

    momentum: float = setting(0.99, "of the target's average in the first step; it rises to 1")
    projector: HeadConfig = part(HeadConfig, "the head whose output is predicted")
    predictor: PredictorConfig = part(
        PredictorConfig, "predicts the target's embedding; online alone has it"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = 0 <= self.momentum <= 1
        require(good, "method.momentum", self.momentum, "from 0 to 1", "try 0.99")

    def known_to_fail(self, batch_size: int) -> str | None:
        if 0 < self.momentum < 1:
            return None
        what = "that is the online network" if self.momentum == 0 else "that never moves"
        return f"a target {what} teaches little (Grill et al. 2020, table 5a): method.momentum=0.99"

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> BYOL:
        preprocessing = self.views.fed(preprocessing)
        projector = self.projector.build(encoder.width)
        return BYOL(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=projector,
            predictor=self.predictor.build(self.projector.out),
            target=nets.MovingAverage(encoder, projector),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            momentum=self.momentum,
        )


@dataclass
class BYOL(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    predictor: nn.Module
    target: MovingAverage
    augmentation: Augmentation
    momentum: float

    def normal(self, batch_size: int) -> Normal:
        return Normal(4.0, 0.0)

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        predictions = self.predictor(self.projector(self.encoder(views)))
        of_other_view = self.target(views).roll(len(views) // 2, dims=0)
        loss = 4 - 4 * losses.mean_cosine(predictions, of_other_view)  # both directions' sum
        minimize(loss)
        momentum = progress.cosine(self.momentum, 1.0)
        self.target.follow(self.encoder, self.projector, momentum=momentum)
        return {"loss": loss.detach()}
