"""Configures timm's models.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import nets
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.public_weights import PublicWeights


@dataclass(kw_only=True)
class TimmConfig(EncoderConfig):
    """Builds any timm model by its name, with random weights; ViTs among them.

    It needs the extra: pip install 'sslcli[timm]'.
    """

    model: str = setting(REQUIRED, "timm's name of the model, as in vit_tiny_patch16_224")
    patch_size: int | None = setting(
        None, "side of a patch in pixels, for models made of patches; None: the model's own"
    )

    def network(self, channels: int, resolution: int) -> Encoder:
        return nets.build_timm_encoder(self.model, channels, resolution, self.patch_size)

    def public_weights(self) -> PublicWeights:
        return nets.timm_weights(self.model)
