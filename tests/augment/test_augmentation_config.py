"""ViewConfig: what it refuses, and what it builds."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import SslcliError
from sslcli.preprocessing import Preprocessing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_scale", [0.0, 1.0]),
        ("crop_scale", [0.5, 1.1]),
        ("crop_scale", [0.8, 0.2]),
        ("crop_scale", [0.5]),
        ("crop_ratio", [0.0, 1.0]),
        ("crop_ratio", [1.0, float("inf")]),
        ("crop_size", 0.0),
        ("crop_size", 1.5),
        ("flip", 1.5),
        ("jitter", -0.1),
        ("grayscale", 2.0),
        ("blur", float("nan")),
        ("solarize", -1.0),
        ("brightness", -0.4),
        ("contrast", float("inf")),
        ("saturation", -1.0),
        ("hue", 0.6),
        ("hue", -0.1),
        ("blur_sigma", [0.0, 2.0]),
        ("blur_sigma", [2.0, 1.0]),
        ("blur_kernel", 0.0),
        ("solarize_threshold", 1.5),
        ("vertical_flip", -0.1),
        ("rotate90", 1.1),
        ("rotation", -1.0),
        ("rotation", 181.0),
        ("elastic", 2.0),
        ("elastic_alpha", 0.0),
        ("elastic_sigma", 0.0),
        ("autocontrast", float("nan")),
        ("noise", -1.0),
        ("noise_std", [0.0, 0.1]),
        ("noise_std", [0.1, 2.0]),
        ("erasing", 1.5),
        ("erasing_scale", [0.5]),
        ("erasing_ratio", [3.0, 0.3]),
        ("size", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_key(name: str, value: object) -> None:
    with pytest.raises(SslcliError) as error:
        ViewConfig(**{name: value})  # type: ignore[arg-type]
    assert error.value.message.startswith(f"method.views.{name} must be ")
    assert str(value) in error.value.message
    assert error.value.fix


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0], "hue": 0.5},
        {"flip": 0.0, "jitter": 1.0, "brightness": 0.0, "blur": 1.0, "blur_sigma": [1.0, 1.0]},
    ],
)
def test_the_ends_of_the_ranges_are_accepted(settings: dict[str, object]) -> None:
    ViewConfig(**settings)  # type: ignore[arg-type]


def test_normalisation_is_what_build_is_given() -> None:
    off = {
        "crop_scale": [1.0, 1.0],
        "crop_ratio": [1.0, 1.0],
        "flip": 0.0,
        "jitter": 0.0,
        "grayscale": 0.0,
        "solarize": 0.0,
    }
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    plain = ViewConfig(**off, normalize=False).build(mean, std)(images)  # type: ignore[arg-type]
    normalised = ViewConfig(**off).build(mean, std)(images)  # type: ignore[arg-type]
    expected = (plain - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(normalised, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(plain, images.permute(0, 3, 1, 2) / 255, atol=0, rtol=0)


def test_small_crops_are_views_of_their_own_size() -> None:
    images = torch.randint(0, 256, (4, 28, 28, 3), dtype=torch.uint8)
    small = ViewConfig(crop_scale=[0.05, 0.4], crop_size=0.43, blur=1.0)
    views = small.build((0.5,) * 3, (0.25,) * 3)(images, num_views=6)
    assert views.shape == (24, 3, 12, 12)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert views.isfinite().all()


@pytest.mark.commands
def test_the_config_is_read_without_torch() -> None:
    code = "import sys, sslcli.augment.augmentation_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_field_says_what_it_means() -> None:
    assert all(field.metadata["meaning"] for field in dataclasses.fields(ViewConfig))


def test_a_size_is_of_the_views_and_small_crops_are_a_part_of_it() -> None:
    images = torch.randint(0, 256, (4, 40, 40, 3), dtype=torch.uint8)
    config, mean, std = ViewConfig(size=24), (0.5,) * 3, (0.25,) * 3
    assert config.build(mean, std)(images).shape == (4, 3, 24, 24)
    small = ViewConfig(crop_size=0.5).beside(config)
    assert small.build(mean, std)(images).shape == (4, 3, 12, 12)
    assert ViewConfig(size=10).beside(config).build(mean, std)(images).shape == (4, 3, 10, 10)
    fed = config.fed(Preprocessing(40, 3, mean, std))
    assert (fed.resolution, fed.mean) == (24, mean)
    assert config.fed(fed) == fed
    with pytest.raises(SslcliError, match="at most the stored pictures' side, 20, got 24"):
        config.fed(Preprocessing(20, 3, mean, std))
