"""Implements SimCLR: a picture's two views find each other among the whole batch.

Source: Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of
Visual Representations".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sslcli import losses
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Normal, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.projector_config import ProjectorConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder


class ContrastiveLoss(Enum):
    """Names what is minimised: NT-Xent, or DCL or DCLW of Yeh et al. 2022."""

    nt_xent = "nt_xent"
    dcl = "dcl"
    dclw = "dclw"


FEW = 32
"""Pictures a batch; the smallest that Yeh et al. 2022 tried, where NT-Xent lost most to DCL."""
DCLW_SIGMA = 0.5
"""The softness of DCLW's weights. Source: Yeh et al. 2022."""


@dataclass(kw_only=True)
class SimCLRConfig(MethodConfig):
    """Contrasts two views of each picture with NT-Xent (Chen et al. 2020)."""

    suits = CONVNET_WITH_PLACES

    temperature: float = setting(
        0.2, "of NT-Xent's softmax: lower looks harder at the nearest negatives"
    )
    chunk_size: int | None = setting(
        None,
        "pictures whose activations are in memory at a time, for batches that memory would "
        "not hold; null: all",
    )
    loss_block: int | None = setting(
        None,
        "rows of the matrix of similarities in memory at a time; null: all, some 12 (2 "
        "batch_size)^2 bytes",
    )
    loss: ContrastiveLoss = setting(
        ContrastiveLoss.nt_xent,
        "nt_xent; dcl: without the positive among the candidates; dclw: hard positives weigh more",
        added_later=True,
    )
    projector: ProjectorConfig = part(ProjectorConfig, "the head whose output is compared")
    views: ViewConfig = part(ViewConfig, "the augmentation that both views are drawn from")

    def __post_init__(self) -> None:
        require(
            self.temperature > 0,
            "method.temperature",
            self.temperature,
            "positive",
            "try 0.1 to 1.0",
        )
        for name in ("chunk_size", "loss_block"):
            value = getattr(self, name)
            require(
                value is None or value >= 2,
                f"method.{name}",
                value,
                "at least 2, or null",
                "try 64",
            )

    def known_to_fail(self, batch_size: int) -> str | None:
        if self.loss is not ContrastiveLoss.nt_xent or batch_size >= FEW:
            return None
        return (
            f"NT-Xent is weak with a batch of {batch_size} (Yeh et al. 2022): "
            f"method.loss=dcl, or batch_size={FEW} or more"
        )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> SimCLR:
        preprocessing = self.views.fed(preprocessing)
        return SimCLR(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            temperature=self.temperature,
            contrastive_loss=self.loss,
            chunk_size=self.chunk_size,
            loss_block=self.loss_block,
        )


@dataclass
class SimCLR(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    augmentation: Augmentation
    temperature: float
    contrastive_loss: ContrastiveLoss = ContrastiveLoss.nt_xent
    chunk_size: int | None = None
    loss_block: int | None = None

    def whole_batch_parts(self) -> Sequence[nn.Module]:
        return [self.projector]

    def normal(self, batch_size: int) -> Normal:
        others = 2 * batch_size - 1
        if self.contrastive_loss is not ContrastiveLoss.nt_xent:
            others -= 1
        return Normal(math.log(others), math.log(others))

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=2)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        h = gathered(self.encoder.in_chunks(views, self.chunk_size), groups=2)
        z_a, z_b = self.projector(h).chunk(2)
        loss = self.compare(z_a, z_b)
        minimize(loss)
        return {
            "loss": loss.detach(),
            "rank_accuracy": losses.rank_accuracy(z_a, z_b, self.loss_block),
        }

    def compare(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """Returns the chosen loss of two views' embeddings (N, D)."""
        if self.contrastive_loss is ContrastiveLoss.nt_xent:
            return losses.nt_xent(z_a, z_b, self.temperature, self.loss_block)
        sigma = DCLW_SIGMA if self.contrastive_loss is ContrastiveLoss.dclw else None
        return losses.dcl(z_a, z_b, self.temperature, sigma, self.loss_block)
