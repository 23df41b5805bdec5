"""Features of pictures: deterministic, in eval mode, leaving the encoder as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sslcli.errors import RunFailed, SslcliError
from sslcli.evaluation.features import features, pixels
from sslcli.method import Preprocessing

CPU = torch.device("cpu")
GREY = Preprocessing(resolution=12, channels=1, mean=(0.3,), std=(0.4,))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (11, 12, 12, 1), dtype=np.uint8)


@pytest.fixture
def encoder() -> nn.Sequential:
    torch.manual_seed(0)
    convolution = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
    )
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_batches_make_no_difference_and_repeats_are_equal_bit_for_bit(
    encoder: nn.Module, images: NDArray[np.uint8]
):
    whole = features(encoder, images, GREY, CPU)
    assert whole.shape == (11, 4)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad
    assert torch.equal(whole, features(encoder, images, GREY, CPU))
    torch.testing.assert_close(whole, features(encoder, images, GREY, CPU, batch_size=4))


def test_pictures_are_scaled_and_normalised_and_keep_their_layout():
    preprocessing = Preprocessing(
        resolution=2, channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)
    )
    images = np.random.default_rng(1).integers(0, 256, (3, 2, 2, 3), dtype=np.uint8)
    found = features(nn.Flatten(), images, preprocessing, CPU).view(3, 3, 2, 2)
    expected = (images / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_modes_and_batch_norm_statistics_are_as_before(
    encoder: nn.Sequential, images: NDArray[np.uint8]
):
    encoder.train()
    encoder[0][1].eval()  # frozen batch norm inside a training encoder
    modes = [module.training for module in encoder.modules()]
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    random_state = torch.get_rng_state()
    features(encoder, images, GREY, CPU)
    assert [module.training for module in encoder.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())


def test_modes_are_restored_after_an_error(images: NDArray[np.uint8]):
    encoder = nn.Linear(5, 5)
    with pytest.raises(RuntimeError):
        features(encoder, images, GREY, CPU)
    assert encoder.training


def test_read_only_pictures_are_taken_as_they_are(encoder: nn.Module, images: NDArray[np.uint8]):
    images.flags.writeable = False
    assert features(encoder, images, GREY, CPU).shape == (11, 4)
    assert pixels(images).shape == (11, 144)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 12, 12, 3), "3 channels"), ((2, 16, 16, 1), "16 x 16"), ((2, 12, 16, 1), "12 x 16")],
)
def test_pictures_unlike_those_trained_on_are_refused(
    encoder: nn.Module, shape: tuple[int, ...], words: str
):
    with pytest.raises(SslcliError, match=words) as caught:
        features(encoder, np.zeros(shape, np.uint8), GREY, CPU)
    assert caught.value.fix


def test_features_that_are_not_finite_are_said_to_be(
    encoder: nn.Sequential, images: NDArray[np.uint8]
):
    torch.nn.init.constant_(encoder[0][0].bias, float("nan"))
    with pytest.raises(RunFailed, match="not finite for 11 of 11 pictures"):
        features(encoder, images, GREY, CPU)


def test_pixels_are_flat_and_between_0_and_1(images: NDArray[np.uint8]):
    flat = pixels(images)
    assert flat.dtype == torch.float32
    np.testing.assert_allclose(flat.numpy(), images.reshape(11, -1) / 255, rtol=1e-6)


def test_raw_pixels_of_large_pictures_are_shrunk_by_averaging() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    found = pixels(images)
    assert found.shape == (3, 3 * 32 * 32)
    first = images[0, :2, :2, 0].astype(float).mean() / 255
    assert found[0, 0].item() == pytest.approx(first, abs=1e-6)
