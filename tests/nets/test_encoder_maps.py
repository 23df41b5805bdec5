"""What every place of a picture holds: patches of ViTs, feature maps of convnets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.nets.encoder_config import (
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
)
from sslcli.nets.timm_encoder import TimmEncoder
from sslcli.nets.vit import VisionTransformer
from sslcli.nets.vit_config import Pool, ViTConfig


@pytest.fixture
def noise() -> Tensor:
    """Two pictures of 32 pixels."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


TINY = ViTConfig(width=24, depth=2, heads=3, patch=8)


@pytest.mark.parametrize(
    ("config", "side"),
    [
        (ConvNetConfig(width=2), 4),
        (ConvStackConfig(widths=[4, 8]), 8),
        (TINY, 4),
    ],
)
def test_the_mean_over_the_places_is_the_features(
    config: EncoderConfig, side: int, noise: Tensor
) -> None:
    encoder = config.build(3, 32).eval()
    with torch.no_grad():
        maps = encoder.maps(noise)
        assert maps.shape == (2, encoder.width, side, side)
        torch.testing.assert_close(maps.mean(dim=(2, 3)), encoder(noise))


def test_a_vits_patches_stand_where_they_are_without_the_class_token(noise: Tensor) -> None:
    encoder = replace(TINY, pool=Pool.cls).build(3, 32).eval()
    assert isinstance(encoder, VisionTransformer)
    with torch.no_grad():
        maps, tokens = encoder.maps(noise), encoder.tokens(noise)
    for row in range(4):
        for column in range(4):
            assert torch.equal(maps[:, :, row, column], tokens[:, 1 + 4 * row + column])


@pytest.mark.parametrize("config", [MLPConfig(widths=[8]), ConvNetConfig(width=2, bottleneck=5)])
def test_an_encoder_that_knows_no_places_is_refused(config: EncoderConfig, noise: Tensor) -> None:
    with pytest.raises(SslcliError, match="has no patches: its features belong to no place"):
        config.build(3, 32).maps(noise)


def timms(name: str) -> TimmEncoder:
    """A small model of timm's for pictures of 32 pixels."""
    if name == "vit":
        family: Any = pytest.importorskip("timm.models.vision_transformer")
        model = family.VisionTransformer(
            img_size=32, patch_size=8, num_classes=0, embed_dim=24, depth=1, num_heads=3,
            reg_tokens=2,
        )  # fmt: skip
    elif name == "swin":
        family = pytest.importorskip("timm.models.swin_transformer")
        model = family.SwinTransformer(
            img_size=32, embed_dim=12, depths=(1, 1), num_heads=(3, 3), window_size=4, num_classes=0
        )
    else:
        model = pytest.importorskip("timm").create_model(name, num_classes=0)
    return TimmEncoder(model.eval(), {}, 3, 32)


@pytest.mark.parametrize(("name", "side"), [("vit", 4), ("swin", 4), ("resnet10t", 1)])
def test_of_timms_models_the_last_maps_or_patches(name: str, side: int, noise: Tensor) -> None:
    encoder = timms(name).eval()
    model: Any = encoder.model
    with torch.no_grad():
        maps, own = encoder.maps(noise), model.forward_features(noise)
    assert maps.shape == (2, encoder.width, side, side)
    if name == "vit":
        own = own[:, 3:].reshape(2, 4, 4, -1)
    elif name == "resnet10t":
        own = own.permute(0, 2, 3, 1)
    assert torch.equal(maps.permute(0, 2, 3, 1), own)


def test_timms_tokens_without_a_known_grid_are_refused(noise: Tensor) -> None:
    family: Any = pytest.importorskip("timm.models.mlp_mixer")
    mixer = family.MlpMixer(
        num_classes=0, img_size=32, patch_size=8, num_blocks=1, embed_dim=8, global_pool="avg"
    )
    encoder = TimmEncoder(mixer, {}, 3, 32).eval()
    with pytest.raises(SslcliError, match="timm's MlpMixer has no patches that sslcli can place"):
        encoder.maps(noise)
