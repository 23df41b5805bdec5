"""Configures the context encoder's network.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import nets
from sslcli.errors import require
from sslcli.nets.encoder_config import EncoderConfig, require_8_pixels
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class ContextConfig(EncoderConfig):
    """Builds the context encoder's network: 4x4 convolutions of stride 2.

    They are as many as bring the picture to about 4x4; mean pooling follows.
    """

    width: int = setting(
        32, "channels of the first convolution, w (64 as published); they double up to 8w"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "encoder.width", self.width, "at least 1", "32 is the default")

    def network(self, channels: int, resolution: int) -> Encoder:
        require_8_pixels(resolution, "context")
        return nets.ContextNet(channels, resolution, self.width)
