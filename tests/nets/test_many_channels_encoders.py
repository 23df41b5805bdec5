"""Every encoder takes pictures of any number of channels."""

from __future__ import annotations

import pytest
import torch

from sslcli.nets.encoder_config import (
    ContextConfig,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
    ResNet18Config,
)
from sslcli.nets.vit_config import ViTConfig


@pytest.mark.parametrize("channels", [2, 13, 64])
@pytest.mark.parametrize(
    "config",
    [
        ConvNetConfig(width=2),
        ResNet18Config(),
        MLPConfig(widths=[8]),
        ConvStackConfig(widths=[4, 4]),
        ContextConfig(width=2),
        ViTConfig(width=24, depth=1, heads=3),
    ],
    ids=lambda config: type(config).__name__,
)
def test_an_encoder_sees_every_channel(config: EncoderConfig, channels: int) -> None:
    torch.manual_seed(0)
    encoder = config.build(channels, 16).eval()
    pictures = torch.rand(2, channels, 16, 16)
    with torch.no_grad():
        found = encoder(pictures)
        assert found.shape == (2, encoder.width)
        for channel in (0, channels - 1):
            other = pictures.clone()
            other[:, channel] = 1 - other[:, channel]
            assert not torch.equal(encoder(other), found)
