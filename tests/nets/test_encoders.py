from __future__ import annotations

import pytest
import torch

from sslcli.errors import SslcliError
from sslcli.nets.encoders import ENCODERS, ConvNetConfig, EncoderConfig, MLPConfig, ResNet18Config, Stem, TimmConfig

VIT = TimmConfig(model="vit_tiny_patch16_224", patch_size=8)
SMALL: list[EncoderConfig] = [ConvNetConfig(width=4), ResNet18Config(), MLPConfig(widths=[8, 6]), VIT]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: type(config).__name__)
@pytest.mark.parametrize("channels", [1, 3])
def test_states_its_width_and_takes_the_pictures_channels(config: EncoderConfig, channels: int) -> None:
    encoder = config.build(channels, 32).eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, channels, 32, 32)).shape == (2, encoder.width)


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
    [(32, Stem.auto, True), (64, Stem.auto, False), (32, Stem.imagenet, False), (96, Stem.small, True)],
)
def test_resnets_stem_follows_the_resolution(resolution: int, stem: Stem, small: bool) -> None:
    encoder = ResNet18Config(stem=stem).build(3, resolution)
    first = next(module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.kernel_size == ((3, 3) if small else (7, 7))
    assert first.padding == ((1, 1) if small else (3, 3))
    assert any(isinstance(module, torch.nn.MaxPool2d) for module in encoder.modules()) is not small


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
