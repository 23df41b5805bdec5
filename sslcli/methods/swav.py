"""SwAV: from one view, predict to which prototypes another is assigned.

Source: Caron et al. 2020, "Unsupervised Learning of Visual Features by Contrasting Cluster
Assignments".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import augment, losses, nets
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from sslcli.augment.multi_crop import MultiCrop
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.prototypes import Prototypes
    from sslcli.nets.queue import Queue


@dataclass(kw_only=True)
class SwAVConfig(MethodConfig):
    """Predicting other views' assignment to prototypes (Caron et al. 2020).

    Differs: one queue serves both large views, and holds the first one's embeddings.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=sgd", "optim.lr=0.3")

    num_prototypes: int = setting(300, "directions that pictures are assigned to, about alike")
    temperature: float = setting(0.1, "of the softmax that predicts an assignment")
    epsilon: float = setting(0.05, "softness of the assignments")
    sinkhorn_iterations: int = setting(3, "normalisations of the assignments")
    queue: int = setting(1024, "earlier embeddings that are assigned with the batch's; 0: none")
    queue_from: int = setting(5, "the epoch from which the queue is used, counted from 0")
    frozen_epochs: int = setting(1, "epochs at the start in which the prototypes do not move")
    projector: HeadConfig = part(HeadConfig, "the head whose output is assigned")
    views: ViewConfig = part(ViewConfig, "the augmentation of the two large views")
    num_small_views: int = setting(4, "small crops of each picture, which only predict; 0: none")
    small_views: ViewConfig = part(
        lambda: ViewConfig(crop_size=0.5, crop_scale=[0.1, 0.4]), "their augmentation"
    )

    def __post_init__(self) -> None:
        for name in ("num_prototypes", "temperature", "epsilon", "sinkhorn_iterations"):
            value = getattr(self, name)
            require(value > 0, f"method.{name}", value, "positive", "leave it out")
        for name in ("queue", "queue_from", "frozen_epochs", "num_small_views"):
            value = getattr(self, name)
            require(value >= 0, f"method.{name}", value, "at least 0", "try 0")

    def known_to_fail(self, batch_size: int) -> str | None:
        assigned = batch_size + self.queue
        if assigned >= self.num_prototypes:
            return None
        return (
            f"{assigned} embeddings cannot use {self.num_prototypes} prototypes alike "
            f"(Caron et al. 2020, §3.1): method.num_prototypes={assigned}, or a longer method.queue"
        )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> SwAV:
        preprocessing = self.views.fed(preprocessing)
        mean, std = preprocessing.mean, preprocessing.std
        return SwAV(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            prototypes=nets.Prototypes(self.projector.out, self.num_prototypes),
            queue=nets.Queue(self.queue, self.projector.out) if self.queue else None,
            crops=augment.MultiCrop(
                self.views.build(mean, std),
                self.small_views.beside(self.views).build(mean, std),
                self.num_small_views,
            ),
            assignment=Assignment(self.temperature, self.epsilon, self.sinkhorn_iterations),
            queue_from=self.queue_from,
            frozen_epochs=self.frozen_epochs,
        )


@dataclass(frozen=True)
class Assignment:
    """How embeddings are assigned to prototypes, and assignments predicted."""

    temperature: float
    epsilon: float
    num_iterations: int


@dataclass
class SwAV(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    prototypes: Prototypes
    queue: Queue | None
    crops: MultiCrop
    assignment: Assignment
    queue_from: int
    frozen_epochs: int

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"network": [self.encoder, self.projector], "prototypes": [self.prototypes]}

    def normal(self, batch_size: int) -> Normal:
        loss = math.log(len(self.prototypes.weight))
        return Normal(loss, loss)

    def views(self, images: Tensor) -> Tensor | list[Tensor]:
        return self.crops(images)

    def train_step(
        self, views: Tensor | list[Tensor], minimize: Minimize, progress: Progress
    ) -> Metrics:
        num_views = self.crops.num_views
        own = self.projector(self.encoder.in_chunks(views, None))
        z = gathered(own, groups=num_views)
        scores = self.prototypes(z).chunk(num_views)
        targets = [self.assign(view, progress) for view in scores[:2]]
        loss = losses.cross_view_entropy(targets, scores, self.assignment.temperature)
        moving = ["prototypes"] if progress.epoch >= self.frozen_epochs else []
        minimize(loss, "network", *moving)
        if self.queue is not None:
            self.queue.enqueue(own.chunk(num_views)[0])
        return {"loss": loss.detach()}

    def prototype_scores(self, pictures: Tensor) -> Tensor:
        return self.prototypes(self.projector(self.encoder(pictures)))  # type: ignore[no-any-return]

    def assign(self, scores: Tensor, progress: Progress) -> Tensor:
        """Returns the assignments (N, K) of scores (N, K), made together with the queue's.

        The queue's are, once it is full: it starts with random directions, which are no pictures.
        """
        earlier = None
        if self.queue is not None and progress.epoch >= self.queue_from:
            is_full = progress.step * len(scores) >= len(self.queue.rows)
            earlier = self.prototypes(self.queue.rows) if is_full else None
        how = self.assignment
        return losses.sinkhorn(scores, how.epsilon, how.num_iterations, earlier)
