"""`sslcli.load_encoder`: a run's encoder in a notebook, fed with pictures of any size and kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING, pictures
from PIL import Image

import sslcli
from sslcli.data.resize import MIDDLE, Framing
from sslcli.data.shape import Shape
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features
from sslcli.nets.encoder_config import MLPConfig
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder
from sslcli.trained.pretrained_encoder import PretrainedEncoder


@pytest.fixture
def encoder(run: Path) -> PretrainedEncoder:
    return sslcli.load_encoder(run)


@pytest.fixture
def picture() -> Image.Image:
    """40 x 50 pixels of noise."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8))


def test_it_is_the_runs_encoder_ready_to_use(encoder: PretrainedEncoder, run: Path) -> None:
    files = read_encoder(run)
    expected, found = load_trained(files).state_dict(), encoder.encoder.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert encoder.preprocessing == files.preprocessing
    assert not any(module.training for module in encoder.modules())


def test_its_features_are_those_that_evaluations_measure(
    encoder: PretrainedEncoder, run: Path
) -> None:
    data = pictures()
    expected = features(
        load_trained(read_encoder(run)), data.images, encoder.preprocessing, torch.device("cpu")
    )
    found = encoder.features(data.images[:])
    assert torch.equal(found, expected)
    assert found.shape == (24, encoder.width)
    assert not found.requires_grad
    with_gradients = encoder(encoder.preprocess(data.images[:]))
    assert with_gradients.requires_grad, "it can be trained on"
    assert torch.allclose(with_gradients, found, atol=1e-5)


def test_pictures_are_made_square_as_the_run_made_them(picture: Image.Image) -> None:
    network = MLPConfig(widths=[4]).build(3, 16)
    padded = PretrainedEncoder(network, PREPROCESSING, Framing(Shape.pad, 1.0))
    middle = PretrainedEncoder(network, PREPROCESSING)
    white = PREPROCESSING.normalized(torch.ones(1, 3, 16, 1))
    for edge in (slice(None, 1), slice(-1, None)):  # it is 40 of 50 wide
        assert torch.allclose(padded.preprocess([picture])[..., edge], white)
        assert not torch.allclose(middle.preprocess([picture])[..., edge], white)
    square = picture.crop((0, 0, 40, 40))
    unknown = PretrainedEncoder(network, PREPROCESSING, None)
    assert torch.equal(unknown.preprocess([square]), middle.preprocess([square]))
    with pytest.raises(SslcliError, match="how the run made pictures square cannot be read"):
        unknown.preprocess([picture])


def test_a_runs_shape_is_read_from_its_config(run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(run, tmp_path / "moved")
    assert sslcli.load_encoder(moved).framing == MIDDLE
    (moved / "config.yaml").write_text("nothing: [")
    assert sslcli.load_encoder(moved).framing is None


def test_pictures_of_any_size_and_mode_are_taken(
    encoder: PretrainedEncoder, picture: Image.Image
) -> None:
    modes = [picture.convert(mode) for mode in ("P", "L", "RGBA", "1", "CMYK")]
    wide = picture.resize((64, 20))
    found = encoder.features([picture, *modes, wide])
    assert found.shape == (7, encoder.width)
    assert torch.isfinite(found).all()
    assert torch.allclose(found[0], encoder.features([picture])[0], atol=1e-5)
    grey = encoder.preprocess([picture.convert("L")])[0]
    shades = encoder.preprocessing.std[0] * grey + encoder.preprocessing.mean[0]
    assert torch.equal(shades[0], shades[1]), "a grey picture has three equal channels"


def test_a_photograph_is_turned_as_its_camera_was(
    encoder: PretrainedEncoder, picture: Image.Image, tmp_path: Path
) -> None:
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to be seen as it was
    turned.save(tmp_path / "turned.png", exif=exif)
    expected = encoder.features([picture])
    with Image.open(tmp_path / "turned.png") as photograph:
        assert torch.allclose(encoder.features([photograph]), expected, atol=1e-5)
        assert photograph.size == turned.size, "the user's picture stays as it is"


def test_arrays_of_another_size_are_refused(encoder: PretrainedEncoder) -> None:
    with pytest.raises(SslcliError, match="the pictures are 8 x 8 pixels"):
        encoder.preprocess(np.zeros((1, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(SslcliError, match="the pictures have 1 channels"):
        encoder.preprocess(np.zeros((1, 16, 16, 1), dtype=np.uint8))


def test_a_damaged_picture_is_refused(
    encoder: PretrainedEncoder, picture: Image.Image, tmp_path: Path
) -> None:
    picture.save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with Image.open(tmp_path / "whole.png") as whole:
        assert encoder.preprocess([whole]).shape == (1, 3, 16, 16)
    with Image.open(tmp_path / "half.png") as damaged, pytest.raises(OSError):
        encoder.preprocess([damaged])


def test_it_is_found_by_the_names_that_commands_take(run: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    shutil.copytree(run, outputs / "2024_01")
    expected = sslcli.load_encoder(run).state_dict()
    for name in ("last", "2024", str(outputs / "2024_01")):
        found = sslcli.load_encoder(name, outputs).state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    with pytest.raises(SslcliError, match="no run is named 'nothing'"):
        sslcli.load_encoder("nothing", outputs)


def test_a_notebooks_random_numbers_are_its_own(run: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    sslcli.load_encoder(run)
    assert torch.equal(torch.rand(3), expected)


def test_its_patches_are_what_each_place_holds(encoder: PretrainedEncoder) -> None:
    images = pictures().images[:]
    expected = encoder.features(images)
    encoder.train()
    maps = encoder.patches(images)
    assert encoder.training, "the mode is what it was"
    assert maps.shape == (24, encoder.width, 2, 2)
    assert not maps.requires_grad
    assert torch.allclose(maps.mean(dim=(2, 3)), expected, atol=1e-5)
    encoder.eval()
    assert encoder.patches([Image.fromarray(one) for one in images]).equal(maps)


def test_patches_are_refused_of_an_encoder_without_places() -> None:
    encoder = PretrainedEncoder(MLPConfig(widths=[4]).build(3, 16), PREPROCESSING)
    with pytest.raises(SslcliError, match="a MLP has no patches") as refused:
        encoder.patches(pictures().images[:])
    assert "vit, convnet" in refused.value.fix
