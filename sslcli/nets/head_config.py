"""Configures the heads behind the encoder: projectors and predictors.

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

MOST_UNITS = 65536


@dataclass(kw_only=True)
class PredictorConfig:
    """Linear layers with batch norm and ReLU between them; the output is as wide as the input."""

    num_layers: int = setting(2, "linear layers; 1 is a linear head")
    hidden: int = setting(512, "units of the hidden layers")

    def __post_init__(self) -> None:
        _require_size("num_layers", self.num_layers, 8)
        _require_size("hidden", self.hidden, MOST_UNITS)

    def build(self, width: int) -> nn.Sequential:
        """Returns the predictor of embeddings of `width`."""
        return nets.mlp_head(width, self.hidden, width, self.num_layers, last_norm=False)


@dataclass(kw_only=True)
class HeadConfig(PredictorConfig):
    """Linear layers with batch norm and ReLU between them."""

    out: int = setting(128, "width of the output")
    last_norm: bool = setting(False, "batch norm, without scale and shift, after the last layer")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_size("out", self.out, MOST_UNITS)

    def build(self, width: int) -> nn.Sequential:
        """Returns the head for features of `width`."""
        return nets.mlp_head(width, self.hidden, self.out, self.num_layers, self.last_norm)


def _require_size(name: str, value: int, most: int) -> None:
    good = 1 <= value <= most
    require(good, f"method.projector.{name}", value, f"from 1 to {most}", "leave it out")
