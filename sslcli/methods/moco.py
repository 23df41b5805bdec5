"""MoCo v2: find the other view's key among a queue of earlier keys.

Source: He et al. 2020, "Momentum Contrast for Unsupervised Visual Representation Learning";
Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning".
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
from sslcli.nets.head_config import HeadConfig
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.moving_average import MovingAverage
    from sslcli.nets.queue import Queue


@dataclass(kw_only=True)
class MoCoConfig(MethodConfig):
    """Contrast with a queue of a slow copy's keys (He et al. 2020, Chen et al. 2020).

    Differs: each view is the query of the other (half of the symmetric loss of the authors'
    CIFAR-10 notebook, whose queue holds one view's keys), unless symmetric=false; the head has
    batch norm; the keys are not shuffled among devices, so their batch norm sees the pictures that
    the queries' sees; both views go through the networks as one batch.
    """

    suits = CONVNET_WITH_PLACES

    temperature: float = setting(0.2, "of the softmax over the key and the queue")
    queue: int = setting(4096, "keys of earlier batches that each query is compared with")
    momentum: float = setting(0.99, "of the average that makes the keys; constant")
    symmetric: bool = setting(
        True,
        "each view is the query of the other; false: one is the query, the other its key, in half "
        "of the time",
        added_later=True,
    )
    projector: HeadConfig = part(HeadConfig, "the head whose output is compared")
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        good = self.temperature > 0
        require(good, "method.temperature", self.temperature, "positive", "try 0.1 to 0.2")
        require(self.queue > 0, "method.queue", self.queue, "positive", "try 4096")
        good = 0 <= self.momentum <= 1
        require(good, "method.momentum", self.momentum, "from 0 to 1", "try 0.99")

    def known_to_fail(self, batch_size: int) -> str | None:
        if self.momentum > 0:
            return None
        return (
            "keys without an average do not converge (He et al. 2020, §4.1): method.momentum=0.99"
        )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> MoCo:
        preprocessing = self.views.fed(preprocessing)
        projector = self.projector.build(encoder.width)
        return MoCo(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=projector,
            slow=nets.MovingAverage(encoder, projector),
            queue=nets.Queue(self.queue, self.projector.out),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            temperature=self.temperature,
            momentum=self.momentum,
            symmetric=self.symmetric,
        )


@dataclass
class MoCo(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    slow: MovingAverage
    queue: Queue
    augmentation: Augmentation
    temperature: float
    momentum: float
    symmetric: bool = True

    def normal(self, batch_size: int) -> Normal:
        candidates = 1 + len(self.queue.rows)
        return Normal(math.log(candidates), math.log(candidates))

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        of_queries, of_keys = (views, views) if self.symmetric else views.chunk(2)
        queries = self.projector(self.encoder(of_queries))
        self.slow.follow(self.encoder, self.projector, momentum=self.momentum)
        keys = self.slow(of_keys)
        own = keys.roll(len(keys) // 2, dims=0) if self.symmetric else keys
        loss = losses.info_nce_with_queue(queries, own, self.queue.rows, self.temperature)
        minimize(loss)
        self.queue.enqueue(keys, groups=2 if self.symmetric else 1)
        return {"loss": loss.detach()}
