"""Views of pictures of any channels and depth."""

from __future__ import annotations

import pytest
import torch

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.augment.colour import ColourJitter, grayscale_
from sslcli.augment.crop import resized_crop

JITTER = ColourJitter(0.8, 0.8, 0.8, 0.8, 0.2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("side", [None, 5])
def test_crops_of_all_depths_show_the_same(channels: int, side: int | None) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 8, 8, channels), dtype=torch.uint8)
    deep = (images.int() * 257).to(torch.uint16)
    floats = images.float() / 255
    before = floats.clone()
    boxes, flipped = torch.tensor([[1, 2, 5, 4]]).repeat(8, 1), torch.arange(8) % 2 == 0
    crops = resized_crop(images, boxes, flipped, side)
    for same in (deep, floats):
        found = resized_crop(same, boxes, flipped, side)
        torch.testing.assert_close(found, crops, rtol=0, atol=1e-6)
    assert torch.equal(floats, before), "the data set stays as it is"


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_each_channel_is_jittered_as_a_grey_picture_of_its_own(channels: int) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(6, channels, 20)
    order, factors = JITTER.sample(6, channels)
    assert order.shape == factors.shape == (6, channels, 2)
    found = JITTER.apply(pictures.clone(), order, factors)
    for number in range(channels):
        alone = JITTER.apply(
            pictures[:, number : number + 1].clone(), order[:, number], factors[:, number]
        )
        torch.testing.assert_close(found[:, number : number + 1], alone, rtol=0, atol=0)
    assert (found.flatten(2).mean(2).std(dim=1) > 0).all(), "channels differ"


def test_no_colours_are_taken_away_where_there_are_none() -> None:
    pictures = torch.rand(3, 5, 10)
    before = pictures.clone()
    grayscale_(pictures, torch.ones(3, dtype=torch.bool))
    assert torch.equal(pictures, before)


@pytest.mark.parametrize("channels", [1, 2, 13, 64])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_default_views_of_any_channels_are_finite(channels: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    images = (torch.rand(8, 8, 8, channels) * (1 if dtype == torch.float32 else 255)).to(dtype)
    mean, std = (0.5,) * channels, (0.25,) * channels
    views = ViewConfig(normalize=False).build(mean, std)(images, num_views=2)
    assert views.shape == (16, channels, 8, 8)
    assert 0 <= views.min() <= views.max() <= 1
