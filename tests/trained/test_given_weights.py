"""Weights of other libraries: their features are the library's own, and what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import RESNETS, VITS, ddp, dino, lightly_small, moco, randomised, torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18
from torchvision.models.resnet import BasicBlock

from sslcli.errors import SslcliError
from sslcli.nets.convolutional import ResNetEncoder
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import ConvNetConfig, EncoderConfig, ResNet18Config, Stem
from sslcli.nets.given_config import Fed
from sslcli.nets.timm_config import TimmConfig
from sslcli.nets.vit_config import Pool, ViTConfig
from sslcli.trained.given_weights import IMAGENET, Given, give_weights


class NarrowResNet(ResNet):
    """A ResNet-18 with a sixteenth of the channels behind its first layer: it is built at once."""

    def _make_layer(self, block: Any, planes: int, *rest: Any, **named: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 16, *rest, **named)


class NarrowConfig(ResNet18Config):
    def network(self, channels: int, resolution: int) -> Encoder:
        network = NarrowResNet(BasicBlock, [2, 2, 2, 2])
        return ResNetEncoder(network, channels, resolution, self.has_small_stem(resolution))


RESNET = NarrowConfig(stem=Stem.imagenet)
WIDE = ResNet18Config(stem=Stem.imagenet)
VIT = ViTConfig(width=24, depth=2, heads=3, pool=Pool.cls)
SIDE = 32


def read_from(
    path: Path, config: EncoderConfig, channels: int = 3, side: int = SIDE, **changed: Any
) -> tuple[Encoder, Given]:
    """An encoder that begins with the file's weights, and what is said of it."""
    config = type(config)(**{**vars(config), "weights": str(path), **changed})
    torch.manual_seed(5)
    encoder = config.build(channels, side)
    given = give_weights(encoder, config, channels)
    return encoder.eval(), given


def pictures(channels: int = 3, side: int = SIDE) -> Tensor:
    return torch.randn(32, channels, side, side, generator=torch.Generator().manual_seed(2))


def features(network: nn.Module, channels: int = 3, side: int = SIDE) -> Tensor:
    with torch.no_grad():
        return network(pictures(channels, side))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    network = NarrowResNet(BasicBlock, [2, 2, 2, 2])
    network.fc = nn.Identity()
    return randomised(network)


@pytest.fixture(scope="module")
def resnets_features(resnet: nn.Module) -> Tensor:
    return features(resnet)


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    timm: Any = pytest.importorskip("timm.models.vision_transformer")
    network = timm.VisionTransformer(
        img_size=SIDE, patch_size=4, num_classes=0, embed_dim=24, depth=2, num_heads=3
    )
    return randomised(network)


def refused(path: Path, config: EncoderConfig = RESNET, **changed: Any) -> SslcliError:
    with pytest.raises(SslcliError) as caught:
        read_from(path, config, **changed)
    assert "\n" not in caught.value.message + caught.value.fix
    assert caught.value.message.startswith("encoder.weights")
    return caught.value


@pytest.mark.parametrize("layout", RESNETS, ids=lambda layout: layout.__name__)
def test_a_resnets_features_are_the_librarys_own(
    layout: Callable[[Any], Any], resnet: nn.Module, resnets_features: Tensor, tmp_path: Path
) -> None:
    torch.save(layout(resnet.state_dict()), tmp_path / "weights.pth")
    encoder, given = read_from(tmp_path / "weights.pth", RESNET)
    torch.testing.assert_close(features(encoder), resnets_features, atol=1e-5, rtol=1e-5)
    assert given.fit.share == 1
    assert not given.fit.missing
    assert not given.fit.differing


@pytest.mark.slow
@pytest.mark.parametrize("layout", RESNETS, ids=lambda layout: layout.__name__)
def test_a_whole_resnet_18s_features_are_torchvisions(
    layout: Callable[[Any], Any], tmp_path: Path
) -> None:
    network = resnet18()
    network.fc = nn.Identity()
    randomised(network)
    torch.save(layout(network.state_dict()), tmp_path / "weights.pth")
    encoder, given = read_from(tmp_path / "weights.pth", WIDE)
    torch.testing.assert_close(features(encoder), features(network), atol=1e-5, rtol=1e-5)
    assert given.fit.share == 1


@pytest.mark.parametrize("layout", VITS, ids=lambda layout: layout.__name__)
def test_a_vits_features_are_the_librarys_own(
    layout: Callable[[Any], Any], vit: nn.Module, tmp_path: Path
) -> None:
    torch.save(layout(vit.state_dict()), tmp_path / "weights.pt")
    encoder, given = read_from(tmp_path / "weights.pt", VIT)
    torch.testing.assert_close(features(encoder), features(vit), atol=1e-5, rtol=1e-5)
    assert given.fit.share == 1


@pytest.mark.parametrize("model", ["test_convnext", "test_vit", "test_resnet"])
def test_a_timm_models_features_are_timms_own(model: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    sized = {"img_size": SIDE} if model == "test_vit" else {}
    network = randomised(timm.create_model(model, num_classes=1000, **sized))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    encoder, given = read_from(tmp_path / "model.safetensors", TimmConfig(model=model))
    network.reset_classifier(0)  # type: ignore[operator]
    torch.testing.assert_close(features(encoder), features(network), atol=1e-5, rtol=1e-5)
    assert given.fit.share == 1


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pth"])
def test_every_kind_of_file_holds_the_same(
    ending: str, resnet: nn.Module, resnets_features: Tensor, tmp_path: Path
) -> None:
    path, tensors = tmp_path / f"weights.{ending}", resnet.state_dict()
    if ending == "npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    elif ending == "pth":
        torch.save({name: tensor.half() for name, tensor in tensors.items()}, path)
    else:
        save_file(tensors, path)
    encoder, _ = read_from(path, RESNET)
    digits = 2e-2 if ending == "pth" else 1e-5  # half has three digits
    scale = resnets_features.abs().max()
    assert float((features(encoder) - resnets_features).abs().max() / scale) < digits


def test_the_teacher_is_chosen_and_said(resnet: nn.Module, tmp_path: Path) -> None:
    torch.save(dino(resnet.state_dict()), tmp_path / "dino.pth")
    _, given = read_from(tmp_path / "dino.pth", RESNET)
    assert given.fit.candidate.place == "teacher/backbone"
    assert given.fit.others == ("student/module.backbone",)
    assert any("student/module.backbone fits as well" in said for said in given.sentences())
    encoder, given = read_from(tmp_path / "dino.pth", RESNET, weights_part="student")
    assert given.fit.candidate.place == "student/module.backbone"
    other = torch.load(tmp_path / "dino.pth")["student"]["module.backbone.conv1.weight"]
    assert torch.equal(encoder.state_dict()["resnet.conv1.weight"], other)
    assert (
        "the place holds 'nobody'" in refused(tmp_path / "dino.pth", weights_part="nobody").message
    )


@pytest.mark.large
def test_two_of_many_tensors_are_refused_with_what_lacks(tmp_path: Path) -> None:
    tensors = {"conv1.weight": torch.zeros(64, 3, 7, 7), "bn1.weight": torch.zeros(64)}
    filling = {f"other.{number}": torch.zeros(3) for number in range(209)}
    torch.save({**tensors, **filling}, tmp_path / "weights.pth")
    error = refused(tmp_path / "weights.pth", WIDE)
    for words in (
        "gives 2 of 100 tensors, 0 % of the encoder's numbers, less than 90 %",
        "missing: bn1 (3), layer1 (20), layer2 (25), layer3 (25), layer4 (25)",
        "it also holds other.0, other.1, other.2, other.3, other.4, other.5 and 203 more",
    ):
        assert words in error.message
    torch.save({**tensors, "layer4.0.conv2.weight": torch.zeros(1)}, tmp_path / "weights.pth")
    error = refused(tmp_path / "weights.pth", WIDE)
    assert "of another shape: resnet.layer4.0.conv2.weight [1] for [512, 512" in error.message


def test_right_names_with_transposed_shapes_are_refused(vit: nn.Module, tmp_path: Path) -> None:
    turned = {n: t.T.clone() if t.ndim == 2 else t for n, t in vit.state_dict().items()}
    torch.save(turned, tmp_path / "weights.pth")
    error = refused(tmp_path / "weights.pth", VIT)
    assert "blocks.0.attn.qkv.weight [24, 72] for [72, 24]" in error.message


def test_a_deeper_networks_weights_are_no_fit(tmp_path: Path) -> None:
    """Every tensor of a ResNet-18 has its like in a ResNet-34, and the features would be neither's."""
    deeper = NarrowResNet(BasicBlock, [3, 4, 6, 3])
    torch.save(deeper.state_dict(), tmp_path / "weights.pth")
    error = refused(tmp_path / "weights.pth")
    assert "has more inside than the encoder: layer1.2.conv1.weight" in error.message
    assert error.fix.endswith("encoder=resnet34 encoder.stem=imagenet")


def test_scales_that_the_encoder_does_not_apply_are_no_fit(vit: nn.Module, tmp_path: Path) -> None:
    scales = {f"blocks.{n}.ls1.gamma": torch.ones(24) for n in range(2)}
    torch.save({**vit.state_dict(), **scales}, tmp_path / "weights.pth")
    assert "blocks.0.ls1.gamma" in refused(tmp_path / "weights.pth", VIT).message


def test_a_network_that_computes_something_else_is_refused(
    resnet: nn.Module, tmp_path: Path
) -> None:
    torch.save(lightly_small(resnet.state_dict()), tmp_path / "weights.pth")
    assert "has no ReLU behind its first norm" in refused(tmp_path / "weights.pth").message


def test_a_first_layer_of_another_size_is_refused(resnet: nn.Module, tmp_path: Path) -> None:
    """It has a thousandth of the numbers; but behind a random one all others mean nothing."""
    torch.save(torchvision(resnet.state_dict()), tmp_path / "weights.pth")
    small = NarrowConfig(stem=Stem.small)
    error = refused(tmp_path / "weights.pth", small)
    assert "where the encoder sees the pictures" in error.message
    assert "resnet.conv1.weight [64, 3, 7, 7] for [64, 3, 3, 3]" in error.message
    assert "encoder.stem=imagenet" in error.fix
    _, given = read_from(tmp_path / "weights.pth", small, weights_share=0.0)
    assert [change.name for change in given.fit.differing] == ["resnet.conv1.weight"]


def test_numbers_that_are_not_finite_are_refused(resnet: nn.Module, tmp_path: Path) -> None:
    tensors = dict(resnet.state_dict())
    tensors["layer1.0.bn1.bias"] = torch.full((4,), float("nan"))
    torch.save(tensors, tmp_path / "weights.pth")
    error = refused(tmp_path / "weights.pth")
    assert "not finite, in resnet.layer1.0.bn1.bias" in error.message


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pth", "pt"])
def test_half_of_a_file_is_refused(ending: str, vit: nn.Module, tmp_path: Path) -> None:
    path, tensors = tmp_path / f"weights.{ending}", vit.state_dict()
    if ending == "safetensors":
        save_file(tensors, path)
    elif ending == "npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=ending == "pth")
    whole = path.read_bytes()
    for kept in (len(whole) // 2, 100, 0):
        path.write_bytes(whole[:kept])
        error = refused(path, VIT)
        assert f"{path} cannot be read" in error.message
        assert f"it has {kept:,} bytes" in error.fix


def test_a_servers_page_is_no_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_text("<html>404 not found</html>")
    assert "weights.pth cannot be read: no tensors" in refused(tmp_path / "weights.pth").message


class Code:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("owned"),)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "args": Code()}, "weights.pth")
    error = refused(Path("weights.pth"))
    assert "more than tensors" in error.message
    np.savez("weights.npz", **{"conv1.weight": np.array([Code()], dtype=object)})
    assert "cannot be read" in refused(Path("weights.npz")).message
    assert not Path("owned").exists()


def test_a_trainings_arguments_are_plain_values(resnet: nn.Module, tmp_path: Path) -> None:
    """DINO's and MAE's checkpoints hold an argparse.Namespace."""
    from argparse import Namespace

    torch.save({**ddp(resnet.state_dict()), "args": Namespace(lr=0.1)}, tmp_path / "weights.pth")
    assert read_from(tmp_path / "weights.pth", RESNET)[1].fit.share == 1


def test_grey_pictures_get_the_features_of_the_same_in_colours(
    resnet: nn.Module, tmp_path: Path
) -> None:
    torch.save(resnet.state_dict(), tmp_path / "weights.pth")
    encoder, given = read_from(tmp_path / "weights.pth", RESNET, channels=1)
    grey = pictures(channels=1)
    with torch.no_grad():
        expected = resnet(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(encoder(grey), expected, atol=1e-4, rtol=1e-4)
    (change,) = given.fit.reshaped
    assert change.how == "summed over 3 channels"
    assert given.fed is not None
    assert given.fed.mean == pytest.approx([sum(IMAGENET[0]) / 3])


def test_more_channels_are_adapted_as_timm_does(resnet: nn.Module, tmp_path: Path) -> None:
    timm: Any = pytest.importorskip("timm.models")
    torch.save(resnet.state_dict(), tmp_path / "weights.pth")
    encoder, given = read_from(tmp_path / "weights.pth", RESNET, channels=5)
    expected = timm.adapt_input_conv(5, resnet.state_dict()["conv1.weight"])
    torch.testing.assert_close(encoder.state_dict()["resnet.conv1.weight"], expected)
    assert given.fed is None, "ImageNet has no fourth channel"


@pytest.mark.parametrize("side", [16, 48])
def test_positions_are_interpolated_as_timm_does(side: int, vit: nn.Module, tmp_path: Path) -> None:
    timm: Any = pytest.importorskip("timm.layers")
    torch.save(vit.state_dict(), tmp_path / "weights.pth")
    encoder, given = read_from(tmp_path / "weights.pth", VIT, side=side)
    new = [side // 4, side // 4]
    expected = timm.resample_abs_pos_embed(vit.state_dict()["pos_embed"], new)
    torch.testing.assert_close(encoder.state_dict()["pos_embed"], expected)
    (change,) = given.fit.reshaped
    assert change.how == f"interpolated from 8x8 to {side // 4}x{side // 4}"


def test_a_run_brings_its_own_mean_and_deviation(run: Path) -> None:
    config = ConvNetConfig(width=2)
    encoder, given = read_from(run / "encoder.safetensors", config, side=16)
    assert given.fed is not None
    assert (given.fed.mean, given.fed.std) == ((0.5,) * 3, (0.25,) * 3)
    assert given.fit.candidate.naming.library == "sslcli"
    assert encoder.state_dict()["blocks.0.weight"].abs().sum() > 0


def test_the_encoders_own_names_are_one_network(tmp_path: Path) -> None:
    """Found whole, and under `resnet`, as torchvision's: that is no choice between two."""
    own = RESNET.build(3, SIDE).state_dict()
    save_file(own, tmp_path / "encoder.safetensors")
    _, given = read_from(tmp_path / "encoder.safetensors", RESNET)
    assert given.fit.share == 1
    assert given.fit.others == ()
    assert given.fed is None


def test_mean_and_deviation_are_imagenets_the_notes_or_the_datas(
    resnet: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(torchvision(resnet.state_dict()), path)
    _, given = read_from(path, RESNET)
    assert given.fed is not None
    assert given.fed[:2] == IMAGENET
    assert read_from(path, RESNET, weights_fed=Fed.data)[1].fed is None
    torch.save(moco(resnet.state_dict()), path)
    assert read_from(path, RESNET)[1].fed is None, "nobody says"
    assert read_from(path, RESNET, weights_fed=Fed.imagenet)[1].fed is not None
    notes = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(notes))
    _, given = read_from(path, RESNET)
    assert given.fed is not None
    assert given.fed[:2] == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    (tmp_path / "preprocessor_config.json").write_text("[")
    assert "preprocessor_config.json is damaged" in refused(path).message


def test_offline_the_file_to_fetch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: nn.Module
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    error = refused(Path("public"))
    file = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    assert "could not be fetched: no route to host" in error.message
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in error.fix
    assert str(file) in error.fix
    torch.save(torchvision(resnet.state_dict()), file)
    _, given = read_from(Path("public"), RESNET)
    assert given.fed is not None
    assert given.fed[:2] == IMAGENET
    assert "nobody publishes" in refused(Path("public"), ConvNetConfig()).message
    error = refused(Path("public"), ViTConfig(patch=16))
    assert "vit_tiny_patch16_224" in error.message
    assert str(tmp_path) in error.fix
