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


@dataclass(kw_only=True)
class HeadConfig:
    """Linear layers, each but the last with batch norm and ReLU."""

    num_layers: int = setting(2, "linear layers; 1 is a linear head")
    hidden: int = setting(512, "units of the hidden layers")
    out: int = setting(128, "width of the output")
    last_norm: bool = setting(False, "batch norm, without scale and shift, after the last layer")

    def __post_init__(self) -> None:
        for name in ("num_layers", "hidden", "out"):
            value = getattr(self, name)
            most = 8 if name == "num_layers" else 65536
            require(
                1 <= value <= most, f"the head's {name}", value, f"from 1 to {most}", "leave it out"
            )

    def build(self, width: int) -> nn.Sequential:
        """Returns the head for inputs of `width`."""
        return nets.mlp_head(width, self.hidden, self.out, self.num_layers, self.last_norm)
