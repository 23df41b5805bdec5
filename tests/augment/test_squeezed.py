"""Crops of squeezed pictures are those of the pictures themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.augment.crop import RandomCrop
from sslcli.augment.multi_crop import MultiCrop
from sslcli.preprocessing import Squeezed

SCALE, RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


def largest_gap(a: Tensor, b: Tensor) -> float:
    """The Kolmogorov-Smirnov statistic."""
    points = torch.cat([a, b]).unique()
    below_a = torch.searchsorted(a.sort().values, points, right=True) / len(a)
    below_b = torch.searchsorted(b.sort().values, points, right=True) / len(b)
    return float((below_a - below_b).abs().max())


@pytest.mark.parametrize(("height", "width"), [(300, 1200), (1000, 500)])
def test_boxes_are_torchvisions_of_the_picture_before_it_was_squeezed(
    height: int, width: int
) -> None:
    torch.manual_seed(0)
    image = torch.empty(1, 1, 1).expand(1, height, width)
    drawn = [RandomResizedCrop.get_params(image, list(SCALE), list(RATIO)) for _ in range(2000)]
    theirs = torch.tensor(drawn) / torch.tensor([height, width, height, width])
    aspects = torch.full((30000,), width / height, dtype=torch.float64)
    ours = RandomCrop(SCALE, RATIO).sample(30000, 1000, aspects) / 1000
    names = ("top", "left", "height", "width")
    for name, a, b in zip(names, ours.unbind(1), theirs.unbind(1), strict=True):
        # Rounding to pixels moves a box by up to half of one: counted in hundredths, it is gone.
        assert largest_gap((a * 100).round(), (b * 100).round()) < 0.05, name


def test_square_pictures_have_the_boxes_that_they_always_had() -> None:
    torch.manual_seed(0)
    plain = RandomCrop(SCALE, RATIO).sample(500, 64)
    torch.manual_seed(0)
    assert torch.equal(RandomCrop(SCALE, RATIO).sample(500, 64, torch.ones(500)), plain)


def test_where_no_attempt_fits_the_box_is_the_largest_in_the_middle() -> None:
    crop, aspects = RandomCrop((1.0, 1.0), (1.0, 1.0)), torch.tensor([2.0, 0.5, 1.0])
    boxes = crop.sample(3, 60, aspects).tolist()
    assert boxes == [[0, 15, 60, 30], [15, 0, 30, 60], [0, 0, 60, 60]]


def squares_on_a_ramp(aspect: float, side: int = 120) -> Tensor:
    """A squeezed picture (S, S, 2) whose values are its own x and y, in parts of its longer side."""
    place = (torch.arange(side) + 0.5) / side
    longest = max(aspect, 1.0)
    x = place.expand(side, side) * aspect / longest
    y = place.view(-1, 1).expand(side, side) / longest
    return (torch.stack([x, y], dim=2) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("aspect", [2.0, 0.5])
def test_a_view_is_not_squeezed(aspect: float) -> None:
    config = ViewConfig(
        crop_scale=[0.2, 0.3],
        crop_ratio=[1.0, 1.0],
        flip=0.0,
        jitter=0,
        solarize=0,
        normalize=False,
    )
    images = squares_on_a_ramp(aspect).expand(8, 120, 120, 2)
    config.grayscale = 0.0
    torch.manual_seed(0)
    augmentation = config.build((0.0,) * 2, (1.0,) * 2)
    views = augmentation(Squeezed(images, torch.full((8,), aspect)), num_views=2)
    across = views[:, 0, :, -1].mean(1) - views[:, 0, :, 0].mean(1)
    down = views[:, 1, -1].mean(1) - views[:, 1, 0].mean(1)
    torch.testing.assert_close(across, down, atol=0.02, rtol=0)


def test_each_view_is_of_its_own_pictures_shape() -> None:
    """Row i of view b is picture i's too."""
    images = torch.zeros(3, 60, 60, 3, dtype=torch.uint8)
    aspects = torch.tensor([4.0, 1.0, 0.25])
    config = ViewConfig(crop_scale=[0.25, 0.25], crop_ratio=[1.0, 1.0])
    augmentation = config.build((0.5,) * 3, (0.5,) * 3)
    torch.manual_seed(0)
    boxes = augmentation.sample(6, 3, 60, aspects.repeat(2)).boxes
    assert [box[3] > box[2] for box in boxes.tolist()] == [False, False, True] * 2
    crops = MultiCrop(augmentation, augmentation, 2)
    assert len(crops(Squeezed(images, aspects))) == 2
