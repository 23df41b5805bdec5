"""What is told of views: how much of a picture they show, and how much they change it."""

from __future__ import annotations

import pytest
import torch

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.augment.recorded import Recorded, recorded
from sslcli.methods.dino import DINOConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.preprocessing import Preprocessing
from sslcli.trained.method import build_method

SHAPE = Preprocessing(16, 3, (0.4,) * 3, (0.2,) * 3)


def still(crop: float = 1.0) -> ViewConfig:
    return ViewConfig(
        crop_scale=[crop, crop],
        crop_ratio=[1.0, 1.0],
        jitter=0.0,
        grayscale=0.0,
        solarize=0.0,
    )


def outcomes_of(config: ViewConfig, num_views: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    found: list[Recorded] = []
    torch.manual_seed(0)
    images = torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8)
    recorded(config.build(SHAPE.mean, SHAPE.std), found)(images, num_views)
    ((area, change),) = found[0].outcomes
    return area, change


def test_a_whole_picture_is_all_there_and_unchanged_however_it_is_turned() -> None:
    config = still()
    config.vertical_flip, config.rotate90, config.rotation, config.elastic = 0.5, 0.5, 20.0, 0.5
    area, change = outcomes_of(config)
    assert torch.equal(area, torch.ones(2, 5, dtype=torch.float64))
    assert torch.equal(change, torch.zeros(2, 5))


def test_a_crop_shows_its_part_and_what_is_erased_is_gone() -> None:
    area, change = outcomes_of(still(0.25))
    assert torch.equal(area, torch.full((2, 5), 0.25, dtype=torch.float64))
    assert torch.equal(change, torch.zeros(2, 5))
    config = still(0.25)
    config.erasing, config.erasing_scale, config.erasing_ratio = 1.0, [0.25, 0.25], [1.0, 1.0]
    area, change = outcomes_of(config)
    assert torch.equal(area, torch.full((2, 5), 0.25 * 0.75, dtype=torch.float64))
    assert bool((change > 0).all())


def test_a_change_of_values_is_told_in_parts_of_white() -> None:
    config = still()
    config.solarize, config.solarize_threshold = 1.0, 0.0  # a negative
    _, change = outcomes_of(config)
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8) / 255
    expected = (1 - 2 * pixels).abs().flatten(1).mean(1)
    torch.testing.assert_close(change, expected.expand(2, 5), atol=1e-6, rtol=0)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_recording_changes_no_view_and_finds_every_augmentation(noise: float) -> None:
    images = torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8)
    views = ViewConfig(noise=noise, rotate90=0.5)
    method = build_method(DINOConfig(views=views), ConvNetConfig(width=4), SHAPE, 0)
    found: list[Recorded] = []
    watched = recorded(method, found)
    torch.manual_seed(1)
    large, small = method.views(images)
    torch.manual_seed(1)
    same_large, same_small = watched.views(images)
    assert torch.equal(large, same_large)
    assert torch.equal(small, same_small)
    assert [outcome.area.shape for part in found for outcome in part.outcomes] == [(2, 5), (4, 5)]
