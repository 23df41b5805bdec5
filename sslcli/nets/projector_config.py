"""Defines the projector's config: the head between encoder and contrastive loss.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import nets
from sslcli.errors import require
from sslcli.settings import setting

if TYPE_CHECKING:
    from torch import nn


@dataclass(kw_only=True)
class ProjectorConfig:
    """Describes the projection head g, which is discarded after pretraining.

    The reason: h probes better than g(h) (SimCLR §4.2).
    """

    num_layers: int = setting(2, "linear layers: 2 (SimCLR) or 3 (SimCLR v2); 1 is a linear head")
    hidden: int | None = setting(
        512, "units of the hidden layers; null: the encoder's width, as in SimCLR"
    )
    out: int = setting(128, "width of the embedding z that the loss sees")
    batch_norm: bool = setting(True, "batch norm after every layer")

    def __post_init__(self) -> None:
        require(
            1 <= self.num_layers <= 8,
            "method.projector.num_layers",
            self.num_layers,
            "1 to 8",
            "2 is SimCLR's",
        )
        require(
            self.hidden is None or self.hidden > 0,
            "method.projector.hidden",
            self.hidden,
            "positive",
            "try null",
        )
        require(self.out > 0, "method.projector.out", self.out, "positive", "128 is SimCLR's")

    def build(self, width: int) -> nn.Sequential:
        """Builds the head for an encoder of `width`."""
        return nets.projection_head(
            width, self.hidden or width, self.out, self.num_layers, self.batch_norm
        )
