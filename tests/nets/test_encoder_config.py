from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from sslcli.engine.optim_config import AdamWConfig
from sslcli.errors import SslcliError
from sslcli.nets.convolutional import ConvNet
from sslcli.nets.encoder_config import (
    ContextConfig,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    LayeredConfig,
    MLPConfig,
    ResNet18Config,
    Stem,
)
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.timm_config import TimmConfig

LARGE = ("resnet18", "resnet34", "resnet50", "timm")
"""Choices that take a tenth of a second to build."""


def choice(name: str, resolution: int, bottleneck: int | None = None) -> EncoderConfig:
    """An entry of the table as it is by default; of timm's models a small ViT."""
    if name == "timm":
        return TimmConfig(
            model="test_vit", patch_size=11 if resolution % 4 else 4, bottleneck=bottleneck
        )
    return ENCODERS[name](bottleneck=bottleneck)


@pytest.mark.parametrize(
    "config",
    [
        ConvNetConfig(width=4),
        pytest.param(ResNet18Config(), marks=pytest.mark.large),
        MLPConfig(widths=[8, 6]),
        ConvStackConfig(widths=[4, 6]),
        ContextConfig(width=4),
        pytest.param(
            TimmConfig(model="vit_tiny_patch16_224", patch_size=8), marks=pytest.mark.large
        ),
        ConvNetConfig(width=4, bottleneck=5),
    ],
    ids=lambda config: f"{type(config).__name__}-{config.bottleneck}",
)
@pytest.mark.parametrize("channels", [1, 3])
def test_states_its_width_and_takes_the_pictures_channels(
    config: EncoderConfig, channels: int
) -> None:
    encoder = config.build(channels, 32).eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, channels, 32, 32)).shape == (2, encoder.width)


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        pytest.param(name, resolution, marks=[pytest.mark.large] if name in LARGE else [])
        for name in ENCODERS
        for resolution in (16, 28, 32, 33, 64)
        # resnet18's sides are those of the deeper ones, which have one with each stem.
        if name not in ("resnet34", "resnet50", "timm") or resolution in (33, 64)
        # Every side of a ViT is the same division.
        if name != "vit" or resolution == 32
    ],
)
@pytest.mark.parametrize("bottleneck", [None, 7])
def test_code_and_decoder_have_the_shapes_stated(
    name: str, bottleneck: int | None, resolution: int
) -> None:
    config = choice(name, resolution, bottleneck)
    with torch.device("meta"):  # shapes alone: the largest networks cost nothing there
        encoder, pictures = config.build(3, resolution), torch.rand(2, 3, resolution, resolution)
        code = encoder.code(pictures)
        assert encoder(pictures).shape == (2, encoder.width)
        assert code.shape == (2, *encoder.code_shape)
        for tied in (False, True) if isinstance(config, LayeredConfig) else (False,):
            assert encoder.decoder(3, resolution, tied)(code).shape == pictures.shape


@pytest.mark.parametrize(
    "config",
    [
        MLPConfig(widths=[9]),
        ConvStackConfig(widths=[6]),
        ContextConfig(width=4),
        ConvNetConfig(width=4, bottleneck=5),
    ],
)
def test_an_autoencoder_learns(config: EncoderConfig) -> None:
    torch.manual_seed(0)
    encoder, pictures = (
        config.build(1, 16),
        torch.rand(4, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3),
    )
    decoder = encoder.decoder(1, 16, tied=False)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        error = (decoder(encoder.code(pictures)) - pictures).square().mean()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]
    assert all(
        parameter.grad is not None for parameter in [*encoder.parameters(), *decoder.parameters()]
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.large] if name in LARGE else [])
        for name in ENCODERS
        if name not in ("mlp", "conv_stack")
    ],
)
def test_weights_that_cannot_be_tied_are_refused(name: str) -> None:
    with torch.device("meta"):
        encoder = choice(name, 32).build(3, 32)
    with pytest.raises(SslcliError) as caught:
        encoder.decoder(3, 32, tied=True)
    assert "method.tied" in caught.value.message
    with pytest.raises(SslcliError):
        encoder.up_to(1)


@pytest.mark.parametrize("resolution", [28, 33])
def test_convnets_features_are_the_pooled_blocks(resolution: int) -> None:
    encoder, pictures = (
        ConvNet(1, resolution, 4, nn.BatchNorm2d),
        torch.rand(3, 1, resolution, resolution),
    )
    pooled = nn.Sequential(*encoder.blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layouts: list[Tensor] = [pictures, pictures.contiguous(memory_format=torch.channels_last)]
    for layout in layouts:
        assert torch.equal(encoder(layout), pooled(layout))


def test_convnets_features_are_the_means_of_the_grids_cells() -> None:
    encoder = ConvNetConfig(width=2, grid=2).build(1, 32)
    encoder.eval()
    pictures = torch.rand(3, 1, 32, 32)
    maps = encoder.code(pictures)
    assert (encoder.code_shape, encoder.width) == ((16, 4, 4), 64)
    cells = [maps[:, :, y : y + 2, x : x + 2].mean(dim=(2, 3)) for y in (0, 2) for x in (0, 2)]
    expected = torch.stack(cells, dim=2).flatten(1)
    torch.testing.assert_close(encoder(pictures), expected)


@pytest.mark.large
@pytest.mark.parametrize("stem", [Stem.small, Stem.imagenet])
def test_resnets_features_are_torchvisions(stem: Stem) -> None:
    encoder, pictures = ResNet18Config(stem=stem).build(3, 40), torch.rand(2, 3, 40, 40)
    theirs = resnet18()
    theirs.fc = nn.Identity()
    if stem is Stem.small:
        theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    keys = {f"resnet.{key}": value for key, value in theirs.state_dict().items()}
    encoder.load_state_dict(keys)
    assert torch.equal(encoder(pictures), theirs(pictures))


@pytest.mark.large
@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_deeper_resnets(name: str) -> None:
    encoder = ENCODERS[name]().build(3, 32)
    assert encoder.width == {"resnet34": 512, "resnet50": 2048}[name]


def test_same_seed_same_weights() -> None:
    def weights() -> torch.Tensor:
        torch.manual_seed(3)
        return torch.nn.utils.parameters_to_vector(ConvNetConfig(width=4).build(3, 16).parameters())

    assert torch.equal(weights(), weights())


def test_convnet_is_the_one_documented() -> None:
    encoder = ConvNetConfig().build(3, 32)
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [16, 32, 32, 64, 64, 128]
    assert [c.stride[0] for c in convolutions] == [1, 2, 1, 2, 1, 2]
    assert encoder.width == 128


@pytest.mark.parametrize(
    ("resolution", "stem", "small"),
    [
        (32, Stem.auto, True),
        (64, Stem.auto, False),
        (32, Stem.imagenet, False),
        (96, Stem.small, True),
    ],
)
def test_resnets_stem_follows_the_resolution(resolution: int, stem: Stem, small: bool) -> None:
    with torch.device("meta"):  # its form alone
        encoder = ResNet18Config(stem=stem).build(3, resolution)
    first = next(module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.kernel_size == ((3, 3) if small else (7, 7))
    assert first.padding == ((1, 1) if small else (3, 3))
    assert any(isinstance(module, torch.nn.MaxPool2d) for module in encoder.modules()) is not small


@pytest.mark.large
@pytest.mark.parametrize(
    ("config", "words"),
    [
        (TimmConfig(model="vit_tinny_patch16_224"), "vit_tiny_patch16_224"),
        (TimmConfig(model="vit_tiny_patch16_224", patch_size=64), "32 px"),
    ],
)
def test_a_timm_model_that_cannot_be_had(config: TimmConfig, words: str) -> None:
    with pytest.raises(SslcliError) as caught:
        config.build(3, 32)
    assert words in caught.value.message + caught.value.fix


@pytest.mark.large
def test_a_timm_models_tokens_and_positions_do_not_decay_and_its_size_is_its_own() -> None:
    encoder = TimmConfig(model="vit_tiny_patch16_224", patch_size=8).build(3, 32)
    decayed, kept = AdamWConfig(weight_decay=0.05).build([encoder]).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0.0)
    exempt = {id(parameter) for parameter in kept["params"]}
    named = dict(encoder.named_parameters())
    assert {id(named["model.cls_token"]), id(named["model.pos_embed"])} <= exempt
    assert id(named["model.blocks.0.attn.qkv.weight"]) not in exempt
    with pytest.raises(SslcliError, match="takes no pictures of 16x16 px") as caught:
        encoder(torch.zeros(1, 3, 16, 16))
    assert "method.num_small_views=0" in caught.value.fix


@pytest.mark.parametrize(
    ("config", "resolution", "field"),
    [
        (ContextConfig(), 7, "data.resolution"),
        (ConvNetConfig(), 7, "data.resolution"),
        (ConvStackConfig(widths=[4] * 5), 28, "encoder.widths"),
    ],
)
def test_pictures_that_are_too_small(config: EncoderConfig, resolution: int, field: str) -> None:
    with pytest.raises(SslcliError) as caught:
        config.build(1, resolution)
    assert caught.value.message.startswith(field)


def test_settings_that_mean_nothing() -> None:
    for kind, field in (
        (ContextConfig, "width"),
        (ConvNetConfig, "width"),
        (ContextConfig, "bottleneck"),
    ):
        with pytest.raises(SslcliError) as caught:
            kind(**{field: 0})
        assert caught.value.message.startswith(f"encoder.{field}")
